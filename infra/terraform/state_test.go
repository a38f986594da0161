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

// resource is a resource or data source in the state.
type resource struct {
	Address string         `json:"address"`
	Type    string         `json:"type"`
	Values  map[string]any `json:"values"`
}

// state is the state after Terraform has applied tests/state.tftest.hcl.
type state struct {
	resources []resource
}

// of returns the resources of a type.
func (s state) of(kind string) []resource {
	return slices.DeleteFunc(slices.Clone(s.resources), func(r resource) bool { return r.Type != kind })
}

// one returns the resource with this address.
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

// at returns the value at a path below v, or nil. The path has names for maps and indexes for lists.
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

// text returns the string at a path, or "".
func text(r resource, path ...any) string {
	s, _ := at(r.Values, path...).(string)
	return s
}

// applied returns the state. It skips the test if TERRAFORM is not set.
func applied(t *testing.T) state {
	t.Helper()
	if os.Getenv("TERRAFORM") == "" {
		t.Skip("TERRAFORM is not set; it names a Terraform program with the providers or their schemas")
	}
	s, err := apply()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var initialized = sync.OnceValue(func() error {
	_, err := terraform(nil, "init", "-backend=false", "-input=false", "-no-color")
	return err
})

var apply = sync.OnceValues(func() (state, error) {
	if err := initialized(); err != nil {
		return state{}, err
	}
	out, err := terraform(nil, "test", "-json", "-verbose", "-filter=tests/state.tftest.hcl")
	if err != nil {
		return state{}, err
	}
	return readState(out)
})

// terraform runs Terraform in a copy of the configuration and returns its standard output.
func terraform(in io.Reader, args ...string) ([]byte, error) {
	dir, err := copied()
	if err != nil {
		return nil, err
	}
	return terraformIn(dir, in, args...)
}

// terraformIn runs Terraform in a folder, with the tests' data folder.
func terraformIn(dir string, in io.Reader, args ...string) ([]byte, error) {
	cmd := exec.Command(program(), args...)
	cmd.Dir = dir
	cmd.Env = environment()
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("terraform %s: %w\n%s%s", args[0], err, tail(out), tail(errs.Bytes()))
	}
	return out, nil
}

// environment is the environment of Terraform. A program in its place may read the path of the real one from TERRAFORM.
// TF_VAR_… are settings.
func environment() []string {
	return append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "TERRAFORM=") || strings.HasPrefix(v, "TF_VAR_")
	}), "TF_DATA_DIR="+filepath.Join(scratch, "data"), "TF_IN_AUTOMATION=1")
}

// copied copies the configuration without the operator's settings and backend, and returns the folder of the copy.
var copied = sync.OnceValues(func() (string, error) { return copyOf(".", filepath.Join(scratch, "copy")) })

// copyOf copies the configuration in the folder from, and the sources that it reads. It creates the folder to.
func copyOf(from, to string) (string, error) {
	if err := os.Mkdir(to, 0o755); err != nil {
		return "", err
	}
	out, err := exec.Command("bash", filepath.Join(from, "copy"), to).Output()
	if err != nil {
		return "", fmt.Errorf("copy the configuration: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// scratch has the copy of the configuration and Terraform's data folder. TestMain creates and removes it.
var scratch string

func TestMain(m *testing.M) { os.Exit(withScratch(m.Run)) }

func withScratch(run func() int) int {
	dir, err := os.MkdirTemp("", "terraform-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	return run()
}

// program returns the program that TERRAFORM names. As in the scripts, a relative path is relative to the
// repository's root.
func program() string {
	p := os.Getenv("TERRAFORM")
	if strings.Contains(p, "/") && !filepath.IsAbs(p) {
		p = filepath.Join("..", "..", p)
		if absolute, err := filepath.Abs(p); err == nil { // it runs in another folder
			return absolute
		}
	}
	return p
}

// tail returns the last 4,000 bytes of the output of a program.
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

// readState finds the state in the output of `terraform test -json -verbose`.
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
	return state{}, errors.New("the output of terraform test has no state")
}
