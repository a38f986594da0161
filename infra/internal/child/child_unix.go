//go:build unix

package child

import (
	"os/exec"
	"syscall"
)

// endGroup sends the end to every process of the group that cmd leads. That none is left is no error.
func endGroup(cmd *exec.Cmd, kill bool) {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-cmd.Process.Pid, sig)
}
