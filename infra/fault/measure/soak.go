package measure

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/inject"
	"github.com/phoenixchat/phoenixchat/infra/fault/judge"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

// SoakOptions configure a soak.
type SoakOptions struct {
	Program    string // path of the instance program
	Seed       uint64
	Duration   time.Duration // of the chat
	Rate       float64       // messages per second, of all users together
	People     int           // enough that none reaches the limit of sends in a minute; fewer fill their inboxes sooner
	Instances  int
	Pace       client.Pace
	FaultEvery time.Duration // mean time between two faults
	WarmUp     time.Duration // time until every inbox has as many events as it keeps; at most half of the duration
	Sample     time.Duration // time between two samples; 0: a 200th of the duration, at least 1 s
	Browsers   string        // path of the program that runs devices with the browser's engine; needed if Browser > 0
	Browser    float64       // share of devices with the browser's own engine and store
	Dir        string        // folder for the record and all other files, which stay; "": a temporary one
}

// soakFaults are the faults of a soak: those that last for seconds and leave nothing behind. Left out are faults that
// end an instance or empty Redis, because starting anew would hide a leak, and faults that add users or fill inboxes,
// which must grow something.
var soakFaults = []string{
	"redis-killed", "redis-paused", "redis-cut", "redis-slow", "redis-deaf",
	"publish-fails", "publish-slow", "persist-fails", "persist-slow", "persist-twice", "persist-shuffled", "store-down",
	"clients-killed", "clients-vanish", "clients-flap", "clients-offline", "clients-deaf", "clients-ack-late",
}

// Series is what a soak measured of one quantity.
type Series struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Samples int     `json:"samples"`
	First   float64 `json:"first"` // median of the first quarter after the warm-up
	Last    float64 `json:"last"`  // median of the last quarter
	Max     float64 `json:"max"`
	PerHour float64 `json:"per_hour"` // slope between the middles of the two quarters
	Allowed float64 `json:"allowed"`  // greatest value of Last - First
	Flat    bool    `json:"flat"`
}

// SoakResult is the result of a soak.
type SoakResult struct {
	Name     string          `json:"name"`
	Seed     uint64          `json:"seed"`
	Seconds  float64         `json:"seconds"` // of the chat
	WarmUp   float64         `json:"warm_up"` // seconds at the beginning that the series leave out
	People   int             `json:"people"`
	Browser  int             `json:"browser"` // devices with the browser's own engine and store
	Faults   int             `json:"faults"`
	Rate     float64         `json:"rate"`   // messages per second that were typed
	Missed   int             `json:"missed"` // samples that a fault prevented
	Series   []Series        `json:"series"`
	Judged   *verdict.Report `json:"judged"`
	Second   *judge.Report   `json:"second"` // of the second judge
	Failure  string          `json:"failure,omitempty"`
	Injected map[string]int  `json:"injected"` // faults by name
}

// OK reports whether everything stayed flat and the run kept all promises.
func (r *SoakResult) OK() bool {
	return r.Failure == "" && r.Judged != nil && r.Judged.Clean() && r.Second.OK() && len(r.Series) > 0 &&
		!slices.ContainsFunc(r.Series, func(s Series) bool { return !s.Flat })
}

// sample is one measurement of all quantities.
type sample struct {
	at     time.Duration // since the beginning of the chat
	values []float64     // in the order of quantities
}

// quantity is something that a soak measures. It may grow by a share of its first value, and by a constant that covers
// how much it varies in a system that is at rest.
type quantity struct {
	name, unit string
	share      float64
	slack      float64
}

const mib = 1 << 20

// quantities are what a soak measures. The instances' figures are their sums.
var quantities = []quantity{
	{"memory of the instances (RSS)", "MiB", 0.10, 12},
	{"heap of the instances, after a collection", "MiB", 0.10, 4},
	{"goroutines of the instances", "", 0.05, 50},
	{"memory of Redis", "MiB", 0.10, 4},
	{"keys of Redis, without counts of sends", "", 0.02, 10},
	{"rows beside messages, Go twin", "", 0.02, 50},
	{"rows of IndexedDB beside messages", "", 0.02, 50},
}

