package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/openfiles"
	"github.com/phoenixchat/phoenixchat/infra/load/crowd"
	"github.com/phoenixchat/phoenixchat/infra/load/sink"
	"github.com/phoenixchat/phoenixchat/infra/load/testbed"
)

// measurer measures the scenarios one after the other.
type measurer struct {
	opts   options
	dir    string
	out    io.Writer
	google *testbed.Google
	builds []testbed.Build

	results []result
}

// result is one measurement.
type result struct {
	Scenario string  `json:"scenario"`
	Build    string  `json:"build"`
	Devices  int     `json:"devices"`
	Round    int     `json:"round"`
	Figures  figures `json:"figures"`
}

// figures has the measured values by name; see table.go.
type figures map[string]float64

// measureAll measures every scenario with every build. Builds take turns, so that a change of the machine's speed does
// not favor one of them.
func (m *measurer) measureAll(ctx context.Context) error {
	var failed []error
	for round := 1; round <= m.opts.rounds; round++ {
		for _, s := range m.scenarios() {
			for _, b := range m.builds {
				for _, devices := range m.opts.devices {
					if b.Bare() {
						devices = 1
					}
					if m.has(s.name, b.Name, devices, round) || ctx.Err() != nil {
						continue
					}
					started := time.Now()
					f, err := m.measure(ctx, s, b, devices)
					what := fmt.Sprintf("%s, %s, %d device(s), round %d", s.name, b.Name, devices, round)
					if err != nil {
						failed = append(failed, fmt.Errorf("%s: %w", what, err))
						fmt.Fprintf(m.out, "FAIL: %s: %v\n", what, err)
						continue
					}
					fmt.Fprintf(m.out, "%s: %v\n", what, time.Since(started).Round(100*time.Millisecond))
					m.results = append(m.results, result{s.name, b.Name, devices, round, f})
				}
			}
		}
	}
	return errors.Join(failed...)
}

// has reports whether something is measured already: the bare relay is, if users with one device come first.
func (m *measurer) has(scenario, build string, devices, round int) bool {
	for _, r := range m.results {
		if r.Scenario == scenario && r.Build == build && r.Devices == devices && r.Round == round {
			return true
		}
	}
	return false
}

// system is a running system with a crowd.
type system struct {
	*testbed.Testbed
	crowd   *crowd.Crowd
	devices int
	bare    bool
	name    string // of what is measured, as part of a file name
}

// measure measures a scenario on a new system.
func (m *measurer) measure(ctx context.Context, s scenario, b testbed.Build, devices int) (figures, error) {
	dir, err := os.MkdirTemp(m.dir, "system-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	tb, err := testbed.Start(ctx, testbed.Options{Build: b, Google: m.google, Dir: dir, Persist: m.opts.persist})
	if err != nil {
		return nil, err
	}
	defer tb.Close()
	target := crowd.Target{Origin: tb.Origin(), Token: tb.Token, Bare: b.Bare()}
	for i := range testbed.Instances {
		target.Addrs = append(target.Addrs, tb.Addr(i))
	}
	c, err := crowd.New(crowd.Options{Target: target, Devices: devices, Reads: s.reads})
	if err != nil {
		return nil, err
	}
	name := strings.NewReplacer(" ", "-", "/", "-per-").Replace(s.name)
	sys := &system{tb, c, devices, b.Bare(), fmt.Sprintf("%s-%s-%d", name, b.Name, devices)}
	defer c.HangUp()
	f, err := s.run(ctx, m.opts, sys)
	if err == nil {
		err = sys.checkSink(ctx)
	}
	if broken := tb.Broken(); broken != nil {
		err = errors.Join(err, broken)
	}
	return f, err
}

// addUsers makes users known until there are n. They are not connected yet.
func (s *system) addUsers(ctx context.Context, n int) error {
	if err := openfiles.Check(n * s.devices); err != nil {
		return err
	}
	if err := s.AddUsers(ctx, crowd.UIDs(n)); err != nil {
		return err
	}
	s.crowd.Grow(n)
	return nil
}

// patience is how long nothing may happen before a message counts as lost. Refusals for a limit last up to a minute.
const patience = 75 * time.Second

// settle waits until every message has arrived everywhere.
func (s *system) settle(ctx context.Context) error { return s.crowd.Settled(ctx, patience) }

// checkSink returns an error if the sink does not have each message, or has what it cannot read.
func (s *system) checkSink(ctx context.Context) error {
	if s.bare {
		return nil
	}
	saved, err := s.Saved(ctx)
	if err != nil {
		return err
	}
	return compareSink(saved, s.crowd.Totals())
}

// compareSink returns an error if the sink does not have exactly the messages that were sent.
func compareSink(saved sink.Counts, t crowd.Totals) error {
	if saved.Messages != t.Messages || saved.Bad != 0 {
		return fmt.Errorf("the sink has %d messages and %d bad entries instead of %d messages", saved.Messages, saved.Bad,
			t.Messages)
	}
	return nil
}
