package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// build compiles the tests of the package with other texts of some files. It returns the output of the compiler if they
// do not compile. The error is that of ctx or of the file system.
func (t *toolRun) build(ctx context.Context, binary string, texts map[string]string) (failed string, err error) {
	defer func() {
		for name := range texts {
			target := filepath.Join(t.copy, filepath.FromSlash(name))
			if text, ok := t.texts[name]; ok {
				err = errors.Join(err, os.WriteFile(target, []byte(text), 0o644))
			} else {
				err = errors.Join(err, os.Remove(target))
			}
		}
	}()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(t.copy, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	out, failedBuild := t.exec(ctx, "", nil, "go", "test", "-c", "-vet=off", "-gcflags=-e", "-ldflags=-s -w", "-o", binary,
		"./"+t.folder)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case failedBuild != nil:
		return cmp.Or(out, failedBuild.Error()), nil
	}
	return "", nil
}

var compileError = regexp.MustCompile(`(?m)^(\S+\.go):(\d+):\d+: `)

// brokenMutants returns the numbers of the mutants that a compiler reports. It names files by their base names.
func brokenMutants(p *program, folder, output string) (list []int) {
	for _, m := range compileError.FindAllStringSubmatch(output, -1) {
		line, err := strconv.Atoi(m[2])
		if n := p.mutantAt(folder+path.Base(m[1]), line); err == nil && n > 0 && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

// prepare compiles the program with all mutants that compile, and runs its tests without a mutant, to know how long
// they take, which of them fail anyway, and which of them need redis-server. Fast tests will run first.
func (t *toolRun) prepare(ctx context.Context) error {
	var p *program
	for {
		var err error
		if p, err = newProgram(t.texts, t.mutants, t.invalid); err != nil {
			return err
		}
		out, err := t.build(ctx, t.binary, p.files)
		if err != nil {
			return err
		}
		if out == "" {
			break
		}
		before := len(t.invalid)
		for _, n := range brokenMutants(p, t.folder+"/", out) {
			t.invalid[n] = true
		}
		if len(t.invalid) == before {
			return fmt.Errorf("the tests of %s do not compile:\n%s", t.folder, out)
		}
	}
	for _, n := range p.chosen {
		t.inside[n] = true
	}
	all := &variant{name: "without redis-server", env: []string{redisServer + "="}}
	out, err := t.tryUnchangedPackage(ctx, all)
	if err != nil {
		return err
	}
	tests := readTests(out)
	server := &variant{name: "with redis-server", env: []string{redisServer + "=" + t.server}, only: tests.server}
	if len(server.only) > 0 {
		if _, err := t.tryUnchangedPackage(ctx, server); err != nil {
			return err
		}
	}
	fast, slow := *all, *all
	fast.only, slow.only = tests.fast, tests.slow
	t.variants = []*variant{&fast, &slow, server}
	return nil
}

// tryUnchangedPackage runs tests of the program without a mutant, and returns their output.
func (t *toolRun) tryUnchangedPackage(ctx context.Context, v *variant) (string, error) {
	began := time.Now()
	out, failed := t.runTests(ctx, v, t.binary, 0, t.timeout, "-test.v")
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	for _, m := range failedTest.FindAllStringSubmatch(out, -1) {
		v.skip = append(v.skip, m[1])
		fmt.Fprintf(os.Stderr, "%s fails without a mutant and is left out (%s)\n", m[1], v.name)
	}
	if failed != nil && len(v.skip) == 0 {
		return "", fmt.Errorf("the tests of %s fail without a mutant (%s): %w\n%s", t.folder, v.name, failed, out)
	}
	v.took = time.Since(began)
	fmt.Fprintf(os.Stderr, "%s %s: %v\n", t.folder, v.name, v.took.Round(100*time.Millisecond))
	return out, nil
}

// tests are the names of the tests of a package, by how they run without redis-server.
type tests struct {
	fast, slow []string // slow: a second or more
	server     []string // not at all, or only a part that has nothing to do with miniredis
}

var (
	passedTest  = regexp.MustCompile(`(?m)^--- PASS: (Test\w+) \((\d+)\.`)
	skippedTest = regexp.MustCompile(`(?m)^ *--- SKIP: (Test\w+)(/miniredis)?(?: |$)`)
)

// readTests reads the output of a run without redis-server. A test that ran on miniredis is not repeated on
// redis-server, where it does the same again.
func readTests(output string) tests {
	var list tests
	for _, m := range skippedTest.FindAllStringSubmatch(output, -1) {
		if !slices.Contains(list.server, m[1]) {
			list.server = append(list.server, m[1])
		}
	}
	for _, m := range passedTest.FindAllStringSubmatch(output, -1) {
		if m[2] == "0" {
			list.fast = append(list.fast, m[1])
		} else {
			list.slow = append(list.slow, m[1])
		}
	}
	return list
}

// runTests runs a test binary in the folder of the package, with a mutant of the program.
func (t *toolRun) runTests(ctx context.Context, v *variant, binary string, n int, limit time.Duration, args ...string,
) (string, error) {
	env := append(slices.Clone(v.env), fmt.Sprintf("%s=%d", selector, n))
	args = append(args, "-test.timeout="+limit.String())
	if len(v.only) > 0 && !slices.ContainsFunc(args, isRun) {
		args = append(args, "-test.run=^("+strings.Join(v.only, "|")+")$")
	}
	if len(v.skip) > 0 {
		args = append(args, "-test.skip=^("+strings.Join(v.skip, "|")+")$")
	}
	return t.exec(ctx, t.folder, env, binary, args...)
}

func isRun(arg string) bool { return strings.HasPrefix(arg, "-test.run=") }

// tryMutant runs the tests with a mutant until one fails. That test must fail a second time, when it runs alone, so
// that a busy machine notices nothing.
func (t *toolRun) tryMutant(ctx context.Context, j job) (outcome, by string, err error) {
	if t.invalid[j.n] {
		return invalid, "", nil
	}
	binary := t.binary
	if !t.inside[j.n] { // outside of functions
		t.single.Lock()
		defer t.single.Unlock()
		binary += "-single"
		failed, err := t.build(ctx, binary, map[string]string{j.File: j.mutated})
		if failed != "" || err != nil {
			return invalid, "", err
		}
	}
	for _, v := range t.variants {
		by, err := t.notice(ctx, v, binary, j.n)
		if err != nil || by != "" {
			return noticed, by, err
		}
	}
	return survived, "", nil
}

// attempts limits how often the tests are run because one of them failed only once.
const attempts = 5

// notice returns the test that fails, or "" if all pass. The error is that of ctx.
func (t *toolRun) notice(ctx context.Context, v *variant, binary string, n int) (by string, err error) {
	if len(v.only) == 0 {
		return "", nil
	}
	limit := max(time.Minute, 3*v.took)
	once := *v // with the tests that have failed once
	once.skip = slices.Clone(v.skip)
	for range attempts {
		out, failed := t.runTests(ctx, &once, binary, n, limit, "-test.failfast")
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if failed == nil {
			return "", nil
		}
		name, how := failure(out)
		again := "-test.failfast"
		if name != "" {
			again = "-test.run=^" + name + "$"
		}
		out, failed = t.runTests(ctx, &once, binary, n, limit, again)
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if failed != nil {
			_, how = failure(out)
			return cmp.Or(strings.TrimSpace(name+" "+how), "fails"), nil
		}
		fmt.Fprintf(os.Stderr, "%s %s failed once and then passed\n", name, how)
		if name != "" {
			once.skip = append(once.skip, name)
		}
	}
	return "", nil
}

var runningTest = regexp.MustCompile(`(?m)^\t+(Test\w+)\S* \(`)

// failure returns the top-level test that failed, or "" if the output does not name it, and how it failed if that is
// not a failed check.
func failure(output string) (name, how string) {
	if m := failedTest.FindStringSubmatch(output); m != nil {
		name = m[1]
	}
	switch {
	case strings.Contains(output, "panic: test timed out"):
		if m := runningTest.FindStringSubmatch(output); m != nil {
			name = m[1]
		}
		how = "(hangs)"
	case strings.Contains(output, "panic: ") || strings.Contains(output, "fatal error: "):
		how = "(panics)"
	case strings.Contains(output, "goleak: ") && name == "":
		how = "(leaked goroutines)"
	}
	return name, how
}
