// Command model searches an explicit-state model of the delivery rules for states that break a promise of DESIGN §2:
//
//	go run ./infra/model -help                                    explains the flags, scenarios and mutants
//	go run ./infra/model -scenario crash                          visits every state of a named scenario
//	go run ./infra/model -messages 1 -devices "A0+ A1- B0+" -drop 1    the same for an own scenario
//	go run ./infra/model -scenario crash -mutant mark-before-publish  breaks a rule, and prints the trace
//	go run ./infra/model -scenario everything -search walk -walks 100000 -seed 7
//
// Package delivery is the model: its comment says what is modeled and what is left out, how to read a trace, and how
// to add a rule. Package search visits the states.
//
// The tests search the smallest scenarios exhaustively and the largest by random walks. The scenarios between them are
// searched by hand, after a rule has changed:
//
//	go run ./infra/model -search dfs -max 30000000 -scenario NAME
//
// Measured with one core of a shared Xeon machine, all of them exhaustive and without a violation:
//
//	wipe                   126,834 states  0.3 s of CPU
//	crash-second-device    964,612 states    2 s
//	goaway-crash           126,219 states  0.3 s
//	withdraw-drop          173,671 states  0.4 s
//	withdraw-crash          67,481 states  0.1 s
//	withdraw-two           409,831 states    1 s
//
// The scenarios failover, first-visits and reply have more than 6,000,000, 400,000 and 400,000 states; how many was not
// measured. 15,000 random walks (-seed 99) through failover and each of the largest four visited 6,095,793 states
// without a violation. 60,000 walks (-seed 5) through withdraw-everything and as many through withdraw-devices visited
// 10,965,323 states without one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/model/internal/delivery"
	"github.com/phoenixchat/phoenixchat/infra/model/internal/search"
)

func main() {
	err := command(os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "model:", err)
		os.Exit(1)
	}
}

// errBroken says that a search found a violation. The report names it.
var errBroken = errors.New("a promise was broken")

// options are the flags of the command.
type options struct {
	scenario string // name, "all" or empty
	own      delivery.Scenario
	mutant   delivery.Mutant
	method   string
	walks    int
	seed     uint64
	limits   search.Limits
	quiet    bool
}

func command(args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	var scenarios []delivery.Scenario
	switch o.scenario {
	case "":
		scenarios = []delivery.Scenario{o.own}
	case "all":
		scenarios = delivery.Scenarios
	default:
		i := slices.IndexFunc(delivery.Scenarios, func(s delivery.Scenario) bool { return s.Name == o.scenario })
		if i < 0 {
			return fmt.Errorf("-scenario %q is not known; -help lists them", o.scenario)
		}
		scenarios = delivery.Scenarios[i : i+1]
	}
	broken := false
	for _, s := range scenarios {
		if err := s.Parse(); err != nil {
			return err
		}
		broken = o.run(s, out) || broken
	}
	if broken {
		return errBroken
	}
	return nil
}

// run searches one scenario, prints a report, and reports whether a promise is broken.
func (o *options) run(s delivery.Scenario, out io.Writer) bool {
	m := &delivery.Model{Scenario: s, Mutant: o.mutant}
	began := time.Now()
	var r search.Result
	switch o.method {
	case "bfs":
		r = search.BreadthFirst(m, o.limits)
	case "dfs":
		r = search.DepthFirst(m, o.limits)
	case "walk":
		r = search.Walk(m, o.walks, o.seed, o.limits)
	}
	fmt.Fprintf(out, "%-24s %11d states %8d quiescent  depth %3d  exhaustive=%-5t %6.1fs  %d violations\n",
		s.Name, r.States, r.Quiescent, r.Depth, r.Exhaustive, time.Since(began).Seconds(), len(r.Violations))
	if m.Truncated > 0 {
		fmt.Fprintf(out, "  %d steps were cut off: an inbox was full\n", m.Truncated)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(out, "  VIOLATION of %s (%d states)\n", v.Promise, v.States)
		if o.quiet || v.Path == nil {
			continue
		}
		_, lines := m.Replay(v.Path)
		for _, line := range lines {
			fmt.Fprintf(out, "      %s\n", line)
		}
	}
	return len(r.Violations) > 0
}

