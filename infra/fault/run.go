package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/inject"
	"github.com/phoenixchat/phoenixchat/infra/fault/judge"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

// runOptions configure one run.
type runOptions struct {
	Name      string
	Faults    []inject.Fault
	Seed      uint64
	Duration  time.Duration // how long users chat under faults
	Messages  int           // the chat ends after this many messages; 0: after Duration
	Pause     time.Duration // mean time between faults
	Settle    time.Duration // how long the backlog may take to arrive after the last fault
	Unsent    int           // a user writes no more while a device has this many unsent messages; 0: no limit
	Users     int
	Rate      float64 // messages per second, of all users together
	Instances int
	Browser   float64 // share of devices with the browser's own engine and store
	Asleep    float64 // share of the other devices that sleep, with a push service to wake them

	Program  string      // path of the instance program
	Browsers string      // path of the program that runs devices with the browser's engine; needed if Browser > 0
	Store    store.Store // nil: an embedded one
	Keep     string      // folder for the record and logs; "": keep those of a failed run in the temporary folder
}

// provokesException reports whether the run provokes the stated exception.
func (o runOptions) provokesException() bool {
	return slices.ContainsFunc(o.Faults, func(f inject.Fault) bool { return f.Exception })
}

// runReport is the result of one run.
type runReport struct {
	Name    string  `json:"name"`
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`
	Browser int     `json:"browser"` // devices with the browser's own engine and store
	Sleeper int     `json:"sleeper"` // devices that sleep
	Pushes  int     `json:"pushes"`  // that have reached devices
	*verdict.Report
	Judged   *judge.Report   `json:"judged"`            // by a second judge, which shares no code with the verdict
	Injected int             `json:"injected"`          // faults
	Figures  testbed.Figures `json:"figures"`           // until the end of the chat
	Failure  string          `json:"failure,omitempty"` // of the run itself, such as a part that did not end in time
	Kept     string          `json:"kept,omitempty"`    // folder with the record and the logs
}

// recordFile is the name of the record in the folder of a run.
const recordFile = "record.jsonl"

// After stuckTimeout without progress, a run is stuck. It is longer than every delay of a client or an instance between
// two attempts. The engine of the browser has a few that double, and grow to half of the time that a fault has lasted.
const stuckTimeout = time.Minute

// passed reports whether the run broke no promise.
func (r *runReport) passed() bool {
	return r.Failure == "" && r.Clean() && (r.Judged == nil || r.Judged.OK())
}

// errUnexpectedException is the error if messages fall under the stated exception in a run that does not provoke it.
var errUnexpectedException = errors.New("messages fell under the stated exception, which this run does not provoke")

// errNoPush is the error if devices that sleep got their messages only with the visits of their timers.
var errNoPush = errors.New("no push has reached a device")

// manyAsleep is after how many messages to users who sleep a push must have arrived.
const manyAsleep = 50

// pace returns the pace of the browser client with delays of minutes cut to seconds, so that they end within a run. For
// the engine of the browser itself, web/fault/build.mjs does the same.
func pace() client.Pace {
	return client.Pace{
		AnswerWithin: 4 * time.Second, QuietFor: 10 * time.Second, PongWithin: 4 * time.Second, Welcome: 8 * time.Second,
		RetryMax: 5 * time.Second, BackfillFirst: 500 * time.Millisecond, BackfillMax: 5 * time.Second,
		Margin: 5 * time.Second,
		Reload: []time.Duration{2 * time.Second, 6 * time.Second, 20 * time.Second},
	}
}

// run plays one run and judges it. It returns an error if the run could not be played.
func run(ctx context.Context, o runOptions) (*runReport, error) {
	dir, remove, err := testbed.TempDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	log, err := record.Create(filepath.Join(dir, recordFile), end)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	testbedOpts := testbed.Options{
		Instances: o.Instances, Store: o.Store, Dir: dir, Program: o.Program, Seed: o.Seed, Log: log,
	}
	for _, f := range o.Faults {
		testbedOpts.Replica = testbedOpts.Replica || f.Replica
		testbedOpts.Waits = testbedOpts.Waits || f.Waits
		if f.Clocks {
			testbedOpts.ClockStep = 2 * time.Second
		}
	}
	started := time.Now()
	tb, err := testbed.New(ctx, testbedOpts)
	if err != nil {
		return nil, err
	}
	defer tb.Close()
	users, err := tb.AddUsers(ctx, o.Users)
	if err != nil {
		return nil, err
	}
	browsers, closeBrowsers, err := load.OpenBrowsers(o.Browsers, tb.API(), filepath.Join(dir, "browsers.log"))
	if err != nil {
		return nil, err
	}
	defer closeBrowsers()
	crowd := load.New(tb, log, users, load.Options{
		Rate: o.Rate, Unsent: o.Unsent, TwoDevices: 0.6, Skewed: 0.3, Changed: 0.2, Reused: 0.1, Pace: pace(), Seed: o.Seed,
		Browsers: browsers, Browser: o.Browser,
	})
	defer crowd.Close()
	if err := crowd.SubscribeSleepers(ctx, tb, o.Asleep); err != nil {
		return nil, err
	}
	r := &runReport{Name: o.Name, Seed: o.Seed, Browser: crowd.BrowserDevices(), Sleeper: crowd.Sleepers()}
	failure := play(ctx, o, tb, crowd, log, r)
	crowd.Close()
	if browsers != nil {
		failure = errors.Join(failure, browsers.Err())
	}
	tb.Close()
	r.Report = verdict.JudgeAll(log.All())
	r.Judged = judge.Check(log)
	if r.Excepted+r.Stranded+r.Judged.Excepted > 0 && !o.provokesException() {
		failure = errors.Join(failure, errUnexpectedException)
	}
	r.Pushes = crowd.Pushes()
	if r.Asleep >= manyAsleep && r.Pushes == 0 {
		failure = errors.Join(failure, errNoPush)
	}
	if failure != nil {
		r.Failure = failure.Error()
	}
	for e := range log.All() {
		if e.Kind == record.Fault && e.Name != verdict.Opening {
			r.Injected++
		}
	}
	if err := log.Close(); err != nil { // the verdict is void
		return nil, err
	}
	r.Seconds = time.Since(started).Seconds()
	if o.Keep != "" || !r.passed() {
		if r.Kept, err = keepFiles(o, dir); err != nil {
			return r, err
		}
	}
	return r, ctx.Err()
}

// play makes the crowd chat under faults, settle, and open all conversations.
func play(
	ctx context.Context, o runOptions, tb *testbed.Testbed, crowd *load.Crowd, log *record.Log, r *runReport,
) error {
	starting, cancel := context.WithTimeout(ctx, 30*time.Second+time.Duration(o.Users)*10*time.Millisecond)
	defer cancel()
	if err := crowd.Start(starting, time.Duration(o.Users)*2*time.Millisecond); err != nil {
		return err
	}
	if err := crowd.Acquaint(starting); err != nil {
		return err
	}
	chatting, enough := context.WithTimeout(ctx, o.Duration)
	defer enough()
	untilRepaired, stop := context.WithCancel(ctx) // users chat until the last fault is repaired
	defer stop()
	chat := make(chan struct{})
	go func() {
		defer close(chat)
		crowd.Chat(untilRepaired, func() {
			if o.Messages > 0 && crowd.Typed() >= o.Messages {
				enough()
			}
		})
	}()
	injector := inject.Injector{Testbed: tb, Crowd: crowd, Log: log, Seed: o.Seed, Pause: o.Pause}
	injected := injector.Run(ctx, o.Faults, chatting.Done())
	stop()
	<-chat
	r.Figures = tb.Figures()
	settling, cancel := context.WithTimeout(ctx, o.Settle)
	defer cancel()
	settled := crowd.Settle(settling, stuckTimeout)
	if errors.Is(settled, load.ErrBackfillPending) && o.provokesException() {
		settled = nil // backfills of read marks for messages that only the recipient has; see verdict.Report.Stranded
	}
	opening, cancel := context.WithTimeout(ctx, o.Settle)
	defer cancel()
	return errors.Join(injected, settled, crowd.Open(opening))
}

// keepFiles copies the record and the logs of the instances to a folder that outlives the run.
func keepFiles(o runOptions, dir string) (string, error) {
	to := o.Keep
	if to == "" {
		to = filepath.Join(os.TempDir(), "phoenix-fault-kept")
	}
	to = filepath.Join(to, fmt.Sprintf("%s-%d", o.Name, o.Seed))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return "", err
	}
	for _, from := range append(files, filepath.Join(dir, recordFile)) {
		if err := copyFile(filepath.Join(to, filepath.Base(from)), from); err != nil {
			return "", err
		}
	}
	return to, nil
}

// copyFile copies a file without reading it into memory.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
