package terraform

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// resource is one resource or data source of the state.
type resource struct {
	Address string         `json:"address"`
	Type    string         `json:"type"`
	Values  map[string]any `json:"values"`
}

// state is what Terraform made of tests/state.tftest.hcl.
type state struct {
	resources []resource
}

// of returns the resources of a type.
func (s state) of(kind string) []resource {
	return slices.DeleteFunc(slices.Clone(s.resources), func(r resource) bool { return r.Type != kind })
}

// one returns the resource with an address.
func (s state) one(t *testing.T, address string) resource {
	t.Helper()
	for _, r := range s.resources {
		if r.Address == address {
			return r
		}
	}
	t.Fatalf("there is no %s", address)
	return resource{}
}

// at returns the value below v that the path leads to, through maps by name and through
// lists by index; nil where there is none.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// text is at for a string.
func text(r resource, path ...any) string {
	s, _ := at(r.Values, path...).(string)
	return s
}

// applied returns the state; the test is skipped where no Terraform program is named.
func applied(t *testing.T) state {
	t.Helper()
	if os.Getenv("TERRAFORM") == "" {
		t.Skip("TERRAFORM names no Terraform program that has the providers or their schemas")
	}
	s, err := apply()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var apply = sync.OnceValues(func() (state, error) {
	if _, err := terraform(nil, "init", "-backend=false", "-input=false", "-no-color"); err != nil {
		return state{}, err
	}
	out, err := terraform(nil, "test", "-json", "-verbose", "-filter=tests/state.tftest.hcl")
	if err != nil {
		return state{}, err
	}
	return readState(out)
})

// terraform runs the program with a data folder of the tests' own, and returns its standard output.
func terraform(in io.Reader, args ...string) ([]byte, error) {
	cmd := exec.Command(program(), args...)
	// A program that stands for Terraform may look in TERRAFORM for the real one.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TERRAFORM=") }),
		"TF_DATA_DIR="+dataDir, "TF_IN_AUTOMATION=1")
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("terraform %s: %w\n%s%s", args[0], err, tail(out), tail(errs.Bytes()))
	}
	return out, nil
}

// dataDir is where Terraform keeps what init brought; TestMain makes and removes it.
var dataDir string

func TestMain(m *testing.M) { os.Exit(inDataDir(m.Run)) }

func inDataDir(run func() int) int {
	dir, err := os.MkdirTemp("", "terraform-data")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	dataDir = dir
	return run()
}

// program returns the program that TERRAFORM names, from the repository's root where the name
// is a relative path, as the scripts there have it.
func program() string {
	p := os.Getenv("TERRAFORM")
	if strings.Contains(p, "/") && !filepath.IsAbs(p) {
		return filepath.Join("..", "..", p)
	}
	return p
}

// tail returns the end of what a program wrote.
func tail(out []byte) []byte { return out[max(0, len(out)-4000):] }

type module struct {
	Resources []resource `json:"resources"`
	Children  []module   `json:"child_modules"`
}

func (m module) all() []resource {
	all := m.Resources
	for _, c := range m.Children {
		all = append(all, c.all()...)
	}
	return all
}

// readState finds the state in what `terraform test -json -verbose` writes.
func readState(out []byte) (state, error) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			Type  string `json:"type"`
			State struct {
				Root module `json:"root_module"`
			} `json:"test_state"`
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Type != "test_state" {
			continue
		}
		return state{line.State.Root.all()}, nil
	}
	return state{}, errors.New("terraform test told no state")
}
