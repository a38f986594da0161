package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/fault/judge"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

// The table is Markdown, so that it can be copied to RESULTS.md.
const header = "| fault | seed | messages | lost | doubled | out of order | early saved | late live | by history | " +
	"other | excepted | stranded | longest gap p50/p99 (ms) | live p50/p99 (ms) | faults | s | judged |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"

func row(r *runReport) string {
	return fmt.Sprintf("| %s | %d | %d | %s | %d | %d | %.0f / %.0f | %.0f / %.0f | %d | %.0f | %s |",
		r.Name, r.Seed, r.Typed, ruleCounts(r.Report), r.Excepted, r.Stranded,
		r.Gaps.P50, r.Gaps.P99, r.LiveAfter.P50, r.LiveAfter.P99, r.Injected, r.Seconds, judgedCounts(r.Judged))
}

// judgedCounts returns how much the second judge has checked, how long that took, and what failed.
func judgedCounts(r *judge.Report) string {
	s := fmt.Sprintf("%d operations in %d partitions in %.1f s", r.Operations, r.Partitions, r.Seconds)
	if r.Excepted > 0 {
		s += fmt.Sprintf(", %d excepted", r.Excepted)
	}
	if !r.OK() {
		s += fmt.Sprintf(", **%d illegal, %d unknown**", r.Illegal, r.Unknown)
	}
	return s
}

// ruleCounts returns the counts of the rules that have a column, the messages that came by history, and the sum of the
// other rules.
func ruleCounts(r *verdict.Report) string {
	own := []verdict.Rule{verdict.Lost, verdict.Doubled, verdict.OutOfOrder, verdict.EarlySaved, verdict.LateLive}
	var b strings.Builder
	for _, rule := range own {
		fmt.Fprintf(&b, "%d | ", r.Counts[rule])
	}
	other := 0
	for rule, n := range r.Counts {
		if !slices.Contains(own, rule) {
			other += n
		}
	}
	fmt.Fprintf(&b, "%d | %d", r.ByHistory, other)
	return b.String()
}

// table prints all rows and their sum.
func table(out io.Writer, reports []*runReport) {
	sum := &runReport{Name: "**all**", Report: &verdict.Report{Counts: map[verdict.Rule]int{}}, Judged: &judge.Report{}}
	fmt.Fprintln(out, header)
	for _, r := range reports {
		fmt.Fprintln(out, row(r))
		sum.Seed = r.Seed
		sum.Typed += r.Typed
		sum.Excepted += r.Excepted
		sum.Stranded += r.Stranded
		sum.ByHistory += r.ByHistory
		sum.Injected += r.Injected
		sum.Seconds += r.Seconds
		sum.Judged.Operations += r.Judged.Operations
		sum.Judged.Partitions += r.Judged.Partitions
		sum.Judged.Seconds += r.Judged.Seconds
		sum.Judged.Excepted += r.Judged.Excepted
		sum.Judged.Illegal += r.Judged.Illegal
		sum.Judged.Unknown += r.Judged.Unknown
		for rule, n := range r.Counts {
			sum.Counts[rule] += n
		}
		worsen(&sum.Gaps, r.Gaps)
		worsen(&sum.LiveAfter, r.LiveAfter)
	}
	fmt.Fprintln(out, row(sum))
}

// worsen sets worst to the greater value of each quantile.
func worsen(worst *verdict.Spread, s verdict.Spread) {
	worst.P50, worst.P99 = max(worst.P50, s.P50), max(worst.P99, s.P99)
}

// explain prints how fast devices that sleep got messages, the checks of a run, and what it broke.
func explain(out io.Writer, r *runReport) {
	if r.Asleep > 0 {
		fmt.Fprintf(out, "  %d devices sleep and got %d pushes; %d messages came while all devices of a user "+
			"slept or were away, and reached one after %.0f / %.0f / %.0f ms (p50/p99/max)\n",
			r.Sleeper, r.Pushes, r.Asleep, r.AwokeAfter.P50, r.AwokeAfter.P99, r.AwokeAfter.Max)
	}
	for _, c := range r.Checks {
		result := "passed"
		if c.Broken {
			result = "FAILED"
		}
		fmt.Fprintf(out, "  %s: %s: %s\n", result, c.What, c.Found)
	}
	if r.passed() {
		return
	}
	if r.Failure != "" {
		fmt.Fprintf(out, "  the run failed: %s\n", r.Failure)
	}
	for _, rule := range verdict.Rules {
		if n := r.Counts[rule]; n > 0 {
			fmt.Fprintf(out, "  %s: %d\n", rule, n)
		}
	}
	printed := map[verdict.Rule]int{}
	for _, f := range r.Findings {
		if printed[f.Rule]++; printed[f.Rule] <= 12 {
			fmt.Fprintf(out, "  %s: %s on %s: %s\n", f.Rule, f.Message, f.Device, f.Detail)
		}
	}
	for i, f := range judgedFindings(r) {
		if i == 12 {
			fmt.Fprintf(out, "  the second judge has more findings\n")
			break
		}
		fmt.Fprintf(out, "  second judge: %s is %s: %s\n", f.Partition, strings.ToLower(string(f.Result)), f.Detail)
	}
	if r.Kept != "" {
		fmt.Fprintf(out, "  record and logs: %s\n", r.Kept)
	}
}

// judgedFindings returns what the second judge has found. A measurement that failed early has none.
func judgedFindings(r *runReport) []judge.Finding {
	if r.Judged == nil {
		return nil
	}
	return r.Judged.Findings
}

// conclude prints the number of verdicts: one per rule and run, one of the second judge, and one for the run itself.
func conclude(out io.Writer, reports []*runReport) error {
	passed, failed := 0, 0
	for _, r := range reports {
		for _, rule := range verdict.Rules {
			if r.Counts[rule] == 0 {
				passed++
			} else {
				failed++
			}
		}
		if r.Judged.OK() {
			passed++
		} else {
			failed++
		}
		if r.Failure == "" {
			passed++
		} else {
			failed++
		}
	}
	if failed > 0 {
		var broken []string
		for _, r := range reports {
			if !r.passed() {
				broken = append(broken, fmt.Sprintf("%s (seed %d)", r.Name, r.Seed))
			}
		}
		fmt.Fprintf(out, "broken: %s\n", strings.Join(broken, ", "))
	}
	fmt.Fprintf(out, "%d passed, %d failed, 0 skipped\n", passed, failed)
	if failed > 0 {
		return errBroken
	}
	return nil
}
