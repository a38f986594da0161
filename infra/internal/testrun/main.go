// Command testrun runs everything that tests the repository, as ./infra/test asks
// it to, and ends with one line that sums it up. It sets up what a bare Debian machine lacks where it may (as root), and names it where not.
//
// A stage (-only, -without) is a group of tests; a part (-without) is a program
// that some of them need. A part that is missing fails the run, so that a green run has left nothing out
// unasked; with -without the tests that need it are counted as skipped.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
)

// lines lets several goroutines write, each of whose writes stays whole.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// run is one run of the command.
type run struct {
	root    string   // of the repository
	without []string // stages and parts that the caller leaves out
	only    []string // stages; empty means all
	out     io.Writer
	parts   map[string]part // what setup found, by name
	cleanup []func()
}

// stage is a group of tests.
type stage struct {
	name  string
	needs []string // parts without which it cannot run
	what  string   // for -help
	do    func(*run, context.Context) tally
	aside bool // it needs little of the machine, or is in no hurry: when its turn comes it runs beside those after it, one such stage at a time
}

// stages in the order in which they begin: what is quick and fails often comes first. The browser tests wait more than
// the Go tests do, so what runs beside others begins with them; and the Go tests, too, run Terraform in its folder.
var stages = []stage{
	{"format", nil, "gofmt and go vet", (*run).format, false},
	{"web", []string{"node"}, "the client's types and unit tests", (*run).web, false},
	{"build", []string{"node"}, "the client's build and its size limit", (*run).build, false},
	{"image", []string{"node"}, "the image of the realtime service, made without a registry", (*run).image, false},
	{"go", nil, "Go tests with the race detector: unit, conformance, property", (*run).goTests, false},
	{"fault", []string{"redis-server"}, "a bounded run of the fault tests", (*run).fault, true},
	{"terraform", []string{"terraform"}, "format, validation and tests of the Terraform configuration", (*run).terraform, true},
	{"fuzz", nil, "every fuzz target for a few seconds", (*run).fuzz, true},
	{"browser", []string{"node", "chromium-shell"}, "Chromium against the embedded default", (*run).browser, false},
	{"browser-engines", []string{"node", "chromium", "firefox"}, "the main journey in the whole Chromium and in Firefox, against the embedded default", (*run).browserEngines, false},
	{"browser-emulators", []string{"node", "chromium-shell", "redis-server", "java", "firestore", "pubsub"}, "Chromium against redis-server and Google's emulators", (*run).browserEmulators, false},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := start(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "infra/test:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// start parses the arguments and runs the stages; it reports whether nothing failed.
func start(ctx context.Context, args []string, out io.Writer) (bool, error) {
	out = &lines{w: out}
	r := &run{out: out}
	flags := flag.NewFlagSet("infra/test", flag.ContinueOnError)
	flags.SetOutput(out)
	list := func(to *[]string) func(string) error {
		return func(s string) error { *to = append(*to, strings.Split(s, ",")...); return nil }
	}
	flags.Func("without", "leave out the stage or part `NAME`; may be repeated", list(&r.without))
	flags.Func("only", "run the stage `NAME` only; may be repeated", list(&r.only))
	flags.Usage = func() { usage(flags, out) }
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	if flags.NArg() > 0 {
		return false, fmt.Errorf("%q is no flag; -help shows them", flags.Arg(0))
	}
	for _, name := range slices.Concat(r.without, r.only) {
		if !known(name) {
			return false, fmt.Errorf("there is no stage or part %q; -help shows them", name)
		}
	}
	var err error
	if r.root, err = repo.Root(); err != nil {
		return false, err
	}
	return r.all(ctx), nil
}

func usage(flags *flag.FlagSet, out io.Writer) {
	fmt.Fprintln(out, "usage: ./infra/test [-without NAME]... [-only STAGE]...")
	flags.PrintDefaults()
	fmt.Fprintln(out, "\nStages, in the order in which they begin:")
	for _, s := range stages {
		fmt.Fprintf(out, "  %-18s %s\n", s.name, s.what)
	}
	fmt.Fprintln(out, "\nParts:")
	for _, t := range tools {
		fmt.Fprintf(out, "  %-18s %s\n", t.name, t.what)
	}
}

func known(name string) bool {
	return slices.ContainsFunc(stages, func(s stage) bool { return s.name == name }) ||
		slices.ContainsFunc(tools, func(t tool) bool { return t.name == name })
}

// all sets up, runs the stages and tells how they went.
func (r *run) all(ctx context.Context) bool {
	began := time.Now()
	var mu sync.Mutex // guards the three below
	var total tally
	var failures []string
	rows := map[string]string{} // by stage
	note := func(name string, t tally, began time.Time) {
		mu.Lock()
		defer mu.Unlock()
		total.add(t)
		for _, f := range t.failures {
			failures = append(failures, name+": "+f)
		}
		rows[name] = fmt.Sprintf("%-18s %7.1f s   %v", name, time.Since(began).Seconds(), t)
	}
	var chosen []stage
	for _, s := range stages {
		if (len(r.only) == 0 || slices.Contains(r.only, s.name)) && !slices.Contains(r.without, s.name) {
			chosen = append(chosen, s)
		}
	}
	r.say("== setup")
	t := r.setup(ctx, chosen)
	note("setup", t, began)
	var beside sync.WaitGroup
	var turn sync.Mutex // of the stages beside
	for _, s := range chosen {
		if ctx.Err() != nil {
			break
		}
		if !s.aside {
			began := time.Now()
			note(s.name, r.stage(ctx, s, r.out), began)
			continue
		}
		beside.Go(func() {
			turn.Lock()
			defer turn.Unlock()
			began := time.Now()
			var out bytes.Buffer
			note(s.name, r.stage(ctx, s, &out), began)
			r.out.Write(out.Bytes())
		})
	}
	beside.Wait()
	r.say("")
	for _, s := range append([]stage{{name: "setup"}}, stages...) {
		if slices.Contains(r.without, s.name) {
			note(s.name, tally{skipped: 1}, time.Now())
		}
		if row, ok := rows[s.name]; ok {
			r.say("%s", row)
		}
	}
	r.say("%-18s %7.1f s", "all", time.Since(began).Seconds())
	for _, f := range failures {
		r.say("--- FAIL: %s", f)
	}
	r.say("%v", total)
	return total.failed == 0 && total.passed > 0
}

// stage runs one stage, whose output goes to out.
func (r *run) stage(ctx context.Context, s stage, out io.Writer) tally {
	own := *r
	own.out, own.cleanup = out, nil
	defer own.end()
	own.say("== %s: %s", s.name, s.what)
	if lacking := own.lacking(s.needs); len(lacking) > 0 {
		own.say("skipped: without %s", strings.Join(lacking, ", "))
		return tally{skipped: 1}
	}
	t := s.do(&own, ctx)
	if ctx.Err() != nil {
		own.say("interrupted")
		t.fail("interrupted")
	}
	return t
}

// lacking returns those of the parts that are not there.
func (r *run) lacking(needs []string) (lacking []string) {
	for _, name := range needs {
		if _, ok := r.parts[name]; !ok {
			lacking = append(lacking, name)
		}
	}
	return lacking
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// end undoes what the stages left running, last first.
func (r *run) end() {
	for _, f := range slices.Backward(r.cleanup) {
		f()
	}
}
