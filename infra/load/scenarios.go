package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/load/crowd"
	"github.com/phoenixchat/phoenixchat/infra/load/testbed"
)

// scenario is one kind of load.
type scenario struct {
	name  string
	reads bool // users set read marks
	run   func(ctx context.Context, o options, s *system) (figures, error)
}

// scenarioNames returns the values of -scenarios.
func scenarioNames() []string { return []string{"rate", "chat", "highest", "idle", "storm"} }

// scenarios returns the chosen scenarios, once for each rate.
func (m *measurer) scenarios() (out []scenario) {
	for _, name := range m.opts.scenarios {
		switch name {
		case "rate":
			for _, rate := range m.opts.rates {
				out = append(out, scenario{name: fmt.Sprintf("rate %.0f/s", rate), run: steady(rate)})
			}
		case "chat":
			for i, rate := range m.opts.rates {
				out = append(out, scenario{name: fmt.Sprintf("chat %.0f/s", rate), reads: true, run: chat(rate, uint64(i))})
			}
		case "highest":
			out = append(out, scenario{name: "highest", run: highest})
		case "idle":
			out = append(out, scenario{name: "idle", run: idle})
		case "storm":
			out = append(out, scenario{name: "storm", run: storm})
		}
	}
	return out
}

// load is a way in which a crowd sends messages.
type load interface {
	Run(ctx context.Context, c *crowd.Crowd, over time.Duration)
}

// steady returns the run of a fixed rate between fixed pairs.
func steady(rate float64) func(context.Context, options, *system) (figures, error) {
	return func(ctx context.Context, o options, s *system) (figures, error) {
		n := max(2*o.pairs, crowd.UsersFor(rate))
		if err := s.enter(ctx, n, crowd.Pairs(0, n)); err != nil {
			return nil, err
		}
		return s.measureLoad(ctx, crowd.Steady{Rate: rate, Body: o.body}, o)
	}
}

// chat returns the run of a load that resembles people.
func chat(rate float64, seed uint64) func(context.Context, options, *system) (figures, error) {
	return func(ctx context.Context, o options, s *system) (figures, error) {
		n := crowd.ChatUsersFor(rate)
		if err := s.enter(ctx, n, crowd.Ring(n)); err != nil {
			return nil, err
		}
		return s.measureLoad(ctx, crowd.Chat{Rate: rate, Seed: seed}, o)
	}
}

// enter connects users until there are n, and acquaints the users of new conversations.
func (s *system) enter(ctx context.Context, n int, conversations [][2]int) error {
	from := s.crowd.Users()
	if err := s.addUsers(ctx, n); err != nil {
		return err
	}
	if _, err := s.crowd.Connect(ctx, from); err != nil {
		return err
	}
	return s.crowd.Acquaint(ctx, conversations)
}

// measureLoad measures a load, and returns when every message has arrived everywhere. It also measures what the load
// has cost when all sockets are closed, because a server may put off work until then.
func (s *system) measureLoad(ctx context.Context, l load, o options) (figures, error) {
	before := s.crowd.Totals()
	u0, err := s.Usage(ctx)
	if err != nil {
		return nil, err
	}
	profiled := make(chan error, 1)
	go func() {
		if o.profiles == "" {
			profiled <- nil
			return
		}
		_ = pause(ctx, o.warmUp) // if ctx ends, Profile returns its error
		profiled <- s.Profile(ctx, filepath.Join(o.profiles, s.name), o.over)
	}()
	f, err := s.step(ctx, l, o.warmUp, o.over)
	if err := errors.Join(err, <-profiled); err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	if refused := s.crowd.Totals().Refused; refused > 0 {
		return nil, fmt.Errorf("%d messages were refused at first, although no limit is reached", refused)
	}
	s.crowd.HangUp()
	if err := pause(ctx, o.quiet); err != nil {
		return nil, err
	}
	closed, err := s.Usage(ctx)
	if err != nil {
		return nil, err
	}
	all := s.perMessage(closed.Sub(u0), float64(s.crowd.Totals().Arrived-before.Arrived))
	f["cpu closed"], f["scripts closed"] = all["cpu realtime+redis"], all["scripts"]
	return f, nil
}

