package main

import (
	"context"
	"fmt"
	"io"

	"github.com/phoenixchat/phoenixchat/infra/fault/measure"
)

const measuredHeader = "| measurement | seed | sockets | all caught up after (s) | process ended after (s) | " +
	"moves without a gap | gaps | gaps of 5 s and more | longest gap p50/p99/max (ms) | store reads per client | " +
	"messages | lost | doubled | out of order | early saved | other |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"

// measureAll runs the measurements with these names and prints their results.
func measureAll(ctx context.Context, names []string, o measure.Options, jsonFile string, out io.Writer) error {
	kinds := map[string]struct {
		sockets int
		rate    float64
		measure func(context.Context, measure.Options) (*measure.Result, error)
	}{
		"drain":  {1000, 20, measure.Drain},
		"rotate": {400, 20, measure.Rotate},
		"storm":  {5000, 5, measure.Storm},
	}
	var results []*measure.Result
	passed, failed := 0, 0
	fmt.Fprintln(out, measuredHeader)
	for _, name := range names {
		kind, ok := kinds[name]
		if !ok {
			return fmt.Errorf("unknown measurement %q", name)
		}
		o := o
		if o.Sockets == 0 {
			o.Sockets = kind.sockets
		}
		o.Rate = kind.rate
		r, err := kind.measure(ctx, o)
		if err != nil {
			return fmt.Errorf("%s, seed %d: %w", name, o.Seed, err)
		}
		results = append(results, r)
		fmt.Fprintln(out, measuredRow(r))
		if r.OK() {
			passed++
			continue
		}
		failed++
		explain(out, &runReport{Report: r.Judged, Judged: r.Second, Failure: r.Failure})
	}
	if jsonFile != "" {
		if err := writeJSON(jsonFile, out, results); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, 0 skipped\n", passed, failed)
	if failed > 0 {
		return errBroken
	}
	return nil
}

func measuredRow(r *measure.Result) string {
	g, seconds := r.Judged.Gaps, func(ms float64) string {
		if ms == 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f", ms/1000)
	}
	return fmt.Sprintf("| %s | %d | %d | %s | %s | %d | %d | %d | %.0f / %.0f / %.0f | %.2f | %d | %s |",
		r.Name, r.Seed, r.Sockets, seconds(r.CaughtUp), seconds(r.Exit), r.Moved, r.Gapped, r.Judged.LongGaps,
		g.P50, g.P99, g.Max, float64(r.Reads)/float64(r.Sockets), r.Judged.Typed, ruleCounts(r.Judged))
}
