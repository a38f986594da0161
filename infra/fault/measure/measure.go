// Package measure measures how sockets move: from an instance that receives SIGTERM, between instances when they
// reach their maximum age, and back after all instances were lost. Each measurement is also a run that is judged.
package measure

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/judge"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
	"github.com/phoenixchat/phoenixchat/infra/internal/openfiles"
	"golang.org/x/sync/errgroup"
)

// Options configure a measurement.
type Options struct {
	Program string // path of the instance program
	Seed    uint64
	Sockets int           // number of devices; each is the only one of its user
	Rate    float64       // messages per second during the measurement, of all users together
	Age     time.Duration // Rotate: maximum age of a socket
	Moves   int           // Rotate: how many moves to wait for
}

// Result is the result of a measurement. Durations are in milliseconds.
type Result struct {
	Name    string `json:"name"`
	Seed    uint64 `json:"seed"`
	Sockets int    `json:"sockets"`

	// CaughtUp is the time until every device is caught up again, from SIGTERM (Drain) or the end of the instances
	// (Storm).
	CaughtUp   float64         `json:"caught_up_ms"`
	Exit       float64         `json:"exit_ms"`     // Drain: from SIGTERM to the end of the process
	Moved      int             `json:"moved"`       // moves without a gap
	Gapped     int             `json:"gapped"`      // reconnects after a gap
	NotResumed int             `json:"not_resumed"` // times that a server sent resumed: false
	Reads      int64           `json:"store_reads"` // document reads, from the fault until the devices are caught up
	Judged     *verdict.Report `json:"judged"`
	Second     *judge.Report   `json:"second_judge"`
	Failure    string          `json:"failure,omitempty"`
}

// OK reports whether the run kept all promises.
func (m *Result) OK() bool {
	return m.Failure == "" && m.Judged != nil && m.Judged.Clean() && m.Second.OK()
}

// measurement is a measurement in progress.
type measurement struct {
	opts    Options
	log     *record.Log
	testbed *testbed.Testbed
	crowd   *load.Crowd
}

// kind is one kind of measurement.
type kind struct {
	name    string
	testbed testbed.Options
	setup   func(*testbed.Testbed) // runs before the crowd connects; nil: nothing to do

	// disturb makes the sockets move, and waits until they have.
	disturb func(ctx context.Context, m *measurement, out *Result) error
}

// measure connects a crowd to a testbed, lets it chat, makes its sockets move, and judges the run.
func measure(ctx context.Context, k kind, opts Options) (*Result, error) {
	dir, remove, err := testbed.TempDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	if err := openfiles.Check(opts.Sockets); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	m := &measurement{opts: opts}
	if m.log, err = record.Create(filepath.Join(dir, "record.jsonl"), end); err != nil {
		return nil, err
	}
	defer m.log.Close()
	testbedOpts := k.testbed
	testbedOpts.Dir, testbedOpts.Program, testbedOpts.Seed, testbedOpts.Log = dir, opts.Program, opts.Seed, m.log
	if testbedOpts.Instances == 0 { // as many as production's limit of sockets requires, with some room
		testbedOpts.Instances = opts.Sockets/700 + 2
	} else {
		testbedOpts.MaxSockets = opts.Sockets + 100
	}
	if m.testbed, err = testbed.New(ctx, testbedOpts); err != nil {
		return nil, err
	}
	defer m.testbed.Close()
	if k.setup != nil {
		k.setup(m.testbed)
	}
	users, err := m.testbed.AddUsers(ctx, opts.Sockets)
	if err != nil {
		return nil, err
	}
	m.crowd = load.New(m.testbed, m.log, users, load.Options{Rate: opts.Rate, Partners: 2, Seed: opts.Seed})
	defer m.crowd.Close()
	out := &Result{Name: k.name, Seed: opts.Seed, Sockets: opts.Sockets}
	if err := m.play(ctx, out, k); err != nil {
		out.Failure = err.Error()
	}
	m.crowd.Close()
	out.Judged = verdict.JudgeAll(m.log.All())
	out.Second = judge.Check(m.log)
	return out, errors.Join(m.log.Err(), ctx.Err())
}

// play runs the measurement with a crowd that chats, and then settles.
func (m *measurement) play(ctx context.Context, out *Result, k kind) error {
	starting, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(m.opts.Sockets)*20*time.Millisecond)
	defer cancel()
	if err := m.crowd.Start(starting, time.Duration(m.opts.Sockets)*4*time.Millisecond); err != nil {
		return err
	}
	if err := m.crowd.Acquaint(starting); err != nil {
		return err
	}
	chatting, stop := context.WithCancel(ctx)
	chat := make(chan struct{})
	go func() {
		defer close(chat)
		m.crowd.Chat(chatting, func() {})
	}()
	time.Sleep(2 * time.Second)
	before := m.testbed.Figures()
	begin := m.log.Mark()
	failure := k.disturb(ctx, m, out)
	m.count(out, begin, before)
	stop()
	<-chat
	settling, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return errors.Join(failure, m.crowd.Settle(settling, time.Minute), m.crowd.Open(settling))
}

