package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// goResults sums up the output of `go test -json`. It counts the tests that have no subtests, prints the output of
// the failed ones, and collects the reasons for which tests were skipped.
type goResults struct {
	out     io.Writer
	tally   tally
	skips   map[string]int // by reason
	crashed []string       // packages in which the race detector crashed; not in the tally
	running map[string]goPackage
}

// goPackage has the tests of a package by name. The test named "" is the package itself.
type goPackage map[string]*goTest

type goTest struct {
	output   bytes.Buffer
	action   string // pass, fail or skip; "" if the test has not ended
	subtests int
	failed   int // subtests that failed
}

// goEvent is a line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type goEvent struct {
	Action, Package, Test, Output string
	ImportPath                    string // of a build
	Elapsed                       float64
}

// detectorCrash matches the output of a test binary in which the race detector itself failed. It says nothing about
// the tests. It happens if two processors run timers of one synctest bubble (go.dev/issue/78156, Go 1.26).
var detectorCrash = regexp.MustCompile(`ThreadSanitizer: CHECK failed|(?m)^goroutine 0 .*\[idle, synctest bubble`)

// backendNames are the subtests in which a suite runs once per backend: those of realtime/redistest, the stand-in for
// Firebase Auth, and Google's emulators.
var backendNames = []string{"miniredis", "server", "cluster", "stand-in", "emulator"}

func newGoResults(out io.Writer) *goResults {
	return &goResults{out: out, skips: map[string]int{}, running: map[string]goPackage{}}
}

// read consumes a whole stream. It prints lines that are not events unchanged.
func (g *goResults) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e goEvent
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &e) != nil || e.Action == "":
			fmt.Fprintf(g.out, "%s", line)
		case e.ImportPath != "":
			io.WriteString(g.out, e.Output)
		default:
			g.event(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (g *goResults) event(e goEvent) {
	p := g.running[e.Package]
	if p == nil {
		p = goPackage{}
		g.running[e.Package] = p
	}
	t := p.test(e.Test)
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
	case "pass", "fail", "skip":
		t.action = e.Action
		if e.Test == "" {
			g.finish(e, p)
			delete(g.running, e.Package)
		} else if parent := p.parent(e.Test); parent != nil && e.Action == "fail" {
			parent.failed++
		}
	}
}

// test returns the record of a test. It creates the record, and counts it as a subtest of its parent, on first use.
func (p goPackage) test(name string) *goTest {
	t := p[name]
	if t == nil {
		t = &goTest{}
		p[name] = t
		if parent := p.parent(name); parent != nil {
			parent.subtests++
		}
	}
	return t
}

func (p goPackage) parent(name string) *goTest {
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		return p.test(name[:i])
	}
	return nil
}

// finish counts a package that has ended.
func (g *goResults) finish(e goEvent, p goPackage) {
	for _, t := range p {
		if e.Action == "fail" && detectorCrash.Match(t.output.Bytes()) {
			fmt.Fprintf(g.out, "%s: the race detector crashed (go.dev/issue/78156)\n", short(e.Package))
			g.crashed = append(g.crashed, e.Package)
			return
		}
	}
	var total tally
	perBackend := map[string]int{}
	names := slices.Sorted(maps.Keys(p))
	for _, name := range names[1:] { // without the package itself
		t := p[name]
		switch {
		case t.action == "fail":
			g.print(e.Package, name, t)
			if t.failed == 0 { // a parent of failed subtests is not counted again
				total.fail(short(e.Package) + " " + name)
			}
		case t.subtests > 0 || t.action == "":
		case t.action == "skip":
			total.skipped++
			g.skips[skipReason(t.output.String())]++
		default:
			total.passed++
			if parts := strings.Split(name, "/"); len(parts) > 1 && slices.Contains(backendNames, parts[1]) {
				perBackend[parts[1]]++
			}
		}
	}
	if e.Action == "fail" && total.failed == 0 { // it did not build, panicked, leaked a goroutine, or timed out
		total.fail(short(e.Package), "the package did not build, or did not run to its end")
		for _, name := range names {
			if name == "" || p[name].action == "" { // the tests that were running when the test binary died
				g.print(e.Package, name, p[name])
			}
		}
	}
	if !total.none() {
		fmt.Fprintf(g.out, "%-40s %6.1f s   %v", short(e.Package), e.Elapsed, total)
		for _, backend := range backendNames {
			if n := perBackend[backend]; n > 0 {
				fmt.Fprintf(g.out, ", %d on %s", n, backend)
			}
		}
		fmt.Fprintln(g.out)
	}
	g.tally.add(total)
}

// short is the path of a package within the repository.
func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/phoenixchat/phoenixchat/") }

func (g *goResults) print(pkg, test string, t *goTest) {
	if t.output.Len() > 0 {
		fmt.Fprintf(g.out, "--- FAIL: %s %s\n%s\n", pkg, test, bytes.TrimRight(t.output.Bytes(), "\n"))
	}
}

// skipReason returns the message with which a test was skipped: the last line of its output that go test did not
// write itself, without file and line.
func skipReason(output string) string {
	reason := "no reason given"
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, text, found := strings.Cut(line, ".go:"); found {
			_, line, _ = strings.Cut(text, ": ")
		}
		reason = line
	}
	return reason
}
