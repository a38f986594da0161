// Command fault runs the delivery core under faults and judges the result:
//
//	go run ./infra/fault                      every fault alone, then all of them mixed
//	go run ./infra/fault -messages 30000 -rate 2000 -json all.json   a million messages
//	go run ./infra/fault -faults redis-killed,clients-flap -duration 1m -people 300 -seed 7
//	go run ./infra/fault -short               the part that ./infra/test runs: under two minutes
//	go run ./infra/fault -measure drain,rotate,storm   how sockets move: on SIGTERM, by age, all at once
//	go run ./infra/fault -measure soak        whether anything grows in an hour at 200 messages per second
//	go run ./infra/fault -judge record.jsonl  judge a record that a run has kept
//
// A run starts realtime instances as processes, a redis-server, persist, the functions' store and a crowd of
// simulated users (packages testbed and load). Some of their devices have the browser's own engine and store, and run
// in Node.js (web/fault). All others have those of package client. The run breaks all of it by a seeded schedule
// (package inject), records what everyone sent and saw (package record), and judges from that record alone (package
// verdict). A second judge, which shares no code with the first, checks the same record with porcupine (package
// judge). A run that breaks a promise keeps its record and the logs of its parts, and the command exits with status
// 1. The last line counts the verdicts.
//
// RESULTS.md has the results of such runs, and the faults that they and other tests have found.
package main

import (
	"context"
	"encoding/json"
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

	"github.com/phoenixchat/phoenixchat/infra/fault/inject"
	"github.com/phoenixchat/phoenixchat/infra/fault/judge"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/measure"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "fault:", err)
		os.Exit(1)
	}
}

// errBroken is the error of a run that broke a promise. The table shows which one.
var errBroken = errors.New("a promise was broken")

// settings are the flags of the command.
type settings struct {
	run      runOptions // of every run
	faults   string     // names of faults
	short    bool
	backend  string // where messages are saved
	measured string // names of measurements; "": run faults
	measure  measure.Options
	soak     measure.SoakOptions
	judged   string // file of a record; "": run something
	jsonFile string // "": none; "-": standard output
}

// parseFlags returns the settings of a command line.
func parseFlags(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("fault", flag.ContinueOnError)
	flags.Usage = func() { usage(flags) }

	flags.StringVar(&s.faults, "faults", "all",
		"names of faults, separated by commas; all: each one alone, then mixed; mixed: all in one run")
	flags.BoolVar(&s.short, "short", false, "the part that infra/test runs: a few runs with several faults each")
	flags.StringVar(&s.backend, "store", "embedded",
		"where messages are saved: embedded, or firestore for Google's emulator")
	flags.StringVar(&s.jsonFile, "json", "",
		"write the reports to this file as JSON; -: to standard output, after the table")
	flags.StringVar(&s.judged, "judge", "", "judge the record in this file instead of running anything")

	flags.StringVar(&s.measured, "measure", "",
		"measure instead: drain, rotate or storm, separated by commas; or soak, with -duration (1h), "+
			"-rate (200), -people (120), -instances, -seed and the flags below")
	flags.DurationVar(&s.soak.FaultEvery, "fault-every", time.Minute, "soak: mean time between two faults")
	flags.DurationVar(&s.soak.WarmUp, "warm-up", 10*time.Minute,
		"soak: time until every inbox has as many events as it keeps; at most half of the duration")
	flags.DurationVar(&s.soak.Sample, "sample", 0, "soak: time between two samples; 0: a 200th of the duration")
	flags.DurationVar(&s.measure.Age, "age", time.Minute, "rotate: maximum age of a socket")
	flags.IntVar(&s.measure.Moves, "moves", 1000, "rotate: the measurement ends after this many moves")
	flags.IntVar(&s.measure.Sockets, "sockets", 0,
		"sockets of a measurement; 0: 1000 (drain), 400 (rotate) or 5000 (storm)")

	r := &s.run
	flags.Uint64Var(&r.Seed, "seed", 1, "seed of all random choices")
	flags.DurationVar(&r.Duration, "duration", 0,
		"how long users chat under faults in each run; 0: 30 s, or with -messages up to 10 min")
	flags.IntVar(&r.Messages, "messages", 0, "end the chat of a run after this many messages; 0: after -duration")
	flags.DurationVar(&r.Pause, "pause", 2*time.Second, "mean time between two faults")
	flags.IntVar(&r.Users, "people", 200, "users of each run; more than half of them have two devices")
	flags.Float64Var(&r.Rate, "rate", 150, "upper limit of messages per second, of all users together")
	flags.IntVar(&r.Unsent, "unsent", 10,
		"a user writes no more while this many messages wait on the device, so that the load adapts; 0: no limit")
	flags.DurationVar(&r.Settle, "settle", 10*time.Minute,
		"how long the backlog may take after the last fault; without progress a run ends after a minute")
	flags.IntVar(&r.Instances, "instances", 3, "number of realtime instances")
	flags.Float64Var(&r.Browser, "browser-devices", 0.2,
		"share of devices with the browser's own engine and store, in Node.js; with -short only those of one run; 0: none")
	flags.Float64Var(&r.Asleep, "asleep", 0.5,
		"share of the other devices that sleep while they are idle, and are woken by pushes")
	flags.StringVar(&r.Keep, "keep", "", "keep the records and logs of all runs in this folder")

	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.soak.Seed, s.soak.Instances, s.soak.Pace, s.soak.Browser = r.Seed, r.Instances, pace(), r.Browser
	s.soak.Duration, s.soak.Rate, s.soak.People = time.Hour, 200, 120
	flags.Visit(func(f *flag.Flag) { // the defaults of runs are not those of a soak
		switch f.Name {
		case "duration":
			s.soak.Duration = r.Duration
		case "rate":
			s.soak.Rate = r.Rate
		case "people":
			s.soak.People = r.Users
		}
	})
	if r.Duration == 0 {
		r.Duration = 30 * time.Second
		if r.Messages > 0 {
			r.Duration = 10 * time.Minute
		}
	}
	s.measure.Seed = r.Seed
	return s, nil
}

