package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/child"
)

func (r *run) path(elem ...string) string { return filepath.Join(append([]string{r.root}, elem...)...) }

// command is a program that a stage runs.
type command struct {
	ctx  context.Context
	name string
	cmd  *exec.Cmd
}

// command prepares a program that runs in dir (below the repository) with additional environment variables.
func (r *run) command(ctx context.Context, env []string, dir, name string, args ...string) *command {
	cmd := exec.Command(name, args...)
	cmd.Dir = r.path(dir)
	cmd.Env = append(os.Environ(), env...)
	return &command{ctx, strings.Join(append([]string{filepath.Base(name)}, args...), " "), cmd}
}

// run runs the program until it ends. If the context ends first, it stops the program and everything it started.
func (c *command) run(stdout, stderr io.Writer) error {
	c.cmd.Stdout, c.cmd.Stderr = stdout, stderr
	p, err := child.Start(c.name, c.cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-c.ctx.Done():
		p.Stop(3 * time.Second)
		return context.Cause(c.ctx)
	}
	if e := p.Ended(); !e.Clean {
		return e.Err
	}
	return nil
}

// quiet runs the program. Its output appears only in the error.
func (c *command) quiet() error {
	var out bytes.Buffer
	if err := c.run(&out, &out); err != nil {
		return fmt.Errorf("%w:\n%s", err, strings.TrimSpace(out.String()))
	}
	return nil
}
