// Package measure takes the figures of how sockets move: off an instance that
// is asked to end, off one another as they grow old, and back all at once after
// every instance was lost. Each measurement is also a run that is judged.
package measure

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

// Options of a measurement.
type Options struct {
	Program string // of the instances
	Seed    uint64
	Sockets int           // devices, each a person's only one
	Rate    float64       // messages per second meanwhile, all together
	Age     time.Duration // Rotate: sockets move at this age at most
	Moves   int           // Rotate: so many are waited for
}

// Result is what a measurement found. Durations are in milliseconds.
type Result struct {
	Name    string `json:"name"`
	Seed    uint64 `json:"seed"`
	Sockets int    `json:"sockets"`

	CaughtUp   float64         `json:"caught_up_ms"`      // Drain: from SIGTERM, Storm: from the end of the instances, until every device was caught up again
	Exit       float64         `json:"exit_ms"`     // Drain: from SIGTERM to the end of the process
	Moved      int             `json:"moved"`       // without a gap
	Gapped     int             `json:"gapped"`      // with one
	NotResumed int             `json:"not_resumed"`      // told resumed: false
	Reads      int64           `json:"store_reads"` // documents, from the first loss of a socket to the last resume
	Judged     *verdict.Report `json:"judged"`
	Failure    string          `json:"failure,omitempty"`
}

// OK reports whether everything was as promised.
func (m *Result) OK() bool { return m.Failure == "" && m.Judged != nil && m.Judged.Clean() }

// rig is a measurement under way.
type measurement struct {
	opts    Options
	log     *record.Log
	testbed *testbed.Testbed
	crowd   *load.Crowd
}

// measure plays f on a stage with a connected crowd that chats, and judges.
// before is called before the crowd connects.
func measure(ctx context.Context, name string, opts Options, testbedOpts testbed.Options, before func(*testbed.Testbed), f func(ctx context.Context, m *measurement, out *Result) error) (*Result, error) {
	dir, remove, err := testbed.TempDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	if err := checkFileLimit(opts.Sockets); err != nil {
		return nil, err
	}
	m := &measurement{opts: opts, log: record.New()}
	testbedOpts.Dir, testbedOpts.Program, testbedOpts.Seed, testbedOpts.Log = dir, opts.Program, opts.Seed, m.log
	testbedOpts.MaxSockets = opts.Sockets + 100
	if m.testbed, err = testbed.New(ctx, testbedOpts); err != nil {
		return nil, err
	}
	defer m.testbed.Close()
	before(m.testbed)
	users, err := m.testbed.AddUsers(ctx, opts.Sockets)
	if err != nil {
		return nil, err
	}
	m.crowd = load.New(m.testbed, m.log, users, load.Options{Rate: opts.Rate, Partners: 2, Seed: opts.Seed})
	defer m.crowd.Close()
	out := &Result{Name: name, Seed: opts.Seed, Sockets: opts.Sockets}
	if err := m.play(ctx, out, f); err != nil {
		out.Failure = err.Error()
	}
	m.crowd.Close()
	out.Judged = verdict.Judge(m.log.Entries())
	return out, ctx.Err()
}

func (m *measurement) play(ctx context.Context, out *Result, f func(context.Context, *measurement, *Result) error) error {
	starting, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(m.opts.Sockets)*20*time.Millisecond)
	defer cancel()
	if err := m.crowd.Start(starting, time.Duration(m.opts.Sockets)*4*time.Millisecond); err != nil {
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
	begin := len(m.log.Entries())
	failure := f(ctx, m, out)
	m.count(out, begin, before)
	stop()
	<-chat
	settling, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return errors.Join(failure, m.crowd.Settle(settling, time.Minute), m.crowd.Open(settling))
}