// Soak lets a crowd chat for a long time, with a fault now and then, and measures whether anything grows that must not.
// Some devices have the browser's own engine and store, on an IndexedDB in memory; all others are its Go twin.
func Soak(ctx context.Context, opts SoakOptions) (*SoakResult, error) {
	dir := opts.Dir
	if dir == "" {
		temporary, remove, err := testbed.TempDir()
		if err != nil {
			return nil, err
		}
		defer remove()
		dir = temporary
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	log, err := record.Create(filepath.Join(dir, "record.jsonl"), end)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	tb, err := testbed.New(ctx, testbed.Options{
		Instances: opts.Instances, Dir: dir, Program: opts.Program, Seed: opts.Seed, Log: log,
	})
	if err != nil {
		return nil, err
	}
	defer tb.Close()
	users, err := tb.AddUsers(ctx, opts.People)
	if err != nil {
		return nil, err
	}
	browsers, closeBrowsers, err := load.OpenBrowsers(opts.Browsers, tb.API(), filepath.Join(dir, "browsers.log"))
	if err != nil {
		return nil, err
	}
	defer closeBrowsers()
	crowd := load.New(tb, log, users, load.Options{
		Rate: opts.Rate, Unsent: 10, TwoDevices: 0.6, Skewed: 0.3, Reused: 0.1, Pace: opts.Pace, Seed: opts.Seed,
		Browsers: browsers, Browser: opts.Browser,
	})
	defer crowd.Close()
	out := &SoakResult{
		Name: "soak", Seed: opts.Seed, People: opts.People, Browser: crowd.BrowserDevices(), Injected: map[string]int{},
	}
	failure := soak(ctx, opts, tb, crowd, log, out)
	crowd.Close()
	if browsers != nil {
		failure = errors.Join(failure, browsers.Err())
	}
	if failure != nil {
		out.Failure = failure.Error()
	}
	tb.Close()
	out.Judged, out.Second = verdict.JudgeAll(log.All()), judge.Check(log)
	for e := range log.All() {
		if e.Kind == record.Fault && e.Name != verdict.Opening {
			out.Injected[e.Name]++
			out.Faults++
		}
	}
	return out, errors.Join(log.Err(), ctx.Err())
}

func soak(
	ctx context.Context, opts SoakOptions, tb *testbed.Testbed, crowd *load.Crowd, log *record.Log, out *SoakResult,
) error {
	starting, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(opts.People)*20*time.Millisecond)
	defer cancel()
	if err := crowd.Start(starting, time.Duration(opts.People)*4*time.Millisecond); err != nil {
		return err
	}
	if err := crowd.Acquaint(starting); err != nil {
		return err
	}
	var faults []inject.Fault
	groups := map[bool]int{}
	for _, name := range soakFaults {
		f, err := inject.ByName(name)
		if err != nil {
			return err
		}
		faults = append(faults, f)
		groups[f.Clients]++
	}
	began, typed := time.Now(), crowd.Typed()
	chatting, enough := context.WithTimeout(ctx, opts.Duration)
	defer enough()
	untilRepaired, stop := context.WithCancel(ctx)
	defer stop()
	chat := make(chan struct{})
	go func() {
		defer close(chat)
		crowd.Chat(untilRepaired, func() {})
	}()
	sampled := make(chan []sample)
	go func() { sampled <- takeSamples(chatting, began, opts, tb, crowd, out) }()

	// Two groups of faults run concurrently. Each plays all its faults at least once, which must fit into the soak.
	pause := min(2*opts.FaultEvery, opts.Duration/time.Duration(2*max(groups[true], groups[false])))
	injector := inject.Injector{Testbed: tb, Crowd: crowd, Log: log, Seed: opts.Seed, Pause: pause}
	injected := injector.Run(ctx, faults, chatting.Done())
	samples := <-sampled
	out.Seconds = time.Since(began).Seconds()
	out.Rate = float64(crowd.Typed()-typed) / out.Seconds
	stop()
	<-chat
	var short error
	if out.Rate < 0.9*opts.Rate {
		short = fmt.Errorf("users wrote only %.0f messages per second, want %.0f", out.Rate, opts.Rate)
	}
	warmUp := min(opts.WarmUp, opts.Duration/2)
	out.WarmUp = warmUp.Seconds()
	series, err := summarize(samples, warmUp, opts.Duration)
	out.Series = series
	settling, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	return errors.Join(injected, short, err, crowd.Settle(settling, 3*time.Minute), crowd.Open(settling))
}

// takeSamples measures until ctx ends.
func takeSamples(
	ctx context.Context, began time.Time, opts SoakOptions, tb *testbed.Testbed, crowd *load.Crowd, out *SoakResult,
) (samples []sample) {
	every := opts.Sample
	if every == 0 {
		every = max(opts.Duration/200, time.Second)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return samples
		case <-tick.C:
		}
		u, err := tb.Usage(ctx)
		if err != nil { // a fault is active, or the soak is over
			out.Missed++
			continue
		}
		twin, browser := crowd.Rows()
		samples = append(samples, sample{time.Since(began), []float64{
			float64(u.RSS) / mib, float64(u.Heap) / mib, float64(u.Goroutines),
			float64(u.Redis) / mib, float64(u.RedisKeys), float64(twin), float64(browser),
		}})
	}
}

// minSamples is how many samples each of the two quarters needs, so that its median means something.
const minSamples = 5

// summarize compares the first quarter after the warm-up with the last one. Medians leave out what grows during a fault
// and shrinks again.
func summarize(samples []sample, warmUp, duration time.Duration) ([]Series, error) {
	quarter := (duration - warmUp) / 4
	var first, last []sample
	for _, s := range samples {
		switch {
		case s.at >= warmUp && s.at < warmUp+quarter:
			first = append(first, s)
		case s.at >= duration-quarter:
			last = append(last, s)
		}
	}
	if len(first) < minSamples || len(last) < minSamples {
		return nil, fmt.Errorf("too few samples: %d in the first quarter after the warm-up, %d in the last, want %d",
			len(first), len(last), minSamples)
	}
	var out []Series
	for i, q := range quantities {
		s := Series{Name: q.name, Unit: q.unit, First: median(first, i), Last: median(last, i)}
		for _, one := range samples {
			if one.at >= warmUp {
				s.Samples++
				s.Max = max(s.Max, one.values[i])
			}
		}
		s.PerHour = (s.Last - s.First) / (3 * quarter).Hours()
		s.Allowed = q.share*s.First + q.slack
		s.Flat = s.Last-s.First <= s.Allowed
		out = append(out, s)
	}
	return out, nil
}

// median returns the median of a quantity.
func median(samples []sample, quantity int) float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, s.values[quantity])
	}
	slices.Sort(values)
	return values[len(values)/2]
}
