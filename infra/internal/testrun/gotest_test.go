package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
	"io"
	"sync/atomic"
)

// stream is the output of `go test -json` for packages that end in every possible way, reduced to the fields that are
// read.
const stream = `
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestParent"}
{"Action":"run","Package":"m/a","Test":"TestParent/good"}
{"Action":"pass","Package":"m/a","Test":"TestParent/good"}
{"Action":"output","Package":"m/a","Test":"TestParent/bad","Output":"    a_test.go:5: wrong colour\n"}
{"Action":"fail","Package":"m/a","Test":"TestParent/bad"}
{"Action":"fail","Package":"m/a","Test":"TestParent"}
{"Action":"pass","Package":"m/a","Test":"TestAlone"}
{"Action":"pass","Package":"m/a","Test":"TestSuite/cluster/case"}
{"Action":"pass","Package":"m/a","Test":"TestSuite/cluster"}
{"Action":"pass","Package":"m/a","Test":"TestSuite"}
{"Action":"output","Package":"m/a","Test":"TestSkipped","Output":"=== RUN   TestSkipped\n"}
{"Action":"output","Package":"m/a","Test":"TestSkipped","Output":"    a_test.go:9: no such server here\n"}
{"Action":"output","Package":"m/a","Test":"TestSkipped","Output":"--- SKIP: TestSkipped (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestSkipped"}
{"Action":"fail","Package":"m/a","Elapsed":1.5}
{"ImportPath":"m/b [m/b.test]","Action":"build-output","Output":"b.go:3:1: syntax error\n"}
{"ImportPath":"m/b [m/b.test]","Action":"build-fail"}
{"Action":"start","Package":"m/b"}
{"Action":"fail","Package":"m/b","Elapsed":0,"FailedBuild":"m/b [m/b.test]"}
{"Action":"run","Package":"m/c","Test":"TestPanics"}
{"Action":"output","Package":"m/c","Test":"TestPanics","Output":"panic: out of cheese\n"}
{"Action":"output","Package":"m/c","Output":"FAIL\tm/c\n"}
{"Action":"fail","Package":"m/c","Elapsed":0.1}
{"Action":"pass","Package":"m/d","Elapsed":0.1}
{"Action":"run","Package":"m/e","Test":"TestInABubble"}
{"Action":"output","Package":"m/e","Test":"TestInABubble","Output":"ThreadSanitizer: CHECK failed: tsan_rtl.cpp:282\n"}
{"Action":"fail","Package":"m/e","Elapsed":0.1}
{"Action":"output","Package":"m/f","Test":"TestInABubble","Output":"SIGSEGV: segmentation violation\n"}
{"Action":"output","Package":"m/f","Test":"TestX","Output":"goroutine 0 gp=0x4 m=0 [idle, synctest bubble 12]:\n"}
{"Action":"fail","Package":"m/f","Elapsed":0.1}
not an event
`