func parse(args []string, errOut io.Writer) (options, error) {
	o := options{own: delivery.Scenario{Name: "own"}}
	flags := flag.NewFlagSet("model", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.scenario, "scenario", "",
		"`name` of a scenario, or all; the flags that describe an own scenario are then ignored")
	flags.StringVar(&o.method, "search", "bfs", "bfs finds the shortest traces; dfs needs less memory and only counts; "+
		"walk takes random walks")
	flags.IntVar(&o.walks, "walks", 10_000, "number of random walks")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the random walks")
	flags.IntVar(&o.limits.States, "max", 20_000_000, "end after this many states; 0: no limit")
	flags.BoolVar(&o.limits.First, "first", false, "end at the first violation")
	flags.BoolVar(&o.quiet, "quiet", false, "do not print traces")
	mutants := flags.String("mutant", "", "`names` of mutants, with commas: rules to break")

	flags.StringVar(&o.own.Devices, "devices", "A0+ B0+",
		"devices that take part: + is online, - is offline with a cursor, * is a first visit")
	flags.IntVar(&o.own.Messages, "messages", 2, "1: m0 from A0; 2: also m1, B0's reply; 3: also m2 from A0")
	flags.IntVar(&o.own.Retain, "retain", 9, "newest events that trimming keeps")
	flags.IntVar(&o.own.MaxEntries, "shed", 0, "entries of an inbox beyond which receipts are not stored; 0: no limit")
	flags.IntVar(&o.own.ClockAhead, "ahead", 0, "by how many messages the clock of A's devices is ahead")
	flags.BoolVar(&o.own.ClockBehind, "behind", false, "a new primary's clock is behind, so that it repeats lost IDs")
	for name, budget := range o.own.Faults.Named() {
		flags.Func(name, "up to `n` times, "+budget.Does, func(v string) error {
			var n uint8
			_, err := fmt.Sscan(v, &n)
			*budget.Left = n
			return err
		})
	}
	flags.Usage = func() { usage(flags, errOut) }
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if !slices.Contains([]string{"bfs", "dfs", "walk"}, o.method) {
		return o, fmt.Errorf("-search %q; use bfs, dfs or walk", o.method)
	}
	for _, name := range strings.FieldsFunc(*mutants, func(r rune) bool { return r == ',' }) {
		i := slices.IndexFunc(delivery.Mutants, func(info delivery.MutantInfo) bool { return info.Name == name })
		if i < 0 {
			return o, fmt.Errorf("-mutant %q is not known; -help lists them", name)
		}
		o.mutant |= delivery.Mutants[i].Mutant
	}
	return o, nil
}

func usage(flags *flag.FlagSet, out io.Writer) {
	fmt.Fprintln(out, "Usage: go run ./infra/model [flags]\n\n"+
		"Searches the model of the delivery rules for broken promises. The exit status is 1 if it finds one.\n\n"+
		"Messages: m0 from A0 to B, m1 from B0 as a reply to m0, m2 from A0. Devices: A0 and A1 of user A, B0 and B1 of B.\n"+
		"Without -scenario, -devices, -messages, the faults and the settings of Redis describe a scenario.\n\nFlags:")
	flags.PrintDefaults()
	fmt.Fprintln(out, "\nScenarios (-scenario):")
	for _, s := range delivery.Scenarios {
		fmt.Fprintf(out, "  %-24s %s\n", s.Name, s)
	}
	fmt.Fprintln(out, "\nMutants (-mutant):")
	for _, info := range delivery.Mutants {
		fmt.Fprintf(out, "  %-24s %s\n", info.Name, info.Does)
	}
}
