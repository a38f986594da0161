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

	All     float64         `json:"all_ms"`      // Drain: from SIGTERM, Storm: from the end of the instances, until every device was caught up again
	Exit    float64         `json:"exit_ms"`     // Drain: from SIGTERM to the end of the process
	Moved   int             `json:"moved"`       // without a gap
	Gapped  int             `json:"gapped"`      // with one
	Unsure  int             `json:"unsure"`      // told resumed: false
	Reads   int64           `json:"store_reads"` // documents, from the first loss of a socket to the last resume
	Judged  *verdict.Report `json:"judged"`
	Failure string          `json:"failure,omitempty"`
}

// OK reports whether everything was as promised.
func (r *Result) OK() bool { return r.Failure == "" && r.Judged != nil && r.Judged.Clean() }

// rig is a measurement under way.
type rig struct {
	opts  Options
	log   *record.Log
	stage *testbed.Testbed
	crowd *load.Crowd
}

// measure plays f on a stage with a connected crowd that chats, and judges.
// before is called before the crowd connects.
func measure(ctx context.Context, name string, opts Options, so testbed.Options, before func(*testbed.Testbed), f func(ctx context.Context, r *rig, out *Result) error) (*Result, error) {
	dir, remove, err := testbed.TempDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	if err := enoughFiles(opts.Sockets); err != nil {
		return nil, err
	}
	r := &rig{opts: opts, log: record.New()}
	so.Dir, so.Program, so.Seed, so.Log = dir, opts.Program, opts.Seed, r.log
	so.MaxSocket = opts.Sockets + 100
	if r.stage, err = testbed.New(ctx, so); err != nil {
		return nil, err
	}
	defer r.stage.Close()
	before(r.stage)
	people, err := r.stage.Enrol(ctx, opts.Sockets)
	if err != nil {
		return nil, err
	}
	r.crowd = load.New(r.stage, r.log, people, load.Options{Rate: opts.Rate, Partners: 2, Seed: opts.Seed})
	defer r.crowd.Close()
	out := &Result{Name: name, Seed: opts.Seed, Sockets: opts.Sockets}
	if err := r.play(ctx, out, f); err != nil {
		out.Failure = err.Error()
	}
	r.crowd.Close()
	out.Judged = verdict.Judge(r.log.Entries())
	return out, ctx.Err()
}

func (r *rig) play(ctx context.Context, out *Result, f func(context.Context, *rig, *Result) error) error {
	starting, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(r.opts.Sockets)*20*time.Millisecond)
	defer cancel()
	if err := r.crowd.Start(starting, time.Duration(r.opts.Sockets)*4*time.Millisecond); err != nil {
		return err
	}
	chatting, stop := context.WithCancel(ctx)
	chat := make(chan struct{})
	go func() {
		defer close(chat)
		r.crowd.Chat(chatting, func() {})
	}()
	time.Sleep(2 * time.Second)
	before := r.stage.Figures()
	begin := len(r.log.Entries())
	failure := f(ctx, r, out)
	r.count(out, begin, before)
	stop()
	<-chat
	settling, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return errors.Join(failure, r.crowd.Settle(settling, time.Minute), r.crowd.Open(settling))
}

// count sums up what happened to sockets since the entry at begin.
func (r *rig) count(out *Result, begin int, before testbed.Figures) {
	for _, e := range r.log.Entries()[begin:] {
		switch e.Kind {
		case record.Moved:
			out.Moved++
		case record.Up:
			out.Gapped++
		case record.Unsure:
			out.Unsure++
		}
	}
	out.Reads = r.stage.Figures().Reads - before.Reads
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
func (r *rig) caughtUp(begin int) int {
	again := map[string]bool{}
	for _, e := range r.log.Entries()[begin:] {
		if e.Kind == record.Moved || e.Kind == record.Up {
			again[e.Device] = true
		}
	}
	return len(again)
}

// lastUp returns when the last device was caught up anew since the entry at begin.
func (r *rig) lastUp(begin int) int64 {
	var last int64
	first := map[string]bool{}
	for _, e := range r.log.Entries()[begin:] {
		if (e.Kind == record.Moved || e.Kind == record.Up) && !first[e.Device] {
			first[e.Device], last = true, e.T
		}
	}
	return last
}

// enoughFiles reports whether a process may open so many sockets, some files
// beside them, and the connections of the stage. The Go runtime has raised the
// limit of this process, and of the instances, to the hard one already.
func enoughFiles(sockets int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("ask for the limit of open files: %w", err)
	}
	if need := uint64(sockets) + 500; limit.Cur < need {
		return fmt.Errorf("%d sockets need %d open files, and the limit is %d: raise it (ulimit -Hn %d) or take fewer sockets", sockets, need, limit.Cur, need)
	}
	return nil
}

func everywhere(*testbed.Testbed) {}

func ms(micros int64) float64 { return float64(micros) / 1000 }

// drainWithin is what Cloud Run gives an instance after SIGTERM.
const drainWithin = 10 * time.Second

// Drain has all sockets on one instance, and sends that SIGTERM.
func Drain(ctx context.Context, opts Options) (*Result, error) {
	return measure(ctx, "drain", opts, testbed.Options{Instances: 2}, func(s *testbed.Testbed) { s.Route(1, false) }, func(ctx context.Context, r *rig, out *Result) error {
		r.stage.Route(1, true)
		begin := len(r.log.Entries())
		r.log.Add(record.Entry{Kind: record.Fault, Name: "SIGTERM"})
		start := r.log.Entries()[begin].T
		took, err := r.stage.Terminate(0)
		out.Exit = ms(took.Microseconds())
		if err := errors.Join(err, await(ctx, drainWithin-min(took, drainWithin-time.Second), "every device to be caught up elsewhere", func() bool {
			return r.caughtUp(begin) == opts.Sockets
		})); err != nil {
			return err
		}
		out.All = ms(r.lastUp(begin) - start)
		return nil
	})
}

// Rotate lets sockets grow old until enough of them have moved.
func Rotate(ctx context.Context, opts Options) (*Result, error) {
	return measure(ctx, "rotate", opts, testbed.Options{Instances: 2, SocketAge: opts.Age}, everywhere, func(ctx context.Context, r *rig, out *Result) error {
		begin := len(r.log.Entries())
		within := 2 * opts.Age * time.Duration(1+opts.Moves/opts.Sockets)
		return await(ctx, within, fmt.Sprintf("%d moves", opts.Moves), func() bool {
			moved := 0
			for _, e := range r.log.Entries()[begin:] {
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
	return measure(ctx, "storm", opts, testbed.Options{Instances: instances}, everywhere, func(ctx context.Context, r *rig, out *Result) error {
		begin := len(r.log.Entries())
		r.log.Add(record.Entry{Kind: record.Fault, Name: "all instances lost"})
		start := r.log.Entries()[begin].T
		for n := range instances {
			r.stage.KillInstance(n)
		}
		for n := range instances {
			if err := r.stage.StartInstance(ctx, n); err != nil {
				return err
			}
		}
		if err := await(ctx, 3*time.Minute, "every device to be caught up again", func() bool { return r.caughtUp(begin) == opts.Sockets }); err != nil {
			return err
		}
		out.All = ms(r.lastUp(begin) - start)
		return nil
	})
}