func TestGoResults(t *testing.T) {
	var out bytes.Buffer
	g := newGoResults(&out)
	if err := g.read(strings.NewReader(strings.TrimSpace(stream) + "\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := g.tally.String(), "3 passed, 3 failed, 1 skipped"; got != want {
		t.Errorf("tally %v, want %v", got, want)
	}
	wrong := []string{"m/a TestParent/bad", "m/b: the package did not build, or did not run to its end",
		"m/c: the package did not build, or did not run to its end"}
	if !slices.Equal(g.tally.failures, wrong) {
		t.Errorf("failures %q, want %q", g.tally.failures, wrong)
	}
	if !slices.Equal(g.crashed, []string{"m/e", "m/f"}) {
		t.Errorf("crashed %q", g.crashed)
	}
	if g.skips["no such server here"] != 1 || len(g.skips) != 1 {
		t.Errorf("skips %v", g.skips)
	}
	for _, want := range []string{"wrong colour", "syntax error", "out of cheese", "not an event",
		"3 passed, 1 failed, 1 skipped, 1 on cluster"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestCountedPrograms(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		script string
		want   string
	}{
		"counted": {"echo 1 passed, 0 failed; echo 7 passed, 0 failed, 2 skipped",
			"7 passed, 0 failed, 2 skipped"},
		"counted with failure": {"echo 7 passed, 1 failed, 0 skipped; exit 1", "7 passed, 1 failed, 0 skipped"},
		"failed after all":     {"echo 7 passed, 0 failed, 0 skipped; exit 1", "7 passed, 1 failed, 0 skipped"},
		"not counted":          {"true", "1 passed, 0 failed, 0 skipped"},
		"broken":               {"exit 3", "0 passed, 1 failed, 0 skipped"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r := &run{root: dir, out: &bytes.Buffer{}}
		got := r.counted(t.Context(), nil, path)
		if got.String() != c.want || len(got.failures) != got.failed {
			t.Errorf("%s: %v with %q, want %v", name, got, got.failures, c.want)
		}
	}
}

func TestReports(t *testing.T) {
	for name, c := range map[string]struct {
		read   func(string) (tally, error)
		report string
		want   string
		failed []string
	}{
		"vitest": {vitestReport, `{"testResults":[
			{"name":"/x/a.test.ts","assertionResults":[
				{"fullName":"a works","status":"passed"},
				{"fullName":"a breaks","status":"failed","failureMessages":["Error: 1 is not 2\n  at x"]},
				{"fullName":"a later","status":"todo"}]},
			{"name":"/x/b.test.ts","assertionResults":[],"message":"no such module"}]}`,
			"1 passed, 2 failed, 1 skipped", []string{"a.test.ts a breaks: Error: 1 is not 2", "b.test.ts: no such module"}},
		"playwright": {playwrightReport, `{"suites":[{"specs":[
				{"title":"it shows","file":"a.spec.ts","line":3,"tests":[{"projectName":"system","status":"expected"}]}],
			"suites":[{"specs":[
				{"title":"it hides","file":"a.spec.ts","line":9,"tests":[
					{"projectName":"system","status":"unexpected","results":[
						{"errors":[{"message":"Error: \u001b[31mnot hidden\u001b[39m\n\nLocator: b\nExpected: 1\n\nCall log",
							"location":{"line":12}}]}]},
					{"projectName":"view","status":"flaky","results":[{"errors":[{"message":"late"}]},{}]},
					{"projectName":"firefox","status":"skipped"}]}]}]}],
			"errors":[{"message":"Error: the launcher ended"}]}`,
			"1 passed, 3 failed, 1 skipped", []string{
				"[system] a.spec.ts:9 it hides: line 12: Error: not hidden; Locator: b; Expected: 1",
				"[view] a.spec.ts:9 it hides: late", "Error: the launcher ended"}},
	} {
		path := filepath.Join(t.TempDir(), "report.json")
		if err := os.WriteFile(path, []byte(c.report), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := c.read(path)
		if err != nil || got.String() != c.want || !slices.Equal(got.failures, c.failed) {
			t.Errorf("%s: %v with %q, %v; want %s with %q", name, got, got.failures, err, c.want, c.failed)
		}
	}
}

// Background stages run concurrently with the others. The summary names each failure and each stage over budget.
func TestBackgroundStages(t *testing.T) {
	t.Chdir(t.TempDir())
	defer func(all []stage) { stages = all }(stages)
	met := make(chan struct{})
	meet := func(*run, context.Context) (t tally) {
		select {
		case met <- struct{}{}:
		case <-met:
		}
		t.fail("late", "why\nand how")
		return t
	}
	stages = []stage{
		{name: "slow", do: meet, background: true, budget: time.Hour},
		{name: "slow too", do: (*run).nothing, background: true, budget: -time.Second},
		{name: "quick", do: meet, budget: time.Minute},
	}
	var out bytes.Buffer
	r := &run{root: t.TempDir(), out: &syncWriter{w: &out}}
	if r.all(t.Context()) {
		t.Error("the run passed in spite of failures")
	}
	end := out.String()[strings.Index(out.String(), "\nsetup"):]
	at := 0
	for _, want := range []string{"slow ", "slow too ", "quick ", "of   60 s", "all ", "--- FAIL: slow: late: why\n",
		"warning: over the time budget: slow too (1 s over)\n", "1 passed, 2 failed, 0 skipped\n"} {
		i := strings.Index(end[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing or in the wrong place:\n%s", want, end)
		}
		at += i
	}
	if !strings.HasSuffix(end, "1 passed, 2 failed, 0 skipped\n") {
		t.Errorf("the total is not the last line:\n%s", end)
	}
}

// A background stage that must run after another one waits for it, also if that one failed.
func TestStageAfterAnother(t *testing.T) {
	defer func(all []stage) { stages = all }(stages)
	var ended atomic.Bool
	stages = []stage{
		{name: "later", background: true, after: "first", do: func(*run, context.Context) tally {
			if !ended.Load() {
				t.Error("the stage ran before the one that it must run after")
			}
			return tally{passed: 1}
		}},
		{name: "first", do: func(*run, context.Context) (out tally) {
			time.Sleep(time.Second) // on the fake clock: a stage that does not wait would run first
			ended.Store(true)
			out.fail("first", "why")
			return out
		}},
	}
	for _, only := range [][]string{nil, {"later"}} { // a stage that is left out is not waited for
		synctest.Test(t, func(t *testing.T) {
			r := &run{root: t.TempDir(), out: &syncWriter{w: io.Discard}, only: only}
			if ok := r.all(t.Context()); ok != (only != nil) {
				t.Errorf("only %v: passed = %v", only, ok)
			}
		})
	}
}

func (r *run) nothing(context.Context) tally { return tally{passed: 1} }

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-only", "nonsense"}, {"-without", "nonsense"}, {"extra"}, {"-nonsense"}} {
		if ok, err := start(t.Context(), args, &bytes.Buffer{}); ok || err == nil {
			t.Errorf("%v: %v, %v", args, ok, err)
		}
	}
	var out bytes.Buffer
	_, err := start(t.Context(), []string{"-help"}, &out)
	if err == nil || !strings.Contains(out.String(), "browser-emulators") {
		t.Errorf("-help: %v\n%s", err, out.String())
	}
}

// A package runs again if the race detector crashed in it. If it crashes at every attempt, the package fails.
func TestRepeatsAfterACrashOfTheRaceDetector(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for crashes, want := range map[int]string{1: "1 passed, 0 failed, 0 skipped", 9: "0 passed, 1 failed, 0 skipped"} {
		count := filepath.Join(t.TempDir(), "count")
		script := fmt.Sprintf(`#!/bin/sh
echo x >>%[1]s
if [ $(wc -l <%[1]s) -le %[2]d ]; then
  echo '{"Action":"output","Package":"m/e","Output":"ThreadSanitizer: CHECK failed"}'
  echo '{"Action":"fail","Package":"m/e"}'
  exit 1
fi
echo '{"Action":"pass","Package":"m/e","Test":"TestX"}'
echo '{"Action":"pass","Package":"m/e"}'
`, count, crashes)
		if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		r := &run{root: t.TempDir(), out: &bytes.Buffer{}}
		if got := r.goTest(t.Context(), nil, []string{"test"}, []string{"./..."}); got.String() != want {
			t.Errorf("%d crashes: %v, want %s\n%s", crashes, got, want, r.out)
		}
	}
}

func TestChromiumReplacesItsShell(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("CHROMIUM", "")
	whole := filepath.Join(dir, "chromium")
	if err := os.WriteFile(whole, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := &run{root: t.TempDir(), out: &bytes.Buffer{}, without: []string{"node"}}
	if got := r.setup(t.Context(), []stage{{name: "browser"}}); !got.none() || r.parts["chromium-shell"].path != whole {
		t.Errorf("%v, %v", got, r.parts)
	}
}

func TestOldFirefoxIsMissing(t *testing.T) {
	for _, c := range []struct {
		prints string
		want   string // in the error; "" if it is found
	}{
		{"echo Mozilla Firefox 153.8.0esr", ""},
		{"echo Mozilla Firefox 160.0", ""},
		{"echo Mozilla Firefox 140.10.2esr", "is version 140"},
		{"echo Mozilla Firefox", "no version"},
		{"exit 1", "--version: exit status 1"},
	} {
		program := filepath.Join(t.TempDir(), "firefox")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.prints+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("FIREFOX", program)
		_, err := findFirefox(t.Context())
		if found := err == nil; found != (c.want == "") || (!found && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.prints, err, c.want)
		}
	}
}

func TestMissingPart(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // nothing is installed, and nothing can be
	t.Setenv("JAVA_HOME", "")
	t.Setenv("CLOUDSDK_ROOT_DIR", "")
	fault := []stage{{name: "fault"}}
	var out bytes.Buffer
	r := &run{root: t.TempDir(), out: &out}
	if got := r.setup(t.Context(), fault); got.failed != 2 || !strings.Contains(out.String(), "missing: redis-server") {
		t.Errorf("%v\n%s", got, out.String())
	}
	r = &run{root: t.TempDir(), out: &out, without: []string{"redis-server", "node"}}
	if got := r.setup(t.Context(), fault); !got.none() || len(r.missing([]string{"redis-server"})) != 1 {
		t.Errorf("%v", got)
	}
}

// Tests that need redis-server fail if it is missing, and skip only if the caller leaves it out.
func TestRedisServerIsRequired(t *testing.T) {
	without := []string{"firestore", "pubsub", "java"}
	for _, c := range []struct {
		without []string
		want    int
	}{{without, 1}, {append(slices.Clip(without), "redis-server"), 0}} {
		r := &run{root: t.TempDir(), out: &bytes.Buffer{}, without: c.without, parts: map[string]part{}}
		if env, failed := r.backends(t.Context()); len(env) != c.want || !failed.none() {
			t.Errorf("without %v: %v, %v", c.without, env, failed)
		}
	}
}

// A renamed package would silently lose its entry in these lists.
func TestNamedPackagesExist(t *testing.T) {
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(withoutRace)), slowFirst) {
		if found, err := filepath.Glob(filepath.Join(root, name, "*_test.go")); err != nil || len(found) == 0 {
			t.Errorf("%s has no tests (%v)", name, err)
		}
	}
}

// A stage that runs alone must find the tools that it needs, or it would be skipped though they are there.
func TestStagesFindTheirTools(t *testing.T) {
	for _, s := range stages {
		for _, need := range s.needs {
			found := slices.ContainsFunc(tools, func(tool tool) bool {
				return tool.name == need && slices.Contains(tool.stages, s.name)
			})
			if !found {
				t.Errorf("the stage %s needs %s, which is not looked for when it runs alone", s.name, need)
			}
		}
	}
}

func TestLineLength(t *testing.T) {
	root := t.TempDir()
	for _, dir := range goFolders {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := &run{root: root, out: &bytes.Buffer{}}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("infra/fits.go", "package x\n\t//"+strings.Repeat("ü", maxColumns-3)+"\n")
	write("infra/other.txt", strings.Repeat("x", 500))
	if err := r.lineLength(); err != nil {
		t.Errorf("lines that fit: %v", err)
	}
	write("realtime/long.go", "package x\n//"+strings.Repeat("x", maxColumns-1)+"\n")
	err := r.lineLength()
	if err == nil || !strings.Contains(err.Error(), "realtime/long.go:2: the line has 121 columns") {
		t.Errorf("a line of 121 columns: %v", err)
	}
}
