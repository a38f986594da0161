package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// patch is one mutant.
type patch struct {
	name       string // of its file, without the extension
	why        string // what users would lose
	equivalent string // why no test can notice, for a patch that documents this; "" for all others
	tests      []test // of which one must fail
	edits      []edit
	text       string // of the file
}

// edit replaces whole lines of one file.
type edit struct {
	file     string // below the root of the repository, with slashes
	old, new string
}

// test is a command that may notice a mutant.
type test struct {
	kind string // go, web or fault
	args string
}

func (t test) String() string { return t.kind + ": " + t.args }

const extension = ".mutant"

// loadPatches reads the patches of a folder, sorted by name.
func loadPatches(dir string) ([]*patch, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no patches in %s", dir)
	}
	slices.Sort(files)
	var list []*patch
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p, err := parsePatch(strings.TrimSuffix(filepath.Base(file), extension), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// parsePatch reads a patch. Its format names lines by their text instead of their numbers, so that changes elsewhere in
// a file do not break it:
//
//	why: what users would lose
//	test: go ./realtime/settle TestA TestB    go test with these tests; without names, all tests of the package
//	test: web src/model/engine/engine.test.ts vitest with this file
//	test: fault -faults none -people 30       go run ./infra/fault with these flags
//	equivalent: why no test can notice        instead of tests
//	--- path/of/the/file.go
//	whole lines that occur exactly once in the file
//	+++
//	the lines that replace them, if any
//
// A patch may have several tests and several edits. The tests run in this order until one fails.
func parsePatch(name, text string) (*patch, error) {
	p := &patch{name: name, text: text}
	var to *string // where lines belong; nil in the head
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSuffix(line, "\n")
		if file, ok := strings.CutPrefix(trimmed, "--- "); ok {
			p.edits = append(p.edits, edit{file: file})
			to = &p.edits[len(p.edits)-1].old
			continue
		}
		if trimmed == "+++" && len(p.edits) > 0 {
			to = &p.edits[len(p.edits)-1].new
			continue
		}
		if to != nil {
			*to += line
			continue
		}
		key, value, _ := strings.Cut(trimmed, ": ")
		switch key {
		case "why":
			p.why = value
		case "equivalent":
			p.equivalent = value
		case "test":
			kind, args, _ := strings.Cut(value, " ")
			p.tests = append(p.tests, test{kind, args})
		default:
			return nil, fmt.Errorf("unknown line %q in the head", trimmed)
		}
	}
	switch {
	case p.why == "":
		return nil, errors.New("why is missing")
	case len(p.edits) == 0:
		return nil, errors.New("the patch changes nothing")
	case (len(p.tests) > 0) == (p.equivalent != ""):
		return nil, errors.New("a patch has either tests or a reason why it is equivalent")
	}
	for _, e := range p.edits {
		if e.old == "" || e.old == e.new {
			return nil, fmt.Errorf("an edit of %s changes nothing", e.file)
		}
	}
	return p, nil
}

// mutated returns the texts of the files that p changes, by path.
func (p *patch) mutated(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, e := range p.edits {
		text, ok := files[e.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file)))
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		// A match must begin at the beginning of a line.
		if n := strings.Count("\n"+text, "\n"+e.old); n != 1 {
			return nil, fmt.Errorf("%s contains the old lines %d times, want once:\n%s", e.file, n, e.old)
		}
		files[e.file] = strings.Replace("\n"+text, "\n"+e.old, "\n"+e.new, 1)[1:]
	}
	return files, nil
}

// checkAll verifies without compiling that every patch applies and that its tests exist.
func checkAll(root string, list []*patch) error {
	var failed []error
	for _, p := range list {
		if _, err := p.mutated(root); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
		}
		for _, t := range p.tests {
			if err := t.check(root); err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
			}
		}
	}
	return errors.Join(failed...)
}

var testName = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// check verifies that a test exists.
func (t test) check(root string) error {
	fields := strings.Fields(t.args)
	if len(fields) == 0 {
		return fmt.Errorf("test %q has no arguments", t)
	}
	switch t.kind {
	case "fault":
		return nil
	case "web":
		_, err := os.Stat(filepath.Join(root, "web", filepath.FromSlash(fields[0])))
		return err
	case "go":
		known := map[string]bool{}
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(fields[0]), "*_test.go"))
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
				known[m[1]] = true
			}
		}
		if len(known) == 0 {
			return fmt.Errorf("%s has no tests", fields[0])
		}
		for _, name := range fields[1:] {
			if !known[name] {
				return fmt.Errorf("%s has no test %s", fields[0], name)
			}
		}
		return nil
	}
	return fmt.Errorf("unknown kind of test %q", t.kind)
}
