// Command testrun runs every test of the repository and ends with one line that sums them up. ./infra/test builds and
// starts it. As root on Debian it installs the programs that are missing; elsewhere it says how to get them.
//
// A stage is a group of tests, and a part is a program that some stages need. A missing part fails the run, so that a
// run that passes has left out nothing by accident. With -without, a stage counts as skipped.
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

// syncWriter is a writer for several goroutines. Each Write stays in one piece.
type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *syncWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// run is one run of the command.
type run struct {
	root    string   // of the repository
	without []string // stages and parts that the caller leaves out
	only    []string // stages; empty means all
	out     io.Writer
	parts   map[string]part // the parts that setup found, by name
	cleanup []func()
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

// start parses the arguments and runs the stages. It reports whether everything passed.
func start(ctx context.Context, args []string, out io.Writer) (bool, error) {
	out = &syncWriter{w: out}
	r := &run{out: out}
	flags := flag.NewFlagSet("infra/test", flag.ContinueOnError)
	flags.SetOutput(out)
	appendTo := func(list *[]string) func(string) error {
		return func(s string) error { *list = append(*list, strings.Split(s, ",")...); return nil }
	}
	flags.Func("without", "leave out the stage or part `NAME`; may be repeated", appendTo(&r.without))
	flags.Func("only", "run only the stage `NAME`; may be repeated", appendTo(&r.only))
	flags.Usage = func() { usage(flags, out) }
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	if flags.NArg() > 0 {
		return false, fmt.Errorf("unexpected argument %q; see -help", flags.Arg(0))
	}
	for _, name := range slices.Concat(r.without, r.only) {
		if !known(name) {
			return false, fmt.Errorf("there is no stage or part called %q; see -help", name)
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
	fmt.Fprintln(out, "\nStages, in the order in which they start, with their time budgets:")
	for _, s := range stages {
		fmt.Fprintf(out, "  %-18s %4v  %s\n", s.name, s.budget, s.what)
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

// result is how a stage ended.
type result struct {
	stage
	tally
	took time.Duration
}

func (r result) overBudget() bool { return r.took > r.budget }

// all sets up, runs the chosen stages and prints the results. It reports whether everything passed.
func (r *run) all(ctx context.Context) bool {
	began := time.Now()
	var mu sync.Mutex // guards results
	results := map[string]result{}
	record := func(s stage, do func() tally) {
		began := time.Now()
		t := do()
		mu.Lock()
		defer mu.Unlock()
		results[s.name] = result{s, t, time.Since(began)}
	}
	var chosen []stage
	for _, s := range stages {
		if (len(r.only) == 0 || slices.Contains(r.only, s.name)) && !slices.Contains(r.without, s.name) {
			chosen = append(chosen, s)
		}
	}
	r.say("== setup")
	record(setupStage, func() tally { return r.setup(ctx, chosen) })
	ended := map[string]chan struct{}{} // of the foreground stages
	for _, s := range chosen {
		if !s.background {
			ended[s.name] = make(chan struct{})
		}
	}
	queue := make(chan stage, len(chosen)) // of background stages
	var background sync.WaitGroup
	background.Go(func() {
		for s := range queue {
			if c, ok := ended[s.after]; ok {
				<-c
			}
			var out bytes.Buffer
			record(s, func() tally { return r.stage(ctx, s, &out) })
			r.out.Write(out.Bytes())
		}
	})
	for _, s := range chosen {
		if s.background {
			queue <- s
			continue
		}
		if ctx.Err() == nil {
			record(s, func() tally { return r.stage(ctx, s, r.out) })
		}
		close(ended[s.name])
	}
	close(queue)
	background.Wait()
	return r.summary(results, time.Since(began))
}

// summary prints a line for each stage, then each failure, then the stages over budget, then the total. It reports
// whether everything passed.
func (r *run) summary(results map[string]result, took time.Duration) bool {
	var total tally
	var budget time.Duration // of the stages that ran one after another
	var failures, over []string
	r.say("")
	for _, s := range append([]stage{setupStage}, stages...) {
		if slices.Contains(r.without, s.name) {
			results[s.name] = result{stage: s, tally: tally{skipped: 1}}
		}
		res, ran := results[s.name]
		if !ran {
			continue
		}
		r.say("%-18s %7.1f s of %4.0f s   %v", s.name, res.took.Seconds(), s.budget.Seconds(), res.tally)
		total.add(res.tally)
		for _, f := range res.failures {
			failures = append(failures, s.name+": "+f)
		}
		if !s.background {
			budget += s.budget
		}
		if res.overBudget() {
			over = append(over, fmt.Sprintf("%s (%.0f s over)", s.name, (res.took-s.budget).Seconds()))
		}
	}
	r.say("%-18s %7.1f s of %4.0f s", "all", took.Seconds(), budget.Seconds())
	for _, f := range failures {
		r.say("--- FAIL: %s", f)
	}
	if len(over) > 0 {
		r.say("warning: over the time budget: %s", strings.Join(over, ", "))
	}
	r.say("%v", total)
	return total.failed == 0 && total.passed > 0
}

// stage runs one stage. Its output goes to out.
func (r *run) stage(ctx context.Context, s stage, out io.Writer) tally {
	own := *r
	own.out, own.cleanup = out, nil
	defer own.end()
	own.say("== %s: %s", s.name, s.what)
	if missing := own.missing(s.needs); len(missing) > 0 {
		own.say("skipped: %s is missing", strings.Join(missing, ", "))
		return tally{skipped: 1}
	}
	t := s.do(&own, ctx)
	if ctx.Err() != nil {
		own.say("interrupted")
		t.fail("interrupted")
	}
	return t
}

// missing returns the names of the parts that setup did not find.
func (r *run) missing(names []string) (missing []string) {
	for _, name := range names {
		if _, ok := r.parts[name]; !ok {
			missing = append(missing, name)
		}
	}
	return missing
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// end stops the servers that the stage started, last first.
func (r *run) end() {
	for _, f := range slices.Backward(r.cleanup) {
		f()
	}
}
