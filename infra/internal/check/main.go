// Command check runs everything that tests the repository, as ./infra/test asks
// it to, and ends with one line that sums it up. It sets up what a bare Debian machine lacks where it may (as root), and names it where not.
//
// A stage (-only, -without) is a group of tests; a part (-without) is a program
// that some of them need. A part that is missing fails the run, so that a green run has left nothing out
// unasked; with -without the tests that need it are counted as skipped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
)

// tally counts tests.
type tally struct{ passed, failed, skipped int }

func (t *tally) add(o tally) {
	t.passed += o.passed
	t.failed += o.failed
	t.skipped += o.skipped
}

func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

// one is the tally of a check that passes or fails as a whole.
func one(err error) tally {
	if err != nil {
		return tally{failed: 1}
	}
	return tally{passed: 1}
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
}

// stages in the order in which they run: what is quick and fails often comes first.
var stages = []stage{
	{"format", nil, "gofmt and go vet", (*run).format},
	{"web", []string{"node"}, "the client's types and unit tests", (*run).web},
	{"build", []string{"node"}, "the client's build and its size limit", (*run).build},
	{"image", []string{"node"}, "the image of the realtime service, made without a registry", (*run).image},
	{"go", nil, "Go tests with the race detector: unit, conformance, property", (*run).goTests},
	{"fuzz", nil, "every fuzz target for a few seconds", (*run).fuzz},
	{"browser", []string{"node", "chromium"}, "Chromium against the embedded default", (*run).browser},
	{"browser-firefox", []string{"node", "firefox"}, "the main journey in Firefox, against the embedded default", (*run).browserFirefox},
	{"browser-emulators", []string{"node", "chromium", "redis-server", "java", "firestore", "pubsub"}, "Chromium against redis-server and Google's emulators", (*run).browserEmulators},
	{"terraform", []string{"terraform"}, "format, validation and tests of the Terraform configuration", (*run).terraform},
	{"fault", []string{"redis-server"}, "a bounded run of the fault tests", (*run).fault},
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
	defer r.end()
	return r.all(ctx), nil
}

func usage(flags *flag.FlagSet, out io.Writer) {
	fmt.Fprintln(out, "usage: ./infra/test [-without NAME]... [-only STAGE]...")
	flags.PrintDefaults()
	fmt.Fprintln(out, "\nStages, in this order:")
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
	var total tally
	var lines []string
	note := func(name string, t tally, began time.Time) {
		total.add(t)
		lines = append(lines, fmt.Sprintf("%-18s %7.1f s   %v", name, time.Since(began).Seconds(), t))
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
	for _, s := range chosen {
		began := time.Now()
		r.say("== %s: %s", s.name, s.what)
		if lacking := r.lacking(s.needs); len(lacking) > 0 {
			r.say("skipped: without %s", strings.Join(lacking, ", "))
			note(s.name, tally{skipped: 1}, began)
			continue
		}
		t := s.do(r, ctx)
		if err := ctx.Err(); err != nil {
			r.say("interrupted")
			t.failed++
		}
		note(s.name, t, began)
		if ctx.Err() != nil {
			break
		}
	}
	for _, s := range stages {
		if slices.Contains(r.without, s.name) {
			note(s.name, tally{skipped: 1}, time.Now())
		}
	}
	r.say("\n%s\n%-18s %7.1f s", strings.Join(lines, "\n"), "all", time.Since(began).Seconds())
	r.say("%v", total)
	return total.failed == 0 && total.passed > 0
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
