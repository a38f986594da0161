//go:build unix

package child

import (
	"os/exec"
	"syscall"
)

// endGroup sends SIGTERM or SIGKILL to all processes of the group that cmd leads. There may be none left.
func endGroup(cmd *exec.Cmd, kill bool) {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-cmd.Process.Pid, sig)
}
