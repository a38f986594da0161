package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
	"github.com/phoenixchat/phoenixchat/infra/load/crowd"
	"github.com/phoenixchat/phoenixchat/infra/load/sink"
	"github.com/phoenixchat/phoenixchat/infra/load/testbed"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// TestMain also runs the parts of the systems that the tests start.
func TestMain(m *testing.M) {
	if part, err := testbed.RunPart(context.Background()); part {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// requireSystem skips the test if a system cannot be started or measured here.
func requireSystem(t *testing.T) {
	t.Helper()
	var missing *emulators.Missing
	if err := emulators.Check(t.Context(), true, false, false); errors.As(err, &missing) {
		t.Skip(missing)
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("CPU time can be measured on Linux only")
	}
}

// TestEveryScenario measures each scenario for a moment. It checks that no message is lost or doubled, which every
// measurement does by itself, and that the report is complete. It does not check times.
func TestEveryScenario(t *testing.T) {
	requireSystem(t)
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ours, err := testbed.NewBuild(t.Context(), "ours", root, root, dir)
	if err != nil {
		t.Fatal(err)
	}
	google, err := testbed.NewGoogle(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer google.Close()
	o := options{rates: []float64{100}, rounds: 1, body: 200, sockets: 20, pairs: 10, start: 100, bare: true,
		over: 500 * time.Millisecond, warmUp: 50 * time.Millisecond, quiet: 50 * time.Millisecond,
		stepTime: 500 * time.Millisecond, maxSteps: 1, maxP99: math.Inf(1)}
	all := make([][]result, len(scenarioNames()))
	t.Run("measure", func(t *testing.T) {
		for i, name := range scenarioNames() {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // most of the time is spent waiting
				o := o
				o.scenarios, o.devices, o.persist = []string{name}, []int{1 + i%2}, name == "chat"
				var out bytes.Buffer
				m := &measurer{opts: o, dir: t.TempDir(), out: &out, google: google,
					builds: []testbed.Build{ours, testbed.BareRelay}}
				if err := m.measureAll(t.Context()); err != nil {
					t.Fatalf("%v\n%s", err, out.String())
				}
				all[i] = m.results
			})
		}
	})
	if t.Failed() {
		return
	}
	checkReport(t, slices.Concat(all...))
}

// A measurement that is interrupted ends at once, and its processes with it.
func TestInterrupted(t *testing.T) {
	requireSystem(t)
	o := options{scenarios: []string{"rate"}, rates: []float64{50}, devices: []int{1}, rounds: 1, over: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	m := &measurer{opts: o, dir: t.TempDir(), out: io.Discard, builds: []testbed.Build{testbed.BareRelay}}
	measured := make(chan error, 1)
	go func() { measured <- m.measureAll(ctx) }()
	testwait.Until(t, "a system to be started", func() bool {
		logs, err := filepath.Glob(filepath.Join(m.dir, "system-*", "*.log"))
		return err == nil && len(logs) == testbed.Instances
	})
	cancel()
	if err := <-measured; !errors.Is(err, context.Canceled) || len(m.results) != 0 {
		t.Errorf("%d results, %v", len(m.results), err)
	}
}

// checkReport checks that every figure is reported.
func checkReport(t *testing.T, results []result) {
	t.Helper()
	var out bytes.Buffer
	if err := writeTables(&out, results); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if !strings.Contains(out.String(), "| "+r.label+", "+r.unit+" |") {
			t.Errorf("the report has no row %q", r.label)
		}
	}
	known := map[string]bool{}
	for _, r := range rows {
		known[r.figure] = true
	}
	for _, r := range results {
		for name := range r.Figures {
			if !known[name] {
				t.Errorf("%s of %s is measured and not reported", name, r.Scenario)
			}
		}
		if r.Build == "ours" && r.Scenario != "idle" && r.Scenario != "storm" && r.Figures["objects"] <= 0 {
			t.Errorf("%s: no allocations were counted", r.Scenario)
		}
	}
	file := filepath.Join(t.TempDir(), "results.json")
	if err := writeJSON(file, results); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Summary []struct{ Figures map[string]spread }
		Results []result
	}
	if err := json.Unmarshal(text, &report); err != nil || len(report.Results) != len(results) ||
		len(report.Summary) != 2*len(scenarioNames()) {
		t.Errorf("the file has %d results and %d summaries, %v", len(report.Results), len(report.Summary), err)
	}
}

