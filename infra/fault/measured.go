package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/measure"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

const measuredHeader = "| measurement | seed | sockets | all caught up after (s) | moved | with a gap | longest gap p50/p99/max (ms) | gaps of 5 s | store reads | messages | broken promises |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|"

// measureAll takes the measurements with these names.
func measureAll(ctx context.Context, names []string, o measure.Options, jsonFile string, out io.Writer) error {
	kinds := map[string]struct {
		sockets int
		rate    float64
		take    func(context.Context, measure.Options) (*measure.Result, error)
	}{
		"drain":  {1000, 20, measure.Drain},
		"rotate": {200, 20, measure.Rotate},
		"storm":  {5000, 5, measure.Storm},
	}
	var results []*measure.Result
	passed, failed := 0, 0
	fmt.Fprintln(out, measuredHeader)
	for _, name := range names {
		kind, ok := kinds[name]
		if !ok {
			return fmt.Errorf("there is no measurement %q", name)
		}
		o := o
		if o.Sockets == 0 {
			o.Sockets = kind.sockets
		}
		o.Rate, o.Age, o.Moves = kind.rate, time.Minute, 1000
		r, err := kind.take(ctx, o)
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
		explain(out, &runReport{Report: r.Judged, Failure: r.Failure})
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
	broken := 0
	for _, rule := range verdict.Rules {
		broken += r.Judged.Counts[rule]
	}
	g := r.Judged.Gaps
	return fmt.Sprintf("| %s | %d | %d | %.2f | %d | %d | %.0f / %.0f / %.0f | %d | %d | %d | %d |", r.Name, r.Seed, r.Sockets, r.All/1000, r.Moved, r.Gapped,
		g.P50, g.P99, g.Max, r.Judged.LongGaps, r.Reads, r.Judged.Typed, broken)
}
