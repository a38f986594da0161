// Load measures the speed and the cost of realtime, and checks that no message is lost or doubled meanwhile:
//
//	go run ./infra/load                                        # everything; about 20 minutes
//	go run ./infra/load -scenarios rate -rates 1000,2000       # a fixed rate
//	go run ./infra/load -instances before=../before,after=.    # two builds in one run
//	go run ./infra/load -instances a=.,b=.+GOGC=400            # two settings
//
// A bare relay (package bare) carries the same load in the same run, so that the figures can be read as ratios, which
// depend less on the machine. Every system consists of two instances, a redis-server and a sink in the place of Pub/Sub
// (package testbed). Users exchange messages across the instances (package crowd).
//
// A run fails if the messages sent, accepted, received, receipted and published are not the same. Limits of users apply
// as in production, so a higher rate has more users.
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
	"github.com/phoenixchat/phoenixchat/infra/load/testbed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if part, err := testbed.RunPart(ctx); part {
		if err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			os.Exit(1)
		}
		return
	}
	o, err := parseOptions(os.Args[1:])
	if err == nil {
		err = run(ctx, o, os.Stdout)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	scenarios []string
	rates     []float64
	devices   []int
	rounds    int
	over      time.Duration // measured time at a rate
	warmUp    time.Duration // before that
	start     float64       // first rate of the search for the highest
	sockets   int           // idle, and in a storm
	pairs     int           // fewest pairs of users at a fixed rate
	body      int           // bytes
	instances []source
	bare      bool
	persist   bool
	json      string // file; "": none
	profiles  string // folder; "": none

	stepWarmUp, stepTime time.Duration // of one rate in the search for the highest
	maxSteps             int           // of the search

	// A rate is held if the 99th percentile of send → event is at most maxP99, in ms, and at least minShare of the
	// messages arrive while the rate lasts.
	maxP99, minShare float64

	quiet time.Duration // in which a system is left alone before its memory is read, or sockets come back
}

// source names a build, the place that it comes from, and its additional environment.
type source struct {
	name, from string
	env        []string
}

func parseOptions(args []string) (o options, err error) {
	o = options{stepWarmUp: 500 * time.Millisecond, stepTime: 2 * time.Second, maxSteps: 20, maxP99: 250, minShare: 0.97,
		quiet: 2 * time.Second}
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	list := f.String("scenarios", strings.Join(scenarioNames(), ","), "what to measure")
	rates := f.String("rates", "1000,2000", "messages per second, for the scenarios rate and chat")
	devices := f.String("devices", "1,2", "devices of each user; the bare relay always has one")
	instances := f.String("instances", "", "builds to compare, as NAME=PATH+VARIABLE=VALUE…,…: each path is a program, "+
		"or the folder of a checkout that is built; environment variables may follow. Default: this checkout, as \"ours\"")
	f.IntVar(&o.rounds, "rounds", 3, "how often to measure everything; the table has medians")
	f.DurationVar(&o.over, "time", 5*time.Second, "measured time at a rate")
	f.DurationVar(&o.warmUp, "warm-up", time.Second, "time at a rate before it is measured")
	f.Float64Var(&o.start, "start", 2000, "first rate of the scenario highest")
	f.IntVar(&o.sockets, "sockets", 5000, "sockets of the scenarios idle and storm")
	f.IntVar(&o.pairs, "pairs", 500,
		"pairs of users at a fixed rate; a rate that would exceed the limits of users has more")
	f.IntVar(&o.body, "body", 200, "bytes of a message at a fixed rate")
	f.BoolVar(&o.bare, "bare", true, "measure the bare relay too")
	f.BoolVar(&o.persist, "persist", false,
		"let the sink save messages with the persist function and the embedded store")
	f.StringVar(&o.json, "json", "", "write all results to this `file`")
	f.StringVar(&o.profiles, "profiles", "",
		"write CPU profiles of the scenarios rate and chat, of the last round, to this `folder`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	o.scenarios = strings.Split(*list, ",")
	for _, s := range o.scenarios {
		if !slices.Contains(scenarioNames(), s) {
			return o, fmt.Errorf("unknown scenario %q; there are: %s", s, strings.Join(scenarioNames(), ", "))
		}
	}
	for s := range strings.SplitSeq(*rates, ",") {
		rate, err := strconv.ParseFloat(s, 64)
		if err != nil || rate <= 0 {
			return o, fmt.Errorf("%q is not a rate", s)
		}
		o.rates = append(o.rates, rate)
	}
	for s := range strings.SplitSeq(*devices, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 8 {
			return o, fmt.Errorf("%q is not a number of devices from 1 to 8", s)
		}
		o.devices = append(o.devices, n)
	}
	for s := range strings.SplitSeq(*instances, ",") {
		if s == "" {
			continue
		}
		name, from, ok := strings.Cut(s, "=")
		if !ok || name == "" || name == testbed.BareRelay.Name || strings.ContainsAny(name, `/\`) {
			return o, fmt.Errorf("%q is not NAME=PATH, or its name is taken", s)
		}
		parts := strings.Split(from, "+")
		o.instances = append(o.instances, source{name, parts[0], parts[1:]})
	}
	if o.rounds < 1 || o.over <= 0 || o.sockets < 2 || o.start <= 0 || o.pairs < 1 {
		return o, errors.New("-rounds, -time, -sockets, -start and -pairs must be positive")
	}
	return o, nil
}

// run measures everything and writes the report. It returns an error if a message was lost or doubled, or if something
// could not be measured.
func run(ctx context.Context, o options, out io.Writer) error {
	root, err := repo.Root()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "phoenix-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return err
		}
	}
	if len(o.instances) == 0 {
		o.instances = []source{{name: "ours", from: root}}
	}
	m := &measurer{opts: o, dir: dir, out: out}
	for _, s := range o.instances {
		b, err := testbed.NewBuild(ctx, s.name, s.from, root, dir)
		if err != nil {
			return err
		}
		b.Env = s.env
		m.builds = append(m.builds, b)
	}
	if o.bare {
		m.builds = append(m.builds, testbed.BareRelay)
	}
	if m.google, err = testbed.NewGoogle(dir); err != nil {
		return err
	}
	defer m.google.Close()
	failed := m.measureAll(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := writeTables(out, m.results); err != nil {
		return err
	}
	if o.json != "" {
		if err := writeJSON(o.json, m.results); err != nil {
			return err
		}
	}
	return failed
}
