package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stream is what `go test -json` wrote for a package with every way to end, cut to what is read.
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
not an event
`

func TestGoEventsAreSummedUp(t *testing.T) {
	var out bytes.Buffer
	g := newGoEvents(&out)
	if err := g.read(strings.NewReader(strings.TrimSpace(stream) + "\n")); err != nil {
		t.Fatal(err)
	}
	if want := (tally{passed: 3, failed: 3, skipped: 1}); g.tally != want {
		t.Errorf("tally %v, want %v", g.tally, want)
	}
	if g.skips["no such server here"] != 1 || len(g.skips) != 1 {
		t.Errorf("skips %v", g.skips)
	}
	for _, want := range []string{"wrong colour", "syntax error", "out of cheese", "not an event", "3 passed, 1 failed, 1 skipped, 1 on cluster"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestWhatALastLineSays(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		script string
		want   tally
	}{
		"counted":              {"echo 1 passed, 0 failed; echo 7 passed, 0 failed, 2 skipped", tally{7, 0, 2}},
		"counted with failure": {"echo 7 passed, 1 failed, 0 skipped; exit 1", tally{7, 1, 0}},
		"failed after all":     {"echo 7 passed, 0 failed, 0 skipped; exit 1", tally{7, 1, 0}},
		"not counted":          {"true", tally{1, 0, 0}},
		"broken":               {"exit 3", tally{0, 1, 0}},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r := &run{root: dir, out: &bytes.Buffer{}}
		if got := r.counted(t.Context(), nil, path); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-only", "nonsense"}, {"-without", "nonsense"}, {"extra"}, {"-nonsense"}} {
		if ok, err := start(t.Context(), args, &bytes.Buffer{}); ok || err == nil {
			t.Errorf("%v: %v, %v", args, ok, err)
		}
	}
	var out bytes.Buffer
	if _, err := start(t.Context(), []string{"-help"}, &out); err == nil || !strings.Contains(out.String(), "browser-emulators") {
		t.Errorf("-help: %v\n%s", err, out.String())
	}
}

func TestAMissingPartFailsUnlessLeftOut(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // nothing is installed, and nothing can be
	t.Setenv("JAVA_HOME", "")
	t.Setenv("CLOUDSDK_ROOT_DIR", "")
	fault := []stage{{name: "fault"}}
	var out bytes.Buffer
	r := &run{root: t.TempDir(), out: &out}
	if got := r.setup(t.Context(), fault); got.failed != 1 || !strings.Contains(out.String(), "missing: redis-server") {
		t.Errorf("%v\n%s", got, out.String())
	}
	r = &run{root: t.TempDir(), out: &out, without: []string{"redis-server"}}
	if got := r.setup(t.Context(), fault); got != (tally{}) || len(r.lacking([]string{"redis-server"})) != 1 {
		t.Errorf("%v", got)
	}
}
