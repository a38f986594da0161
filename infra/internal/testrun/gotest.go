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

// goEvents sums up what `go test -json` writes: it counts tests without
// subtests, shows the output of those that failed, and collects why others were skipped.
type goEvents struct {
	out    io.Writer
	tally  tally
	skips  map[string]int // by reason
	open   map[string]*openPackage
	builds map[string]*bytes.Buffer // output of builds, by import path
	broken []string                 // packages in which the race detector itself gave up; not in the tally
}

// gaveUp is what a test binary writes when the race detector fails itself, as it does now and then where
// two processors run timers of one synctest bubble (go.dev/issue/78156, Go 1.26). It says nothing about the tests.
var gaveUp = regexp.MustCompile(`ThreadSanitizer: CHECK failed|(?m)^goroutine 0 .*\[idle, synctest bubble`)

// backends are the subtests in which a suite runs once per backend: those of
// realtime/redistest, and the stand-in for Firebase Auth and Google's emulators.
var backends = []string{"miniredis", "server", "cluster", "standin", "emulator"}

type openPackage struct {
	output map[string]*bytes.Buffer // by test; "" is the package's own
	result map[string]string        // by test: pass, fail, skip
	order  []string
}

// goEvent is a line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type goEvent struct {
	Action, Package, Test, Output string
	ImportPath, FailedBuild       string
	Elapsed                       float64
}

func newGoEvents(out io.Writer) *goEvents {
	return &goEvents{out: out, skips: map[string]int{}, open: map[string]*openPackage{}, builds: map[string]*bytes.Buffer{}}
}

// read consumes a whole stream. Lines that are no events are shown as they are.
func (g *goEvents) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e goEvent
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintf(g.out, "%s", line)
			} else {
				g.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (g *goEvents) event(e goEvent) {
	if e.ImportPath != "" {
		if g.builds[e.ImportPath] == nil {
			g.builds[e.ImportPath] = &bytes.Buffer{}
		}
		g.builds[e.ImportPath].WriteString(e.Output)
		return
	}
	p := g.open[e.Package]
	if p == nil {
		p = &openPackage{output: map[string]*bytes.Buffer{}, result: map[string]string{}}
		g.open[e.Package] = p
	}
	switch e.Action {
	case "output":
		if p.output[e.Test] == nil {
			p.output[e.Test] = &bytes.Buffer{}
		}
		p.output[e.Test].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			g.finish(e, p)
			delete(g.open, e.Package)
			return
		}
		p.result[e.Test] = e.Action
		p.order = append(p.order, e.Test)
	}
}

// finish counts a package that has ended.
func (g *goEvents) finish(e goEvent, p *openPackage) {
	if e.Action == "fail" && slices.ContainsFunc(slices.Collect(maps.Values(p.output)), func(b *bytes.Buffer) bool { return gaveUp.Match(b.Bytes()) }) {
		fmt.Fprintf(g.out, "%s: the race detector itself gave up (go.dev/issue/78156)\n", short(e.Package))
		g.broken = append(g.broken, e.Package)
		return
	}
	var t tally
	on := map[string]int{}
	parents := map[string]bool{}
	for name := range p.result {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			parents[name[:i]] = true
		}
	}
	for _, name := range p.order {
		switch {
		case p.result[name] == "fail":
			g.show(e.Package, name, p)
			// A parent fails with its children: it counts where it failed by itself.
			if !parents[name] || !slices.ContainsFunc(p.order, func(n string) bool { return strings.HasPrefix(n, name+"/") && p.result[n] == "fail" }) {
				t.fail(short(e.Package) + " " + name)
			}
		case parents[name]:
		case p.result[name] == "skip":
			t.skipped++
			g.skips[reason(p.output[name])]++
		default:
			t.passed++
			if parts := strings.Split(name, "/"); len(parts) > 1 && slices.Contains(backends, parts[1]) {
				on[parts[1]]++
			}
		}
	}
	if e.Action == "fail" && t.failed == 0 { // did not build, panicked, leaked, or took too long
		t.fail(short(e.Package), "it did not build, or did not come to its end")
		if b := g.builds[e.FailedBuild]; b != nil {
			fmt.Fprintf(g.out, "--- FAIL: %s does not build\n%s\n", e.Package, b)
		}
		g.show(e.Package, "", p)
		// Where the test binary died, the tests under way have an output and no result.
		for name := range p.output {
			if p.result[name] == "" && name != "" {
				g.show(e.Package, name, p)
			}
		}
	}
	if !t.none() {
		fmt.Fprintf(g.out, "%-40s %6.1f s   %v", short(e.Package), e.Elapsed, t)
		for _, backend := range backends {
			if n := on[backend]; n > 0 {
				fmt.Fprintf(g.out, ", %d on %s", n, backend)
			}
		}
		fmt.Fprintln(g.out)
	}
	g.tally.add(t)
}

// short is the path of a package within the repository.
func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/phoenixchat/phoenixchat/") }

func (g *goEvents) show(pkg, test string, p *openPackage) {
	if b := p.output[test]; b != nil {
		fmt.Fprintf(g.out, "--- FAIL: %s %s\n%s\n", pkg, test, strings.TrimRight(b.String(), "\n"))
	}
}

// reason returns the message that a skipped test gave: its last line but go's own.
func reason(b *bytes.Buffer) string {
	if b == nil {
		return "no reason given"
	}
	why := "no reason given"
	for line := range strings.Lines(b.String()) {
		if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "=== ") && !strings.HasPrefix(s, "--- ") {
			_, text, found := strings.Cut(s, ".go:")
			if !found {
				text = s
			}
			_, text, _ = strings.Cut(text, ": ")
			why = text
		}
	}
	return why
}
