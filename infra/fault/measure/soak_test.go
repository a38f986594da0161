package measure

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/inject"
	"github.com/phoenixchat/phoenixchat/infra/fault/judge"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

// samplesOf returns the samples of an hour, one every ten seconds. Each quantity has the value that f returns.
func samplesOf(f func(at time.Duration, quantity int) float64) (samples []sample) {
	for at := 10 * time.Second; at < time.Hour; at += 10 * time.Second {
		s := sample{at: at}
		for i := range quantities {
			s.values = append(s.values, f(at, i))
		}
		samples = append(samples, s)
	}
	return samples
}

// A leak of 30 % in an hour is seen in each quantity, on top of growth during the warm-up and peaks during faults,
// which alone are flat.
func TestSummarizeFindsALeak(t *testing.T) {
	const warmUp = 10 * time.Minute
	base := func(at time.Duration) float64 {
		v := 10_000 * min(1, at.Hours()*6)
		if at%(time.Minute) < 15*time.Second { // a fault
			v *= 2
		}
		return v
	}
	flat, err := summarize(samplesOf(func(at time.Duration, _ int) float64 { return base(at) }), warmUp, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range flat {
		if !s.Flat || s.Last != s.First {
			t.Errorf("without a leak: %+v", s)
		}
	}
	for leaking := range quantities {
		series, err := summarize(samplesOf(func(at time.Duration, i int) float64 {
			if i == leaking {
				return base(at) + 3000*at.Hours()
			}
			return base(at)
		}), warmUp, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range series {
			if s.Flat == (i == leaking) {
				t.Errorf("with a leak of %s: %+v", quantities[leaking].name, s)
			}
			if i == leaking && (s.PerHour < 2900 || s.PerHour > 3100) {
				t.Errorf("the slope of %s is %.0f an hour, want 3000", s.Name, s.PerHour)
			}
		}
		r := &SoakResult{Judged: verdict.Judge(nil), Series: series}
		if r.OK() {
			t.Errorf("a soak with a leak of %s passes", quantities[leaking].name)
		}
	}
}

// A soak that could hardly measure fails.
func TestSummarizeNeedsSamples(t *testing.T) {
	all := samplesOf(func(time.Duration, int) float64 { return 1 })
	if series, err := summarize(all[:len(all)/2], 10*time.Minute, time.Hour); err == nil || series != nil {
		t.Errorf("without samples of the last quarter: %v, %v", series, err)
	}
	if r := (&SoakResult{Judged: verdict.Judge(nil)}); r.OK() {
		t.Error("a soak without series passes")
	}
}

// The faults of the soak exist, and none of them loses writes or needs a replica.
func TestSoakFaults(t *testing.T) {
	for _, name := range soakFaults {
		f, err := inject.ByName(name)
		if err != nil {
			t.Error(err)
		}
		if f.Loses || f.Replica || f.Exception {
			t.Errorf("%s starts something anew", name)
		}
	}
}

// A soak passes only if both judges found nothing and everything stayed flat.
func TestSoakOK(t *testing.T) {
	good := SoakResult{
		Judged: &verdict.Report{}, Second: &judge.Report{Partitions: 1}, Series: []Series{{Flat: true}},
	}
	if !good.OK() {
		t.Error("a soak without a fault failed")
	}
	for name, change := range map[string]func(*SoakResult){
		"failure": func(r *SoakResult) { r.Failure = "an instance did not end in time" },
		"verdict": func(r *SoakResult) {
			r.Judged = &verdict.Report{Counts: map[verdict.Rule]int{verdict.Lost: 1}}
		},
		"no verdict":          func(r *SoakResult) { r.Judged = nil },
		"second judge":        func(r *SoakResult) { r.Second = &judge.Report{Partitions: 1, Illegal: 1} },
		"unknown":             func(r *SoakResult) { r.Second = &judge.Report{Partitions: 1, Unknown: 1} },
		"no second judge":     func(r *SoakResult) { r.Second = nil },
		"growth":              func(r *SoakResult) { r.Series = []Series{{Flat: true}, {}} },
		"nothing is measured": func(r *SoakResult) { r.Series = nil },
	} {
		bad := good
		change(&bad)
		if bad.OK() {
			t.Errorf("%s: passed", name)
		}
	}
}
