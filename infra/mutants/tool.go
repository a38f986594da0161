package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// gremlins lists the mutants of a package. Its own runs are not used: they cannot be continued, count a mutant that
// does not compile as killed, and count a test that failed because the machine was busy as well.
const gremlins = "github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0"

// replacements are the tokens that gremlins replaces, by the type of the mutant. The types for bits are missing, since
// gremlins takes the address operator for one.
var replacements = map[string]map[string]string{
	"ARITHMETIC_BASE":         {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*"},
	"CONDITIONALS_BOUNDARY":   {">=": ">", ">": ">=", "<=": "<", "<": "<="},
	"CONDITIONALS_NEGATION":   {"==": "!=", "!=": "==", ">=": "<", "<": ">=", ">": "<=", "<=": ">"},
	"INCREMENT_DECREMENT":     {"++": "--", "--": "++"},
	"INVERT_ASSIGNMENTS":      {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*="},
	"INVERT_LOGICAL":          {"&&": "||", "||": "&&"},
	"INVERT_LOOPCTRL":         {"break": "continue", "continue": "break"},
	"INVERT_NEGATIVES":        {"-": "+"},
	"REMOVE_SELF_ASSIGNMENTS": {"+=": "=", "-=": "=", "*=": "=", "/=": "=", "%=": "="},
}

// Outcomes of a mutant of the tool, besides noticed and survived.
const invalid = "invalid" // does not compile

// mutant replaces one token of a Go file.
type mutant struct {
	File   string `json:"file"` // below the root of the repository, with slashes
	Line   int    `json:"line"`
	Column int    `json:"column"` // in bytes
	Type   string `json:"type"`
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d:%d %s", m.File, m.Line, m.Column, m.Type) }

// toolResult is what happened to a mutant.
type toolResult struct {
	mutant
	FileDigest string        `json:"file_digest"` // of the file without the mutant
	Package    string        `json:"package"`     // digest of all files of the package, with its tests
	Outcome    string        `json:"outcome"`
	By         string        `json:"by,omitempty"` // test that failed
	Took       time.Duration `json:"took"`
}

// find returns the offset of the token to replace in the text of the file, the token, and its replacement.
func (m mutant) find(text string) (offset int, from, to string, err error) {
	rest := text
	for range m.Line - 1 {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	if m.Column > len(rest) {
		return 0, "", "", fmt.Errorf("%v: the file has no such position", m)
	}
	rest = rest[m.Column-1:]
	for token := range replacements[m.Type] {
		if strings.HasPrefix(rest, token) && len(token) > len(from) {
			from = token
		}
	}
	if from == "" {
		return 0, "", "", fmt.Errorf("%v: the token to replace is not there", m)
	}
	return len(text) - len(rest), from, replacements[m.Type][from], nil
}

// apply returns the text of the file with the mutant, and the line of code before and after.
func (m mutant) apply(text string) (mutated, before, after string, err error) {
	offset, from, to, err := m.find(text)
	if err != nil {
		return "", "", "", err
	}
	mutated = text[:offset] + to + text[offset+len(from):]
	line := func(text string) string { return strings.TrimSpace(strings.Split(text, "\n")[m.Line-1]) }
	return mutated, line(text), line(mutated), nil
}

// listMutants returns the mutants of the package, without its subfolders, in the order of their positions. The list is
// kept until the package changes.
func (t *toolRun) listMutants(ctx context.Context) ([]mutant, error) {
	file := filepath.Join(filepath.Dir(t.copy), "gremlins-"+t.code+".json")
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		args := []string{"run", gremlins, "unleash", "--dry-run", "--silent", "--output", file, "--exclude-files", "/"}
		for kind := range replacements {
			args = append(args, "--"+strings.ReplaceAll(strings.ToLower(kind), "_", "-"))
		}
		// The list does not depend on redis-server, and gremlins gives up if one test fails, so the slowest tests are
		// left out.
		env := []string{redisServer + "="}
		if out, err := t.exec(ctx, "", env, "go", append(args, "./"+t.folder)...); err != nil {
			return nil, fmt.Errorf("gremlins: %w\n%s", err, out)
		}
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	var report struct {
		Files []struct {
			Name      string `json:"file_name"`
			Mutations []struct {
				Line   int    `json:"line"`
				Column int    `json:"column"`
				Type   string `json:"type"`
			} `json:"mutations"`
		} `json:"files"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("gremlins: %w", err)
	}
	var list []mutant
	for _, f := range report.Files {
		for _, found := range f.Mutations {
			list = append(list, mutant{path.Join(t.folder, f.Name), found.Line, found.Column, found.Type})
		}
	}
	slices.SortFunc(list, mutant.compare)
	return list, nil
}

// compare orders mutants by position.
func (m mutant) compare(o mutant) int {
	return cmp.Or(cmp.Compare(m.File, o.File), cmp.Compare(m.Line, o.Line), cmp.Compare(m.Column, o.Column),
		cmp.Compare(m.Type, o.Type))
}

// variant is a way to run the tests of a package.
type variant struct {
	name string
	env  []string
	took time.Duration // without a mutant
	only []string      // tests to run
	skip []string      // tests that fail without a mutant
}

// toolRun tries the mutants of one package.
type toolRun struct {
	*runner
	folder   string            // of the package
	digest   string            // of the package
	code     string            // digest of the package without tests
	texts    map[string]string // files of the package without tests, by path
	mutants  []mutant
	invalid  map[int]bool // numbers of the mutants that do not compile
	inside   map[int]bool // numbers of the mutants that the program contains
	binary   string       // of the program's tests
	single   sync.Mutex   // held while a mutant that the program does not contain is compiled and tried
	server   string       // path of redis-server
	variants []*variant
	known    map[mutant]toolResult
}

// runTool tries the mutants that gremlins finds in a package, and prints those that survive. Results are appended to
// .cache/mutants/tool.jsonl, so that a run continues where it was interrupted. A noticed mutant is tried again when its
// file has changed, a survivor when anything in its package has changed.
func runTool(ctx context.Context, root, folder string, s settings) error {
	server, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is not in PATH; without it, tests on a real Redis would notice nothing")
	}
	r, err := newRunner(root, s)
	if err != nil {
		return err
	}
	t := &toolRun{runner: r, folder: path.Clean(filepath.ToSlash(folder)), server: server, texts: map[string]string{},
		invalid: map[int]bool{}, inside: map[int]bool{}, known: map[mutant]toolResult{}}
	t.binary = filepath.Join(filepath.Dir(r.copy), "tool.test")
	file := filepath.Join(filepath.Dir(t.copy), "tool.jsonl")
	if err := t.readPackage(); err != nil {
		return err
	}
	if err := t.loadKnown(file); err != nil {
		return err
	}
	if t.mutants, err = t.listMutants(ctx); err != nil {
		return err
	}
	results, err := t.tryAll(ctx, file)
	t.printResults(os.Stdout, results)
	return err
}

// redisServer is the variable that names the redis-server of tests.
const redisServer = "PHOENIX_TEST_REDIS_SERVER"

// tryAll returns the results of the mutants, also those that are known, and appends the new ones to file. It tries
// several mutants at once, because many tests wait.
func (t *toolRun) tryAll(ctx context.Context, file string) ([]toolResult, error) {
	var results []toolResult
	var todo []job
	tried := map[string]bool{} // texts: gremlins lists some changes under two types
	for i, m := range t.mutants {
		mutated, _, _, err := m.apply(t.texts[m.File])
		if err != nil {
			return nil, err
		}
		if !t.only.MatchString(m.String()) || tried[m.File+mutated] {
			continue
		}
		tried[m.File+mutated] = true
		if res, ok := t.known[m]; ok {
			results = append(results, res)
		} else {
			todo = append(todo, job{m, i + 1, mutated})
		}
	}
	if len(todo) == 0 {
		return results, nil
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return results, err
	}
	defer out.Close()
	if err := t.prepare(ctx); err != nil {
		return results, err
	}
	var mu sync.Mutex // guards results and out
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(t.workers)
	for _, j := range todo {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			res, err := t.tryJob(ctx, j)
			if err != nil {
				return err
			}
			line, err := json.Marshal(res)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			results = append(results, res)
			fmt.Fprintf(os.Stderr, "%d/%d %v: %s %s (%v)\n", len(results), len(t.mutants), j.mutant, res.Outcome, res.By,
				res.Took)
			_, err = out.Write(append(line, '\n'))
			return err
		})
	}
	return results, g.Wait()
}

// job is a mutant to try.
type job struct {
	mutant
	n       int    // its number
	mutated string // text of its file
}

func (t *toolRun) tryJob(ctx context.Context, j job) (toolResult, error) {
	began := time.Now()
	outcome, by, err := t.tryMutant(ctx, j)
	return toolResult{
		mutant: j.mutant, FileDigest: textDigest([]byte(t.texts[j.File])), Package: t.digest, Outcome: outcome, By: by,
		Took: time.Since(began).Round(100 * time.Millisecond),
	}, err
}

// readPackage reads the files of the package.
func (t *toolRun) readPackage() error {
	entries, err := os.ReadDir(filepath.Join(t.root, filepath.FromSlash(t.folder)))
	if err != nil {
		return err
	}
	all, code := sha256.New(), sha256.New()
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		name := path.Join(t.folder, e.Name())
		text, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		fmt.Fprintln(all, name, textDigest(text))
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			t.texts[name] = string(text)
			fmt.Fprintln(code, name, textDigest(text))
		}
	}
	t.digest = hex.EncodeToString(all.Sum(nil))[:16]
	t.code = hex.EncodeToString(code.Sum(nil))[:16]
	return nil
}

// loadKnown reads the results that are still valid.
func (t *toolRun) loadKnown(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) || t.again {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		var res toolResult
		// An interrupted run may have written a part of the last line.
		if json.Unmarshal(line, &res) == nil && res.FileDigest == textDigest([]byte(t.texts[res.File])) &&
			(res.Outcome != survived || res.Package == t.digest) {
			t.known[res.mutant] = res
		}
	}
	return nil
}

func textDigest(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:])[:16]
}

// printResults writes the counts and the survivors as Markdown.
func (t *toolRun) printResults(w io.Writer, results []toolResult) {
	slices.SortFunc(results, func(a, b toolResult) int { return a.compare(b.mutant) })
	count := map[string]int{}
	var took time.Duration
	for _, res := range results {
		count[res.Outcome]++
		took += res.Took
		if res.Outcome != survived {
			continue
		}
		text, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(res.File)))
		if err != nil {
			continue
		}
		_, before, after, err := res.apply(string(text))
		if err == nil {
			fmt.Fprintf(w, "- %v: `%s` → `%s`\n", res.mutant, before, after)
		}
	}
	percent := 100 * float64(count[noticed]) / max(1, float64(count[noticed]+count[survived]))
	fmt.Fprintf(w, "\n%s: %d mutants: %d noticed, %d survived, %d do not compile; %.1f %% noticed, %v\n", t.folder,
		len(results), count[noticed], count[survived], count[invalid], percent, took.Round(time.Second))
}

// exec runs a program in a folder of the copy and returns its output. env is added to the environment. The program and
// those that it starts do not outlive ctx.
func (r *runner) exec(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = filepath.Join(r.copy, filepath.FromSlash(dir))
	cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	output, err := cmd.CombinedOutput()
	return string(output), err
}
