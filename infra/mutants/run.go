package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/emulators"
)

// Outcomes of a patch.
const (
	noticed    = "noticed"
	survived   = "SURVIVED"
	equivalent = "equivalent" // survives by its nature; see patch.equivalent
	broken     = "BROKEN"     // does not compile, or its test fails without it
)

// result is what happened to one patch.
type result struct {
	Name    string        `json:"name"`
	Code    string        `json:"code"`  // digest of the code that the tests of the patch depend on
	Patch   string        `json:"patch"` // digest of the patch
	Outcome string        `json:"outcome"`
	By      string        `json:"by,omitempty"` // test that failed, or what is wrong
	Took    time.Duration `json:"took"`
	Why     string        `json:"why"`
}

func (r result) good() bool { return r.Outcome == noticed || r.Outcome == equivalent }

// runner applies patches to a copy of the repository.
type runner struct {
	settings
	root, copy, file string              // the repository, its copy, and the file of results
	files            map[string]string   // digests of the files in the copy, by path with slashes
	code             map[string]string   // digests of what groups of tests depend on; see test.group
	known            map[string]result   // by name, patch and code
	named            map[string][]string // the tests of a group that patches name
	fails            map[string]failed   // of a group on the unchanged copy

	firestore *emulators.Server // nil until a test needs it
}

func newRunner(root string, s settings) (*runner, error) {
	dir := filepath.Join(root, ".cache", "mutants")
	r := &runner{settings: s, root: root, copy: filepath.Join(dir, "copy"), file: filepath.Join(dir, "results.jsonl"),
		code: map[string]string{}, known: map[string]result{}, named: map[string][]string{}, fails: map[string]failed{}}
	var err error
	if r.files, err = copyTree(root, r.copy); err != nil {
		return nil, fmt.Errorf("copy the repository: %w", err)
	}
	if s.again {
		return r, nil
	}
	text, err := os.ReadFile(r.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var res result
		// An interrupted run may have written a part of the last line.
		if json.Unmarshal(line, &res) == nil && res.Outcome != broken {
			r.known[res.key()] = res
		}
	}
	return r, nil
}

// key identifies what a result is about.
func (r result) key() string { return r.Name + " " + r.Patch + " " + r.Code }

// run tries the patches and returns their results, also those that are known.
func (r *runner) run(ctx context.Context, list []*patch) ([]result, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is not in PATH; without it, tests on a real Redis would notice nothing")
	}
	defer r.stopFirestore()
	out, err := os.OpenFile(r.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	var results []result
	var fresh []*patch
	for _, p := range list {
		res, err := r.untried(ctx, p)
		if err != nil {
			return results, err
		}
		if known, ok := r.known[res.key()]; ok {
			results = append(results, known)
			continue
		}
		fresh = append(fresh, p)
		for _, t := range p.tests {
			r.named[t.group()] = append(r.named[t.group()], t.names()...)
		}
	}
	for i, p := range fresh {
		res, err := r.untried(ctx, p)
		if err != nil {
			return results, err
		}
		began := time.Now()
		if p.equivalent != "" {
			res.Outcome, res.By = equivalent, p.equivalent
		} else if res.Outcome, res.By, err = r.try(ctx, p); err != nil {
			return results, err
		}
		res.Took = time.Since(began).Round(100 * time.Millisecond)
		fmt.Fprintf(os.Stderr, "%d/%d %s: %s %s (%v)\n", i+1, len(fresh), res.Name, res.Outcome, res.By, res.Took)
		line, err := json.Marshal(res)
		if err != nil {
			return results, err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return results, err
		}
		results = append(results, res)
	}
	return results, nil
}

// untried returns the result of p without an outcome.
func (r *runner) untried(ctx context.Context, p *patch) (result, error) {
	code, err := r.codeOf(ctx, p)
	return result{Name: p.name, Code: code, Patch: digest(p.text), Why: p.why}, err
}

