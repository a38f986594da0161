package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/phoenixchat/phoenixchat/infra/internal/child"
)

// Build is a program whose instances a load test measures.
type Build struct {
	Name    string
	Program string // path; "" for the bare relay
	Probed  bool   // whether the program contains package probe
	Env     []string
}

// Bare reports whether b is the bare relay.
func (b Build) Bare() bool { return b.Program == "" }

// BareRelay is the relay of package bare.
var BareRelay = Build{Name: "bare"}

// NewBuild returns the build that from names: a program, or the folder of a checkout of this repository, whose realtime
// is built in dir with package probe. root is the checkout that contains package probe.
func NewBuild(ctx context.Context, name, from, root, dir string) (Build, error) {
	info, err := os.Stat(from)
	if err != nil {
		return Build{}, err
	}
	if from, err = filepath.Abs(from); err != nil {
		return Build{}, err
	}
	if !info.IsDir() {
		return Build{Name: name, Program: from}, nil
	}
	b := Build{Name: name, Program: filepath.Join(dir, "realtime-"+name), Probed: true}
	overlay, err := writeOverlay(from, root, dir)
	if err != nil {
		return Build{}, err
	}
	// The flags are those of the deployed program (infra/image).
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-overlay", overlay,
		"-o", b.Program, "./realtime/cmd/realtime")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Dir = from
	if err := child.Run(ctx, "go build", cmd); err != nil {
		return Build{}, fmt.Errorf("build realtime of %s: %w", from, err)
	}
	return b, nil
}

// writeOverlay writes the file with which go build adds package probe of root to the realtime of another checkout,
// which may be an older one. It returns the path of the file.
func writeOverlay(checkout, root, dir string) (string, error) {
	const probe = "infra/load/probe"
	hook := filepath.Join(dir, "probe_hook.go")
	text := "package main\n\nimport _ \"github.com/phoenixchat/phoenixchat/" + probe + "\"\n"
	if err := os.WriteFile(hook, []byte(text), 0o644); err != nil {
		return "", err
	}
	replace := map[string]string{filepath.Join(checkout, "realtime", "cmd", "realtime", "probe_hook.go"): hook}
	theirs := filepath.Join(checkout, filepath.FromSlash(probe), "probe.go")
	if _, err := os.Stat(theirs); errors.Is(err, fs.ErrNotExist) {
		replace[theirs] = filepath.Join(root, filepath.FromSlash(probe), "probe.go")
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o644)
}