// count sums up what happened to sockets since the entry at begin.
func (m *measurement) count(out *Result, begin int, before testbed.Figures) {
	for _, e := range m.log.Entries()[begin:] {
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

// await polls until ok, for at most within.
func await(ctx context.Context, within time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v", what, within)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// caughtUp counts the devices that were caught up anew since the entry at begin.
func (m *measurement) countCaughtUp(begin int) int {
	again := map[string]bool{}
	for _, e := range m.log.Entries()[begin:] {
		if e.Kind == record.Moved || e.Kind == record.Up {
			again[e.Device] = true
		}
	}
	return len(again)
}

// lastUp returns when the last device was caught up anew since the entry at begin.
func (m *measurement) lastUp(begin int) int64 {
	var last int64
	first := map[string]bool{}
	for _, e := range m.log.Entries()[begin:] {
		if (e.Kind == record.Moved || e.Kind == record.Up) && !first[e.Device] {
			first[e.Device], last = true, e.T
		}
	}
	return last
}

// enoughFiles reports whether a process may open so many sockets, some files
// beside them, and the connections of the stage. The Go runtime has raised the
// limit of this process, and of the instances, to the hard one already.
func checkFileLimit(sockets int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("ask for the limit of open files: %w", err)
	}
	if need := uint64(sockets) + 500; limit.Cur < need {
		return fmt.Errorf("%d sockets need %d open files, and the limit is %d: raise it (ulimit -Hn %d) or take fewer sockets", sockets, need, limit.Cur, need)
	}
	return nil
}

func noSetup(*testbed.Testbed) {}

func ms(micros int64) float64 { return float64(micros) / 1000 }

// drainWithin is what Cloud Run gives an instance after SIGTERM.
const drainTimeout = 10 * time.Second

// Drain has all sockets on one instance, and sends that SIGTERM.
func Drain(ctx context.Context, opts Options) (*Result, error) {
	return measure(ctx, "drain", opts, testbed.Options{Instances: 2}, func(s *testbed.Testbed) { s.Route(1, false) }, func(ctx context.Context, m *measurement, out *Result) error {
		m.testbed.Route(1, true)
		begin := len(m.log.Entries())
		m.log.Add(record.Entry{Kind: record.Fault, Name: "SIGTERM"})
		start := m.log.Entries()[begin].T
		took, err := m.testbed.Terminate(0)
		out.Exit = ms(took.Microseconds())
		if err := errors.Join(err, await(ctx, drainTimeout-min(took, drainTimeout-time.Second), "every device to be caught up elsewhere", func() bool {
			return m.countCaughtUp(begin) == opts.Sockets
		})); err != nil {
			return err
		}
		out.CaughtUp = ms(m.lastUp(begin) - start)
		return nil
	})
}

// Rotate lets sockets grow old until enough of them have moved.
func Rotate(ctx context.Context, opts Options) (*Result, error) {
	return measure(ctx, "rotate", opts, testbed.Options{Instances: 2, SocketAge: opts.Age}, noSetup, func(ctx context.Context, m *measurement, out *Result) error {
		begin := len(m.log.Entries())
		within := 2 * opts.Age * time.Duration(1+opts.Moves/opts.Sockets)
		return await(ctx, within, fmt.Sprintf("%d moves", opts.Moves), func() bool {
			moved := 0
			for _, e := range m.log.Entries()[begin:] {
				if e.Kind == record.Moved {
					moved++
				}
			}
			return moved >= opts.Moves
		})
	})
}

// Storm ends all instances at once and starts them again at once.
func Storm(ctx context.Context, opts Options) (*Result, error) {
	const instances = 3
	return measure(ctx, "storm", opts, testbed.Options{Instances: instances}, noSetup, func(ctx context.Context, m *measurement, out *Result) error {
		begin := len(m.log.Entries())
		m.log.Add(record.Entry{Kind: record.Fault, Name: "all instances lost"})
		start := m.log.Entries()[begin].T
		for n := range instances {
			m.testbed.KillInstance(n)
		}
		for n := range instances {
			if err := m.testbed.StartInstance(ctx, n); err != nil {
				return err
			}
		}
		if err := await(ctx, 3*time.Minute, "every device to be caught up again", func() bool { return m.countCaughtUp(begin) == opts.Sockets }); err != nil {
			return err
		}
		out.CaughtUp = ms(m.lastUp(begin) - start)
		return nil
	})
}