// try runs the tests of p until one fails with the patch and not without it. The error is that of ctx or of the file
// system.
func (r *runner) try(ctx context.Context, p *patch) (outcome, by string, err error) {
	files, err := p.mutated(r.root)
	if err != nil {
		return "", "", err
	}
	for _, t := range p.tests {
		if err := r.startFirestore(ctx, t); err != nil {
			return "", "", err
		}
		if err := r.tryUnchanged(ctx, t); err != nil {
			return "", "", err
		}
		if bad := r.fails[t.group()].among(t); bad != "" {
			return broken, "fails without the patch: " + bad, nil
		}
		output, failed, err := r.runPatched(ctx, files, t)
		switch {
		case err != nil:
			return "", "", err
		case failed != nil && strings.Contains(output, "[build failed]"):
			return broken, "the patch does not compile", nil
		case failed != nil:
			return noticed, t.failure(output, failed), nil
		}
	}
	return survived, "", nil
}

// runPatched runs a test with other texts of some files, and restores these. failed is why the test fails, and err is
// that of ctx or of the file system.
func (r *runner) runPatched(ctx context.Context, files map[string]string, t test) (output string, failed, err error) {
	defer func() {
		for file := range files {
			text, readErr := os.ReadFile(filepath.Join(r.root, file))
			err = errors.Join(err, readErr)
			if readErr == nil {
				err = errors.Join(err, os.WriteFile(filepath.Join(r.copy, file), text, 0o644))
			}
		}
	}()
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(r.copy, file), []byte(text), 0o644); err != nil {
			return "", nil, err
		}
	}
	output, failed = r.runTest(ctx, t, false)
	if ctx.Err() != nil {
		return "", nil, context.Cause(ctx)
	}
	return output, failed, nil
}

var errTimeout = errors.New("not finished in time")

// runTest runs a command in the copy, to its end or to the first failure. It returns the output, and an error unless
// the command passes.
func (r *runner) runTest(ctx context.Context, t test, toEnd bool) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, errTimeout)
	defer cancel()
	name, args, dir := t.command(toEnd, r.fails[t.group()])
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = filepath.Join(r.copy, dir)
	server, _ := exec.LookPath("redis-server")
	cmd.Env = append(os.Environ(), "PHOENIX_TEST_REDIS_SERVER="+server, "NO_COLOR=1", "FORCE_COLOR=0")
	if r.firestore != nil {
		cmd.Env = append(cmd.Env, "PHOENIX_TEST_FIRESTORE="+r.firestore.Addr)
	}
	// go test and npx start other processes, which must not outlive the command.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	output, err := cmd.CombinedOutput()
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		err = errTimeout
	}
	return string(output), err
}

// failed are the names of the tests of a command that fail on the unchanged copy. "" stands for the command itself.
type failed []string

// among returns what t cannot rely on, or "".
func (f failed) among(t test) string {
	for _, name := range f {
		if name == "" {
			return t.String()
		}
		if slices.Contains(t.names(), name) {
			return name
		}
	}
	return ""
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// tryUnchanged runs t on the unchanged copy, once, with all tests of the same package that patches name. A patch must
// not name a test that fails there. If t is a whole package, the tests of it that fail there, perhaps because the
// machine is busy, are left out when patches are tried.
func (r *runner) tryUnchanged(ctx context.Context, t test) error {
	if _, tried := r.fails[t.group()]; tried {
		return nil
	}
	all := t
	if names := r.named[t.group()]; len(names) > 0 {
		slices.Sort(names)
		all.args = strings.Fields(t.args)[0] + " " + strings.Join(slices.Compact(names), " ")
	}
	output, err := r.runTest(ctx, all, true)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	names := failed{}
	if err != nil && t.kind == "go" {
		for _, m := range failedTest.FindAllStringSubmatch(output, -1) {
			names = append(names, m[1])
		}
	}
	if err != nil && len(names) == 0 {
		names = failed{""}
	}
	r.fails[t.group()] = names
	return nil
}

// startFirestore starts the emulator if t needs it. Without it, the tests of that store would skip and notice nothing.
func (r *runner) startFirestore(ctx context.Context, t test) error {
	if r.firestore != nil || t.kind != "go" || strings.Fields(t.args)[0] != "./functions/store/storefirestore" {
		return nil
	}
	server, err := emulators.Firestore(ctx)
	r.firestore = server
	return err
}

func (r *runner) stopFirestore() {
	if r.firestore != nil {
		r.firestore.Stop()
	}
}
