package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMutantReplacesOneToken(t *testing.T) {
	const text = "package p\n\nvar x = a<=b && c\n"
	for _, c := range []struct {
		mutant mutant
		want   string // "": no such token
	}{
		{mutant{"p.go", 3, 10, "CONDITIONALS_BOUNDARY"}, "var x = a<b && c"},
		{mutant{"p.go", 3, 10, "CONDITIONALS_NEGATION"}, "var x = a>b && c"},
		{mutant{"p.go", 3, 14, "INVERT_LOGICAL"}, "var x = a<=b || c"},
		{mutant{"p.go", 3, 9, "INVERT_LOGICAL"}, ""},
		{mutant{"p.go", 9, 9, "INVERT_LOGICAL"}, ""},
	} {
		mutated, before, after, err := c.mutant.apply(text)
		if (err != nil) != (c.want == "") || after != c.want {
			t.Errorf("%v: %q, %v, want %q", c.mutant, after, err, c.want)
		}
		if err == nil && mutated != strings.Replace(text, before, c.want, 1) {
			t.Errorf("%v: the text becomes %q", c.mutant, mutated)
		}
	}
}

const sampleCode = `package main

import "fmt"

type number[T any] struct{ n T }

func (number[T]) add(_ int, rest ...int) (sum int) {
	for _, r := range rest {
		sum += r
	}
	return sum
}

func pick[T, U any](t T, u U, first bool) any {
	if first == true {
		return t
	}
	return u
}

func print(s string) {
	fmt.Println("a"+s, number[string]{}.add(0, 1, 2), pick(1, "x", true))
}

func main() { print("b") }
`

// The program behaves like the code unless a mutant is selected, and then like the code with that mutant.
func TestProgramContainsItsMutants(t *testing.T) {
	list := []mutant{
		{"p/main.go", 9, 7, "INVERT_ASSIGNMENTS"},
		{"p/main.go", 15, 11, "CONDITIONALS_NEGATION"},
		{"p/main.go", 22, 17, "ARITHMETIC_BASE"}, // does not compile
	}
	texts := map[string]string{"p/main.go": sampleCode}
	p, err := newProgram(texts, list, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	build := func() string {
		for name, text := range p.files {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module p\n\ngo 1.26\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "build", "-o", "program", ".")
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	if n := brokenMutants(p, "p/", build()); !slices.Equal(n, []int{3}) {
		t.Fatalf("mutants %v do not compile, want [3]", n)
	}
	if p, err = newProgram(texts, list, map[int]bool{3: true}); err != nil {
		t.Fatal(err)
	}
	if out := build(); out != "" {
		t.Fatal(out)
	}
	for selected, want := range map[string]string{"": "ab 3 1\n", "1": "ab -3 1\n", "2": "ab 3 x\n"} {
		cmd := exec.Command(filepath.Join(dir, "program"))
		cmd.Env = append(os.Environ(), selector+"="+selected)
		if out, err := cmd.Output(); err != nil || string(out) != want {
			t.Errorf("mutant %q prints %q, %v, want %q", selected, out, err, want)
		}
	}
}

func TestFailureNamesTheTest(t *testing.T) {
	for output, want := range map[string]string{
		"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/x (0.00s)\n":                      "TestA ",
		"--- FAIL: TestB (0.00s)\npanic: boom [recovered]\n":                            "TestB (panics)",
		"panic: boom\n\ngoroutine 7 [running]:\n":                                       " (panics)",
		"panic: test timed out after 1m0s\n\trunning tests:\n\t\tTestC/server (1m0s)\n": "TestC (hangs)",
		"PASS\ngoleak: Errors on successful test run: found unexpected goroutines\n":    " (leaked goroutines)",
	} {
		if name, how := failure(output); name+" "+how != want {
			t.Errorf("%q: %q %q, want %q", output, name, how, want)
		}
	}
}

func TestReadTests(t *testing.T) {
	const output = "--- PASS: TestEach (0.14s)\n" +
		"    --- PASS: TestEach/miniredis (0.10s)\n    --- SKIP: TestEach/server (0.00s)\n" +
		"--- PASS: TestKill (1.05s)\n    --- SKIP: TestKill/miniredis (0.00s)\n    --- SKIP: TestKill/server (0.00s)\n" +
		"--- SKIP: TestFailover (0.00s)\n"
	want := tests{fast: []string{"TestEach"}, slow: []string{"TestKill"}, server: []string{"TestKill", "TestFailover"}}
	if got := readTests(output); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