// step measures a load, and does not wait for the messages that have not arrived.
func (s *system) step(ctx context.Context, l load, warmUp, over time.Duration) (figures, error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(ctx, s.crowd, warmUp+over)
	}()
	_ = pause(ctx, warmUp) // if ctx ends, the load does too
	window := s.crowd.OpenWindow()
	begin, t0 := time.Now(), s.crowd.Totals()
	u0, err := s.Usage(ctx)
	<-ended
	elapsed, t1 := time.Since(begin), s.crowd.Totals()
	u1, err1 := s.Usage(ctx)
	s.crowd.CloseWindow()
	if err == nil {
		err = err1
	}
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := s.crowd.Arrived(ctx, 2*time.Second); err != nil && ctx.Err() != nil {
		return nil, err
	}
	if t1.Arrived == t0.Arrived {
		return nil, errors.New("no message arrived while the load lasted")
	}
	f := s.perMessage(u1.Sub(u0), float64(t1.Arrived-t0.Arrived))
	f["offered/s"] = float64(t1.Messages-t0.Messages) / elapsed.Seconds()
	f["delivered/s"] = float64(t1.Arrived-t0.Arrived) / elapsed.Seconds()
	f.addLatency("sent", &window.Sent)
	f.addLatency("event", &window.Event)
	if !s.bare {
		if err := s.crowd.Receipted(ctx, 2*time.Second); err != nil && ctx.Err() != nil {
			return nil, err
		}
		f.addLatency("delivered", &window.Delivered)
		saved, err := s.Saved(ctx)
		if err != nil {
			return nil, err
		}
		f["published twice"] = float64(saved.Again) / float64(max(1, saved.Messages))
	}
	return f, nil
}

// perMessage divides what was used by the number of messages.
func (s *system) perMessage(u testbed.Usage, messages float64) figures {
	const million = 1e6
	f := figures{
		"cpu realtime": u.Instances / messages * million, "cpu redis": u.Redis / messages * million,
		"cpu generator": u.Generator / messages * million,
		"scripts":       u.Scripts / messages, "calls": u.Calls / messages,
		"redis bytes": u.RedisTraffic / messages, "redis reads": u.RedisReads / messages,
	}
	f["cpu realtime+redis"] = f["cpu realtime"] + f["cpu redis"]
	if !s.bare {
		f["cpu persist"] = u.Sink / messages * million
	}
	if s.Probed() {
		f["objects"], f["bytes"] = u.Objects/messages, u.Bytes/messages
	}
	return f
}

// addLatency adds three quantiles in milliseconds.
func (f figures) addLatency(what string, h *crowd.Histogram) {
	for name, q := range map[string]float64{"p50": 0.5, "p99": 0.99, "p99.9": 0.999} {
		f[what+" "+name] = float64(h.Quantile(q)) / float64(time.Millisecond)
	}
}

// idle measures the memory of sockets on which nothing happens.
func idle(ctx context.Context, o options, s *system) (figures, error) {
	users := o.sockets / s.devices
	if err := s.addUsers(ctx, users); err != nil {
		return nil, err
	}
	u0, err := s.Usage(ctx)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if _, err := s.crowd.Connect(ctx, 0); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	connected, err := s.Usage(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, o.quiet); err != nil {
		return nil, err
	}
	settled, err := s.Usage(ctx)
	if err != nil {
		return nil, err
	}
	sockets := float64(users * s.devices)
	f := perConnect(connected.Sub(u0), sockets, took)
	memory := settled.Sub(u0)
	f["rss realtime"] = memory.InstancesRSS / 1024 / sockets
	f["rss redis"] = memory.RedisRSS / 1024 / sockets
	return f, s.greetOnce(ctx, users)
}

// storm measures how sockets come back after all of them were lost at once.
func storm(ctx context.Context, o options, s *system) (figures, error) {
	users := o.sockets / s.devices
	if err := s.enter(ctx, users, crowd.Pairs(0, users)); err != nil {
		return nil, err
	}
	s.crowd.HangUp()
	if err := pause(ctx, o.quiet); err != nil {
		return nil, err
	}
	u0, err := s.Usage(ctx)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	latency, err := s.crowd.Connect(ctx, 0)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	u1, err := s.Usage(ctx)
	if err != nil {
		return nil, err
	}
	f := perConnect(u1.Sub(u0), float64(users*s.devices), took)
	f.addLatency("connect", latency)
	return f, s.greetOnce(ctx, users)
}

// greetOnce lets the users of each pair exchange a message, which shows that all sockets work.
func (s *system) greetOnce(ctx context.Context, users int) error {
	return s.crowd.Acquaint(ctx, crowd.Pairs(0, users))
}

// perConnect divides what was used by the number of sockets that were opened.
func perConnect(u testbed.Usage, sockets float64, took time.Duration) figures {
	const ms = 1000
	return figures{
		"connects/s":  sockets / took.Seconds(),
		"cpu connect": u.Instances / sockets * ms, "cpu connect redis": u.Redis / sockets * ms,
		"cpu connect total": (u.Instances + u.Redis) / sockets * ms,
		"connect scripts":   u.Scripts / sockets, "connect calls": u.Calls / sockets,
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