func TestSearch(t *testing.T) {
	for _, limit := range []float64{50, 100, 3000, 12_345} {
		held := map[float64]int{}
		rate, f, err := search(1000, 20, func(rate float64) (figures, bool, error) {
			held[rate]++
			return figures{"rate": rate}, rate <= limit, nil
		})
		if err != nil || rate > limit || rate < limit/precision || f["rate"] != rate {
			t.Errorf("with the limit %v: %v, %v, %v", limit, rate, f, err)
		}
		for rate, n := range held {
			if want := map[bool]int{true: 1, false: 2}[rate <= limit]; n != want {
				t.Errorf("with the limit %v: rate %v was tried %d times, want %d", limit, rate, n, want)
			}
		}
	}
	if _, _, err := search(1000, 5, func(float64) (figures, bool, error) { return nil, false, nil }); err == nil {
		t.Error("a system that holds no rate has a highest rate")
	}
	broken := errors.New("lost")
	_, _, err := search(1000, 5, func(float64) (figures, bool, error) { return nil, true, broken })
	if !errors.Is(err, broken) {
		t.Errorf("a failed step: %v", err)
	}
}

// A sink that does not have each message fails the run.
func TestCompareSink(t *testing.T) {
	totals := crowd.Totals{Messages: 5}
	if err := compareSink(sink.Counts{Messages: 5, Again: 2, Reads: 1}, totals); err != nil {
		t.Errorf("published again: %v", err)
	}
	for _, saved := range []sink.Counts{{Messages: 4}, {Messages: 6}, {Messages: 5, Bad: 1}} {
		if compareSink(saved, totals) == nil {
			t.Errorf("%+v is accepted", saved)
		}
	}
}

func TestTables(t *testing.T) {
	results := []result{
		{"rate 10/s", "ours", 1, 1, figures{"cpu redis": 300}}, {"rate 10/s", "bare", 1, 1, figures{"cpu redis": 100}},
		{"rate 10/s", "ours", 1, 2, figures{"cpu redis": 500}}, {"rate 10/s", "bare", 1, 2, figures{"cpu redis": 50}},
		{"rate 10/s", "ours", 1, 3, figures{"cpu redis": 100}}, {"rate 10/s", "bare", 1, 3, figures{"cpu redis": 200}},
	}
	var out bytes.Buffer
	if err := writeTables(&out, results); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"rate 10/s, median (min–max) of 3 round(s)",
		"| | ours, 1 device | ÷ bare | bare relay |",
		"| CPU of Redis, s per million messages | 300 (100–500) | 3 | 100 (50–200) |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"-rates", "10,20", "-devices", "2", "-instances", "a=x,b=y+GOGC=400+A=b",
		"-scenarios", "idle"})
	if err != nil || !slices.Equal(o.rates, []float64{10, 20}) || !slices.Equal(o.devices, []int{2}) ||
		len(o.instances) != 2 || o.instances[0].from != "x" || o.instances[1].name != "b" || o.instances[1].from != "y" ||
		!slices.Equal(o.instances[1].env, []string{"GOGC=400", "A=b"}) || !slices.Equal(o.scenarios, []string{"idle"}) {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-rates", "0"}, {"-rates", "fast"}, {"-devices", "9"}, {"-devices", "0"},
		{"-instances", "x"}, {"-instances", "bare=x"}, {"-instances", "../x=y"}, {"-scenarios", "all"}, {"-rounds", "0"},
		{"-pairs", "0"}, {"-sockets", "1"}, {"more"}} {
		if _, err := parseOptions(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
