package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/phoenixchat/phoenixchat/infra/internal/child"
	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
)

// tree is the sources of a version, and what is built from them.
type tree struct {
	name string
	dir  string
	twin error // why its Go client could not be built; nil if it was
}

func (t *tree) launcher() string    { return filepath.Join(t.dir, ".cache", "rollback-local") }
func (t *tree) twinProgram() string { return filepath.Join(t.dir, ".cache", "rollback-twin") }
func (t *tree) dist() string        { return filepath.Join(t.dir, "web", "dist") }

// checkOut writes the files of a commit to the folder of the tree, which may have them from an earlier run. It adds the
// drivers of this version.
func (t *tree) checkOut(ctx context.Context, root, commit string) error {
	if _, err := os.Stat(filepath.Join(t.dir, "go.mod")); errors.Is(err, os.ErrNotExist) {
		cmd := exec.CommandContext(ctx, "git", "archive", commit)
		cmd.Dir = root
		archive, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("git archive: %w", err)
		}
		if err := unpack(archive, t.dir); err != nil {
			return fmt.Errorf("unpack %s: %w", commit, err)
		}
	}
	for _, dir := range []string{"infra/rollback/twin", "web/rollback"} {
		target := filepath.Join(t.dir, dir)
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		if err := os.CopyFS(target, os.DirFS(filepath.Join(root, dir))); err != nil {
			return err
		}
	}
	return nil
}

// unpack writes the files of a tar archive below dir.
func unpack(archive []byte, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	to, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer to.Close()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = to.MkdirAll(filepath.Clean(h.Name), 0o755)
		case tar.TypeReg:
			err = write(to, h, r)
		}
		if err != nil {
			return err
		}
	}
}

func write(to *os.Root, h *tar.Header, from io.Reader) error {
	f, err := to.OpenFile(h.Name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, h.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// build builds the launcher, the client and the Go client. Packages of the client that are installed in the repository
// are used for the tree as well if its lock file is the same.
func (t *tree) build(ctx context.Context, root string) error {
	if err := t.goBuild(ctx, t.launcher(), "./infra/local"); err != nil {
		return err
	}
	t.twin = t.goBuild(ctx, t.twinProgram(), "./infra/rollback/twin")
	modules := filepath.Join(t.dir, "web", "node_modules")
	if same(filepath.Join(root, "web", "package-lock.json"), filepath.Join(t.dir, "web", "package-lock.json")) {
		quiet := func(string) {}
		if err := webbuild.Install(ctx, filepath.Join(root, "web"), quiet); err != nil {
			return err
		}
		if _, err := os.Lstat(modules); errors.Is(err, os.ErrNotExist) {
			if err := os.Symlink(filepath.Join(root, "web", "node_modules"), modules); err != nil {
				return err
			}
		}
	}
	return webbuild.Ensure(ctx, filepath.Join(t.dir, "web"), func(string) {})
}

func (t *tree) goBuild(ctx context.Context, output, pkg string) error {
	return t.command(ctx, nil, t.dir, "go", "build", "-o", output, pkg)
}

// command runs a program. The error ends with the end of its output.
func (t *tree) command(ctx context.Context, env []string, dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	return child.Run(ctx, filepath.Base(name), cmd)
}

func same(a, b string) bool {
	x, errA := os.ReadFile(a)
	y, errB := os.ReadFile(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
