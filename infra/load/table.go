package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/load/testbed"
)

// row is one row of a table.
type row struct {
	figure string // its name in figures
	label  string
	unit   string
}

// rows lists all rows in order. A table has those of which there are figures.
var rows = []row{
	{"highest rate", "highest rate held", "messages/s"},
	{"offered/s", "sent", "messages/s"},
	{"delivered/s", "delivered", "messages/s"},
	{"sent p50", "send → sent, p50", "ms"},
	{"sent p99", "send → sent, p99", "ms"},
	{"sent p99.9", "send → sent, p99.9", "ms"},
	{"event p50", "send → event, p50", "ms"},
	{"event p99", "send → event, p99", "ms"},
	{"event p99.9", "send → event, p99.9", "ms"},
	{"delivered p50", "send → delivered, p50", "ms"},
	{"delivered p99", "send → delivered, p99", "ms"},
	{"delivered p99.9", "send → delivered, p99.9", "ms"},
	{"cpu realtime", "CPU of realtime", "s per million messages"},
	{"cpu redis", "CPU of Redis", "s per million messages"},
	{"cpu realtime+redis", "CPU of both", "s per million messages"},
	{"cpu closed", "CPU of both until all sockets are closed", "s per million messages"},
	{"cpu persist", "CPU of persist", "s per million messages"},
	{"cpu generator", "CPU of the generator", "s per million messages"},
	{"objects", "allocations of realtime", "per message"},
	{"bytes", "bytes allocated by realtime", "per message"},
	{"scripts", "Redis scripts", "per message"},
	{"scripts closed", "Redis scripts until all sockets are closed", "per message"},
	{"calls", "calls inside scripts", "per message"},
	{"redis reads", "reads of Redis from its connections", "per message"},
	{"redis bytes", "bytes to and from Redis", "per message"},
	{"published twice", "published again", "per message"},
	{"rss realtime", "memory of realtime", "KiB per socket"},
	{"rss redis", "memory of Redis", "KiB per socket"},
	{"connects/s", "connects", "per second"},
	{"connect p50", "dial → caught up, p50", "ms"},
	{"connect p99", "dial → caught up, p99", "ms"},
	{"connect p99.9", "dial → caught up, p99.9", "ms"},
	{"cpu connect", "CPU of realtime", "ms per connect"},
	{"cpu connect redis", "CPU of Redis", "ms per connect"},
	{"cpu connect total", "CPU of both", "ms per connect"},
	{"connect scripts", "Redis scripts", "per connect"},
	{"connect calls", "calls inside scripts", "per connect"},
}

// column is one column of a table: a build with users of a number of devices.
type column struct {
	build   string
	devices int
}

func (c column) String() string {
	if c.build == testbed.BareRelay.Name {
		return "bare relay"
	}
	return fmt.Sprintf("%s, %d device%s", c.build, c.devices, map[bool]string{true: "s"}[c.devices > 1])
}

// spread has the median and the extremes of a figure over all rounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	slices.Sort(values)
	n := len(values)
	return spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

// table has the figures of one scenario.
type table struct {
	scenario string
	columns  []column
	cells    map[column]map[string]spread // by figure
	rounds   int
}

// tables returns a table for each scenario, in the order in which they were measured.
func tables(results []result) (out []*table) {
	values := map[*table]map[column]map[string][]float64{}
	for _, r := range results {
		i := slices.IndexFunc(out, func(t *table) bool { return t.scenario == r.Scenario })
		if i < 0 {
			i = len(out)
			t := &table{scenario: r.Scenario, cells: map[column]map[string]spread{}}
			out, values[t] = append(out, t), map[column]map[string][]float64{}
		}
		t, c := out[i], column{r.Build, r.Devices}
		if values[t][c] == nil {
			t.columns, values[t][c] = append(t.columns, c), map[string][]float64{}
		}
		for name, v := range r.Figures {
			values[t][c][name] = append(values[t][c][name], v)
		}
		t.rounds = max(t.rounds, r.Round)
	}
	for _, t := range out {
		for c, byName := range values[t] {
			t.cells[c] = map[string]spread{}
			for name, v := range byName {
				t.cells[c][name] = spreadOf(v)
			}
		}
	}
	return out
}

// writeTables writes the results as Markdown. A ratio compares with the bare relay.
func writeTables(w io.Writer, results []result) error {
	var b strings.Builder
	for _, t := range tables(results) {
		fmt.Fprintf(&b, "\n### %s, median (min–max) of %d round(s)\n\n| |", t.scenario, t.rounds)
		bare := column{testbed.BareRelay.Name, 1}
		_, compared := t.cells[bare]
		for _, c := range t.columns {
			fmt.Fprintf(&b, " %s |", c)
			if compared && c != bare {
				b.WriteString(" ÷ bare |")
			}
		}
		b.WriteString("\n|---|")
		for _, c := range t.columns {
			b.WriteString("---|")
			if compared && c != bare {
				b.WriteString("---|")
			}
		}
		b.WriteString("\n")
		for _, r := range rows {
			t.writeRow(&b, r, bare, compared)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) writeRow(b *strings.Builder, r row, bare column, compared bool) {
	if !slices.ContainsFunc(t.columns, func(c column) bool { _, ok := t.cells[c][r.figure]; return ok }) {
		return
	}
	fmt.Fprintf(b, "| %s, %s |", r.label, r.unit)
	base := t.cells[bare][r.figure].Median
	for _, c := range t.columns {
		v, ok := t.cells[c][r.figure]
		switch {
		case !ok:
			b.WriteString(" – |")
		case t.rounds == 1:
			fmt.Fprintf(b, " %s |", short(v.Median))
		default:
			fmt.Fprintf(b, " %s (%s–%s) |", short(v.Median), short(v.Min), short(v.Max))
		}
		switch {
		case !compared || c == bare:
		case !ok || base == 0:
			b.WriteString(" – |")
		default:
			fmt.Fprintf(b, " %s |", short(v.Median/base))
		}
	}
	b.WriteString("\n")
}

// short formats v with three significant digits, or without a fraction.
func short(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// writeJSON writes all results, and their medians and spread, to a file.
func writeJSON(file string, results []result) error {
	type cell struct {
		Scenario string            `json:"scenario"`
		Build    string            `json:"build"`
		Devices  int               `json:"devices"`
		Figures  map[string]spread `json:"figures"`
	}
	report := struct {
		CPUs    int      `json:"cpus"`
		Go      string   `json:"go"`
		System  string   `json:"system"`
		Summary []cell   `json:"summary"`
		Results []result `json:"results"`
	}{CPUs: runtime.NumCPU(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Results: results}
	for _, t := range tables(results) {
		for _, c := range t.columns {
			report.Summary = append(report.Summary, cell{t.scenario, c.build, c.devices, t.cells[c]})
		}
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
