package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/inject"
	"github.com/phoenixchat/phoenixchat/infra/fault/judge"
	"github.com/phoenixchat/phoenixchat/infra/fault/measure"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

// By default, each fault has a run, and the last run mixes all faults except those that provoke the stated exception.
func TestPlan(t *testing.T) {
	runs, err := plan(runOptions{}, "all", false)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != len(inject.Faults)+1 || runs[len(runs)-1].Name != "mixed" {
		t.Errorf("%d runs for %d faults", len(runs), len(inject.Faults))
	}
	for _, f := range runs[len(runs)-1].Faults {
		if f.Exception {
			t.Errorf("%s provokes the exception and is mixed in", f.Name)
		}
	}
	runs, err = plan(runOptions{}, "redis-killed, clients-flap", false)
	if err != nil || len(runs) != 2 || runs[1].Name != "clients-flap" {
		t.Errorf("%v, %v", runs, err)
	}
	if _, err := plan(runOptions{}, "earthquake", false); err == nil {
		t.Error("an unknown fault was planned")
	}
	short, err := plan(runOptions{}, "all", true)
	if err != nil || len(short) == 0 {
		t.Errorf("the short plan: %d runs, %v", len(short), err)
	}
	withBrowser, err := plan(runOptions{Browser: 0.2}, "all", true)
	if err != nil || len(withBrowser) != len(short)+1 || withBrowser[len(short)].Browser == 0 {
		t.Errorf("the short plan with the browser's engine: %d runs instead of %d, %v", len(withBrowser), len(short)+1, err)
	}
}

// writeRecord writes a record as a run does, with or without a lost message.
func writeRecord(t *testing.T, lose bool) string {
	entries := []record.Entry{
		{Kind: record.Device, Device: "a1", User: "a"}, {Kind: record.Device, Device: "b1", User: "b"},
		{Kind: record.Up, Device: "a1"}, {Kind: record.Up, Device: "b1"}, // at time 0
		{Kind: record.Typed, Device: "a1", User: "b", ID: "m", Conversation: "a~b", Text: 1},
		{Kind: record.Frozen, Device: "a1", ID: "m", Conversation: "a~b", At: 5, Sum: 2, T: 1},
		{T: 1, Kind: record.State, Device: "a1", ID: "m", Conversation: "a~b", Name: "sent"},
	}
	line := []record.Line{{ID: "m", At: 5, Sum: 2, Text: 1}}
	if !lose {
		shown := record.Entry{Kind: record.Shown, Device: "b1", ID: "m", Conversation: "a~b", At: 5, Sum: 2, Text: 1}
		shown.Name, shown.T = "event", 1
		entries = append(entries, shown,
			record.Entry{Kind: record.Acked, Device: "b1"},
			record.Entry{Kind: record.Published, ID: "m", Conversation: "a~b"},
			record.Entry{Kind: record.Saved, ID: "m", Conversation: "a~b", At: 5, Sum: 2, Text: 1},
			record.Entry{Kind: record.State, Device: "a1", ID: "m", Conversation: "a~b", Name: "delivered"},
			record.Entry{Kind: record.Fault, Name: verdict.Opening, T: 2},
			record.Entry{Kind: record.View, Device: "b1", Conversation: "a~b", Lines: line},
			record.Entry{Kind: record.History, Conversation: "a~b", Lines: line})
	}
	own := []record.Line{line[0]}
	own[0].State = map[bool]string{true: "sent", false: "delivered"}[lose]
	entries = append(entries, record.Entry{Kind: record.View, Device: "a1", Conversation: "a~b", Lines: own})
	file := filepath.Join(t.TempDir(), "record.jsonl")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := record.Write(f, entries); err != nil {
		t.Fatal(err)
	}
	return file
}

// A kept record is judged with the same exit status as its run.
func TestJudgeARecord(t *testing.T) {
	var out bytes.Buffer
	if err := command(t.Context(), []string{"-judge", writeRecord(t, false)}, &out); err != nil {
		t.Errorf("a clean record: %v\n%s", err, out.String())
	}
	out.Reset()
	err := command(t.Context(), []string{"-judge", writeRecord(t, true)}, &out)
	if got := out.String(); !errors.Is(err, errBroken) ||
		!strings.Contains(got, "3 failed") || !strings.Contains(got, string(verdict.Lost)) ||
		!strings.Contains(got, "second judge: message m in a~b is illegal") {
		t.Errorf("a record with a loss: %v\n%s", err, out.String())
	}
	if err := command(t.Context(), []string{"-judge", "nowhere"}, io.Discard); err == nil {
		t.Error("a missing record was judged")
	}
}

// Each failure adds one to the failed verdicts of the last line, which infra/test reads.
func TestConclude(t *testing.T) {
	clean := &verdict.Report{Counts: map[verdict.Rule]int{}}
	legal := &judge.Report{Partitions: 1}
	good := &runReport{Name: "good", Report: clean, Judged: legal}
	bad := &runReport{Name: "bad", Seed: 7, Report: clean, Judged: legal, Failure: "an instance did not end in time"}
	unknown := &runReport{Name: "unknown", Report: clean, Judged: &judge.Report{Partitions: 1, Unknown: 1}}
	var out bytes.Buffer
	if err := conclude(&out, []*runReport{good}); err != nil || out.String() != "19 passed, 0 failed, 0 skipped\n" {
		t.Errorf("%v: %q", err, out.String())
	}
	out.Reset()
	err := conclude(&out, []*runReport{good, bad, unknown})
	if got := out.String(); !errors.Is(err, errBroken) || !strings.Contains(got, "bad (seed 7), unknown (seed 0)") ||
		!strings.HasSuffix(got, "55 passed, 2 failed, 0 skipped\n") {
		t.Errorf("%v: %q", err, got)
	}
}

// The result of a soak prints what both judges say, whether the run has passed or not.
func TestPrintSoak(t *testing.T) {
	r := &measure.SoakResult{
		Name: "soak", Seed: 3, Judged: &verdict.Report{Counts: map[verdict.Rule]int{}},
		Second: &judge.Report{Operations: 70, Partitions: 7},
		Series: []measure.Series{{Name: "keys of Redis, without counts of sends", First: 1, Last: 900, Flat: false}},
	}
	for _, failure := range []string{"", "an instance did not end in time"} {
		r.Failure = failure
		var out bytes.Buffer
		printSoak(&out, r)
		if got := out.String(); !strings.Contains(got, "| keys of Redis, ") || !strings.Contains(got, "| NO |") ||
			!strings.Contains(got, "70 operations in 7 partitions") || !strings.Contains(got, failure) {
			t.Errorf("failure %q:\n%s", failure, got)
		}
	}
	r.Second = &judge.Report{Partitions: 7, Illegal: 1, Findings: []judge.Finding{{Partition: "message m in a~b"}}}
	var out bytes.Buffer
	printSoak(&out, r)
	if got := out.String(); !strings.Contains(got, "1 illegal") || !strings.Contains(got, "message m in a~b") {
		t.Errorf("a finding of the second judge:\n%s", got)
	}
}
