package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/phoenixchat/phoenixchat/infra/fault/measure"
)

// soak runs a soak and prints what it measured. The record and all other files stay in a folder of keep, unless it is
// empty.
func soak(ctx context.Context, o measure.SoakOptions, keep, jsonFile string, out io.Writer) error {
	if keep != "" {
		o.Dir = filepath.Join(keep, fmt.Sprintf("soak-%d", o.Seed))
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return err
		}
	}
	r, err := measure.Soak(ctx, o)
	if err != nil {
		return fmt.Errorf("soak, seed %d: %w", o.Seed, err)
	}
	printSoak(out, r)
	if jsonFile != "" {
		if err := writeJSON(jsonFile, out, r); err != nil {
			return err
		}
	}
	passed, failed := 1, 0
	if r.Failure != "" || !r.Judged.Clean() {
		passed, failed = 0, 1
	}
	if r.Second.OK() {
		passed++
	} else {
		failed++
	}
	for _, s := range r.Series {
		if s.Flat {
			passed++
		} else {
			failed++
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, 0 skipped\n", passed, failed)
	if !r.OK() {
		return errBroken
	}
	return nil
}

// printSoak prints the series as a table in Markdown, and what the run broke.
func printSoak(out io.Writer, r *measure.SoakResult) {
	fmt.Fprintf(out, "soak, seed %d: %.0f s, %d people, %d devices with the browser's engine, "+
		"%d messages (%.0f per second), %d faults; the first %.0f s are left out, and %d samples were impossible "+
		"during faults\n",
		r.Seed, r.Seconds, r.People, r.Browser, r.Judged.Typed, r.Rate, r.Faults, r.WarmUp, r.Missed)
	fmt.Fprintln(out, "| what | samples | first quarter | last quarter | maximum | per hour | growth allowed | flat |\n"+
		"|---|---|---|---|---|---|---|---|")
	for _, s := range r.Series {
		unit := s.Unit
		if unit != "" {
			unit = " " + unit
		}
		flat := "yes"
		if !s.Flat {
			flat = "NO"
		}
		fmt.Fprintf(out, "| %s | %d | %.1f%s | %.1f%s | %.1f | %+.1f | %.1f | %s |\n",
			s.Name, s.Samples, s.First, unit, s.Last, unit, s.Max, s.PerHour, s.Allowed, flat)
	}
	fmt.Fprintln(out, header)
	report := &runReport{Name: r.Name, Seed: r.Seed, Seconds: r.Seconds, Report: r.Judged, Judged: r.Second,
		Injected: r.Faults, Failure: r.Failure}
	fmt.Fprintln(out, row(report))
	explain(out, report)
}
