//go:build unix

package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) {
	if os.Getenv("CHILD_TEST_ROLE") == "parent" {
		parent()
		return
	}
	goleak.VerifyTestMain(m)
}

// waitGone waits until no process has this id.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	testwait.Until(t, fmt.Sprintf("the end of process %d", pid), func() bool {
		// A killed orphan that no process reaps remains a zombie. It counts as ended.
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ")
	})
}

// startShell starts a shell that runs the script and then starts a child. It returns the shell and the id of its
// child.
func startShell(t *testing.T, script string) (*Child, int) {
	t.Helper()
	r, w := io.Pipe()
	cmd := exec.Command("sh", "-c", script+"sleep 600 & echo $!; wait")
	cmd.Stdout = w
	c, err := Start("sh", cmd)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return c, grandchild
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	c, grandchild := startShell(t, "")
	c.Stop(5 * time.Second)
	waitGone(t, c.Pid())
	waitGone(t, grandchild)
	c.Stop(0)
}

func TestStopKillsAProgramThatIgnoresSIGTERM(t *testing.T) {
	c, grandchild := startShell(t, "trap '' TERM; ")
	c.Stop(time.Millisecond)
	waitGone(t, c.Pid())
	waitGone(t, grandchild)
}

func TestProcessesThatAProgramLeavesAreKilled(t *testing.T) {
	c, err := Start("sh", exec.Command("sh", "-c", "sleep 600 & echo $!; echo oops >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	e := c.Ended()
	var exit *exec.ExitError
	if !errors.As(e, &exit) || exit.ExitCode() != 3 || e.Clean || !strings.Contains(e.Output, "oops") {
		t.Errorf("ended %v, output %q", e, e.Output)
	}
	grandchild, err := strconv.Atoi(strings.Fields(e.Output)[0])
	if err != nil {
		t.Fatal(err)
	}
	waitGone(t, grandchild)
}

func TestAMissingProgramIsAnError(t *testing.T) {
	_, err := Start("nothing", exec.Command("/nonexistent"))
	if err == nil || !strings.Contains(err.Error(), "start nothing") {
		t.Errorf("error %v", err)
	}
}

// parent starts a child, prints its process id, and waits to be killed.
func parent() {
	c, err := Start("sleep", exec.Command("sleep", "600"))
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString(strconv.Itoa(c.Pid()) + "\n")
	<-c.Done()
}

func TestTheChildOfAKilledParentIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux kills a child when its parent dies")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHILD_TEST_ROLE=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the error says that it was killed
	waitGone(t, pid)
}

func TestRun(t *testing.T) {
	if err := Run(t.Context(), "true", exec.Command("true")); err != nil {
		t.Error(err)
	}
	err := Run(t.Context(), "a shell", exec.Command("sh", "-c", "echo it broke; exit 3"))
	if err == nil || !strings.Contains(err.Error(), "a shell ended: exit status 3") ||
		!strings.Contains(err.Error(), "it broke") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := Run(ctx, "sleep", exec.Command("sleep", "600")); !errors.Is(err, enough) {
		t.Errorf("stopped: %v, want %v", err, enough)
	}
}