func command(ctx context.Context, args []string, out io.Writer) error {
	s, err := parseFlags(args)
	if err != nil {
		return err
	}
	if s.judged != "" {
		return judgeFile(s.judged, out)
	}
	runs, err := plan(s.run, s.faults, s.short)
	if err != nil {
		return err
	}
	dir, remove, err := testbed.TempDir()
	if err != nil {
		return err
	}
	defer remove()
	program, err := testbed.Build(ctx, dir)
	if err != nil {
		return err
	}
	if s.measured == "soak" {
		s.soak.Program = program
		if s.soak.Browsers, err = buildBrowsers(ctx, s.soak.Browser > 0, dir, out); err != nil {
			return err
		}
		return soak(ctx, s.soak, s.run.Keep, s.jsonFile, out)
	}
	if s.measured != "" {
		s.measure.Program = program
		return measureAll(ctx, strings.Split(s.measured, ","), s.measure, s.jsonFile, out)
	}
	needed := slices.ContainsFunc(runs, func(o runOptions) bool { return o.Browser > 0 })
	browsers, err := buildBrowsers(ctx, needed, dir, out)
	if err != nil {
		return err
	}
	for i := range runs {
		if runs[i].Browser > 0 {
			runs[i].Browsers = browsers
		}
	}
	reports, err := runAll(ctx, runs, program, s.backend, out)
	if err != nil {
		return err
	}
	if s.jsonFile != "" {
		if err := writeJSON(s.jsonFile, out, reports); err != nil {
			return err
		}
	}
	return conclude(out, reports)
}

// buildBrowsers builds the program that runs devices with the browser's engine, if it is needed. It returns its path.
func buildBrowsers(ctx context.Context, needed bool, dir string, out io.Writer) (string, error) {
	if !needed {
		return "", nil
	}
	path, err := load.BuildBrowsers(ctx, dir, func(s string) { fmt.Fprintln(out, s) })
	if err != nil {
		return "", fmt.Errorf("%w (-browser-devices 0 leaves these devices out)", err)
	}
	return path, nil
}

