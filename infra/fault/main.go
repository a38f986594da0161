// Command fault puts the delivery core under fire and judges what came of it:
//
//	go run ./infra/fault                        every fault by itself, then all mixed
//	go run ./infra/fault -messages 30000 -rate 2000 -json all.json   a million messages
//	go run ./infra/fault -faults redis-killed,clients-flap -duration 1m -people 300 -seed 7
//	go run ./infra/fault -short                 what ./infra/test runs: under two minutes
//	go run ./infra/fault -measure drain,rotate  how sockets move: off an instance that ends, as they grow old, all at once (storm)
//	go run ./infra/fault -judge record.jsonl    judge a record that was kept
//
// A run starts realtime instances as processes, a redis-server, persist, the
// functions' store and a crowd of simulated people (packages stage and load),
// breaks them by a seeded schedule (package inject), records what everyone sent
// and saw (package record), and judges from that alone (package verdict). A run
// that breaks a promise keeps its record and the instances' logs, and the
// command ends with status 1. The last line counts the verdicts.
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
	"strings"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/inject"
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

// errBroken says that a run broke a promise; the table tells which.
var errBroken = errors.New("a promise was broken")

func command(ctx context.Context, args []string, out io.Writer) error {
	var (
		o        runOptions
		flags    = flag.NewFlagSet("fault", flag.ContinueOnError)
		faults   = flags.String("faults", "all", "names of faults, with commas; all: each by itself, then mixed; mixed: all in one run")
		jsonFile = flags.String("json", "", "write the reports to this file as JSON; -: to standard output, after the table")
		backend  = flags.String("store", "embedded", "where messages are kept: embedded, or firestore for Google's emulator")
		short    = flags.Bool("short", false, "the bounded part that infra/test runs: a few runs of several faults each")
		measured = flags.String("measure", "", "measure instead: drain, rotate or storm, with commas")
		age      = flags.Duration("age", time.Minute, "of a measurement by rotate: sockets move at this age at most")
		moves    = flags.Int("moves", 1000, "of a measurement by rotate: it goes on until so many sockets have moved")
		sockets  = flags.Int("sockets", 0, "of a measurement; 0: 1000, 400 and 5000")
		judged   = flags.String("judge", "", "judge the record in this file instead of running anything")
	)
	flags.Uint64Var(&o.Seed, "seed", 1, "of schedules, people and chance")
	flags.DurationVar(&o.Duration, "duration", 0, "of chatting under faults, in each run; 0: 30 s, or with -messages as long as these take, up to 10 min")
	flags.IntVar(&o.Messages, "messages", 0, "end chatting in a run when so many are written")
	flags.DurationVar(&o.Pause, "pause", 2*time.Second, "mean time between two faults")
	flags.IntVar(&o.Users, "people", 200, "in each run; more than half have two devices")
	flags.Float64Var(&o.Rate, "rate", 150, "messages per second at most, all people together")
	flags.IntVar(&o.Unsent, "unsent", 10, "a person writes no more while so many messages wait on the device, so that what is offered adapts to what is carried; 0: goes on")
	flags.DurationVar(&o.Settle, "settle", 10*time.Minute, "how long a backlog may take to drain after the last fault; without any progress a run ends after a minute")
	flags.IntVar(&o.Instances, "instances", 3, "of realtime")
	flags.StringVar(&o.Keep, "keep", "", "keep records and logs below this folder, also of clean runs")
	flags.Usage = func() { usage(flags) }
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *judged != "" {
		return judge(*judged, out)
	}
	if o.Duration == 0 {
		o.Duration = 30 * time.Second
		if o.Messages > 0 {
			o.Duration = 10 * time.Minute
		}
	}
	runs, err := plan(o, *faults, *short)
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
	if *measured != "" {
		return measureAll(ctx, strings.Split(*measured, ","), measure.Options{Program: program, Seed: o.Seed, Sockets: *sockets, Age: *age, Moves: *moves}, *jsonFile, out)
	}
	var reports []*runReport
	fmt.Fprintln(out, header)
	open, closeAll, err := stores(ctx, *backend)
	if err != nil {
		return err
	}
	defer closeAll()
	for n, o := range runs {
		o.Program = program
		if o.Store, err = open(n); err != nil {
			return err
		}
		r, err := run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s, seed %d: %w", o.Name, o.Seed, err)
		}
		fmt.Fprintln(out, row(r))
		explain(out, r)
		reports = append(reports, r)
	}
	if len(reports) > 1 {
		fmt.Fprintln(out)
		table(out, reports)
	}
	if *jsonFile != "" {
		if err := writeJSON(*jsonFile, out, reports); err != nil {
			return err
		}
	}
	return conclude(out, reports)
}

// plan returns the runs that are asked for.
func plan(o runOptions, names string, short bool) ([]runOptions, error) {
	if short {
		return shortPlan(o), nil
	}
	var runs []runOptions
	var all []inject.Fault
	for _, f := range inject.Faults {
		if f.Name != "none" && !f.Exception {
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

// shortPlan is a little of everything, in five runs that play each of their faults once.
func shortPlan(o runOptions) []runOptions {
	o.Duration, o.Pause, o.Users, o.Rate, o.Instances = time.Second, 600*time.Millisecond, 60, 60, 2
	group := func(name string, faults ...string) runOptions {
		var fs []inject.Fault
		for _, n := range faults {
			f, err := inject.ByName(n)
			if err != nil {
				panic(err) // a slip of this file
			}
			fs = append(fs, f)
		}
		return o.with(name, fs...)
	}
	return []runOptions{
		group("instances, short", "instance-killed", "clocks", "killed-publishing", "clients-vanish", "clients-flap"),
		group("redis, short", "redis-killed", "redis-cut", "redis-deaf", "clients-killed"),
		group("redis loses, short", "failover-publishing", "redis-replaced", "redis-wiped", "clients-deaf"),
		group("archive, short", "publish-fails", "persist-fails", "store-down", "clients-ack-late"),
		group("bad input, short", "clients-flood", "client-never-acks", "inbox-poisoned", "recipient-gone"),
	}
}

func usage(flags *flag.FlagSet) {
	w := flags.Output()
	fmt.Fprintln(w, "fault puts the delivery core under fire. Flags:")
	flags.PrintDefaults()
	fmt.Fprintln(w, "\nFaults:")
	for _, f := range inject.Faults {
		fmt.Fprintf(w, "  %-18s %s\n", f.Name, f.What)
	}
}

// judge judges a record that a run has kept.
func judge(file string, out io.Writer) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	entries, err := record.Read(f)
	if err != nil {
		return err
	}
	r := &runReport{Name: "kept", Report: verdict.Judge(entries)}
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