// count counts what happened to sockets since begin.
func (m *measurement) count(out *Result, begin record.Mark, before testbed.Figures) {
	for e := range m.log.After(begin) {
		switch e.Kind {
		case record.Moved:
			out.Moved++
		case record.Up:
			out.Gapped++
		case record.NotResumed:
			out.NotResumed++
		}
	}
	out.Reads = m.testbed.Figures().Reads - before.Reads
}

// await polls until ok returns true, for up to within.
func await(ctx context.Context, within time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: not within %v", what, within)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// follow returns a function that calls f for each entry since the last call, or since begin.
func (m *measurement) follow(begin record.Mark, f func(record.Entry)) (update func()) {
	return func() {
		end := m.log.Mark()
		for e := range m.log.Between(begin, end) {
			f(e)
		}
		begin = end
	}
}

// lastUp returns when the last device was caught up again since begin.
func (m *measurement) lastUp(begin record.Mark) int64 {
	var last int64
	first := map[string]bool{}
	for e := range m.log.After(begin) {
		if (e.Kind == record.Moved || e.Kind == record.Up) && !first[e.Device] {
			first[e.Device], last = true, e.T
		}
	}
	return last
}

func ms(micros int64) float64 { return float64(micros) / 1000 }

// drainTimeout is the time that Cloud Run grants an instance after SIGTERM.
const drainTimeout = 10 * time.Second

// Drain connects all devices to one instance, and sends it SIGTERM.
func Drain(ctx context.Context, opts Options) (*Result, error) {
	k := kind{name: "drain", testbed: testbed.Options{Instances: 2}}
	k.setup = func(tb *testbed.Testbed) { tb.Route(1, false) }
	k.disturb = func(ctx context.Context, m *measurement, out *Result) error {
		m.testbed.Route(1, true)
		begin, start := m.fault("SIGTERM")
		took, err := m.testbed.Terminate(0)
		out.Exit = ms(took.Microseconds())
		rest := drainTimeout - min(took, drainTimeout-time.Second)
		if err := errors.Join(err, m.awaitCaughtUp(ctx, rest, begin)); err != nil {
			return err
		}
		out.CaughtUp = ms(m.lastUp(begin) - start)
		return nil
	}
	return measure(ctx, k, opts)
}

// Rotate waits until enough sockets have moved because of their age.
func Rotate(ctx context.Context, opts Options) (*Result, error) {
	k := kind{name: "rotate", testbed: testbed.Options{Instances: 2, SocketAge: opts.Age}}
	k.disturb = func(ctx context.Context, m *measurement, out *Result) error {
		moved := 0
		update := m.follow(m.log.Mark(), func(e record.Entry) {
			if e.Kind == record.Moved {
				moved++
			}
		})
		within := 2 * opts.Age * time.Duration(1+opts.Moves/opts.Sockets)
		return await(ctx, within, fmt.Sprintf("%d moves", opts.Moves), func() bool {
			update()
			return moved >= opts.Moves
		})
	}
	return measure(ctx, k, opts)
}

// Storm kills all instances at the same time and restarts them. There are as many instances as the sockets need under
// production's limits.
func Storm(ctx context.Context, opts Options) (*Result, error) {
	k := kind{name: "storm"}
	k.disturb = func(ctx context.Context, m *measurement, out *Result) error {
		begin, start := m.fault("all instances lost")
		for n := range m.testbed.Instances() {
			m.testbed.KillInstance(n)
		}
		var starting errgroup.Group // all at the same time, as Cloud Run does under load
		for n := range m.testbed.Instances() {
			starting.Go(func() error { return m.testbed.StartInstance(ctx, n) })
		}
		if err := starting.Wait(); err != nil {
			return err
		}
		if err := m.awaitCaughtUp(ctx, 3*time.Minute, begin); err != nil {
			return err
		}
		out.CaughtUp = ms(m.lastUp(begin) - start)
		return nil
	}
	return measure(ctx, k, opts)
}

// fault adds a fault to the record, and returns the place before its entry and the time of it.
func (m *measurement) fault(name string) (begin record.Mark, at int64) {
	begin = m.log.Mark()
	return begin, m.log.Add(record.Entry{Kind: record.Fault, Name: name})
}

// awaitCaughtUp waits until every device was caught up again since begin.
func (m *measurement) awaitCaughtUp(ctx context.Context, within time.Duration, begin record.Mark) error {
	again := map[string]bool{}
	update := m.follow(begin, func(e record.Entry) {
		if e.Kind == record.Moved || e.Kind == record.Up {
			again[e.Device] = true
		}
	})
	return await(ctx, within, "every device to be caught up again", func() bool {
		update()
		return len(again) == m.opts.Sockets
	})
}