// runAll plays the runs one after the other and prints their reports.
func runAll(ctx context.Context, runs []runOptions, program, backend string, out io.Writer) ([]*runReport, error) {
	fmt.Fprintln(out, header)
	open, closeAll, err := stores(ctx, backend)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	var reports []*runReport
	for n, o := range runs {
		o.Program = program
		if o.Store, err = open(n); err != nil {
			return nil, err
		}
		r, err := run(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("%s, seed %d: %w", o.Name, o.Seed, err)
		}
		fmt.Fprintln(out, row(r))
		explain(out, r)
		reports = append(reports, r)
	}
	if len(reports) > 1 {
		fmt.Fprintln(out)
		table(out, reports)
	}
	return reports, nil
}

// plan returns the runs for the names of faults.
func plan(o runOptions, names string, short bool) ([]runOptions, error) {
	if short {
		return shortPlan(o), nil
	}
	var runs []runOptions
	var all []inject.Fault
	for _, f := range inject.Faults {
		if f.Name != "none" && !f.Exception && !f.Waits {
			all = append(all, f)
		}
	}
	switch names {
	case "all":
		for _, f := range inject.Faults {
			runs = append(runs, o.with(f.Name, f))
		}
		return append(runs, o.with("mixed", all...)), nil
	case "mixed":
		return append(runs, o.with("mixed", all...)), nil
	}
	for _, name := range strings.Split(names, ",") {
		f, err := inject.ByName(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		runs = append(runs, o.with(f.Name, f))
	}
	return runs, nil
}

func (o runOptions) with(name string, faults ...inject.Fault) runOptions {
	o.Name, o.Faults = name, faults
	return o
}

// shortPlan returns short runs that inject each of their faults once. One of them has devices with the browser's
// engine.
func shortPlan(o runOptions) []runOptions {
	browser := o.Browser
	o.Browser = 0
	o.Duration, o.Pause = time.Second, 600*time.Millisecond
	o.Users, o.Rate, o.Instances = 60, 60, 2
	group := func(name string, faults ...string) runOptions {
		var fs []inject.Fault
		for _, n := range faults {
			f, err := inject.ByName(n)
			if err != nil {
				panic(err) // a name below is wrong
			}
			fs = append(fs, f)
		}
		return o.with(name, fs...)
	}
	runs := []runOptions{
		group("instances, short", "instance-killed", "clocks", "killed-publishing", "clients-vanish", "clients-flap"),
		group("redis, short", "redis-killed", "redis-cut", "redis-deaf", "clients-killed"),
		group("redis loses, short", "failover-publishing", "redis-replaced", "redis-wiped", "clients-deaf"),
		group("archive, short", "publish-fails", "persist-fails", "store-down", "clients-ack-late"),
		group("bad input, short", "clients-flood", "client-never-acks", "inbox-poisoned", "recipient-gone",
			"sender-disabled", "recipient-blocks"),
	}
	if browser > 0 {
		r := group("browser's engine, short", "clients-killed", "clients-flap", "clients-vanish", "redis-wiped")
		r.Users, r.Browser = 40, browser
		runs = append(runs, r)
	}
	return runs
}

func usage(flags *flag.FlagSet) {
	w := flags.Output()
	fmt.Fprintln(w, "fault runs the delivery core under faults and judges the result. Flags:")
	flags.PrintDefaults()
	fmt.Fprintln(w, "\nFaults:")
	for _, f := range inject.Faults {
		fmt.Fprintf(w, "  %-18s %s\n", f.Name, f.Summary)
	}
}

// judgeFile judges a record that a run has kept.
func judgeFile(file string, out io.Writer) error {
	log, err := record.Open(file)
	if err != nil {
		return err
	}
	defer log.Close()
	r := &runReport{Name: "kept", Report: verdict.JudgeAll(log.All()), Judged: judge.Check(log)}
	if err := log.Err(); err != nil {
		return err
	}
	fmt.Fprintln(out, header)
	fmt.Fprintln(out, row(r))
	explain(out, r)
	return conclude(out, []*runReport{r})
}

func writeJSON(file string, out io.Writer, reports any) error {
	b, err := json.MarshalIndent(reports, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if file == "-" {
		_, err = out.Write(b)
		return err
	}
	return os.WriteFile(file, b, 0o644)
}
