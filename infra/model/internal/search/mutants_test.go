package search_test

import (
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/model/internal/delivery"
	"github.com/phoenixchat/phoenixchat/infra/model/internal/search"
)

// mutantCases has for each mutant a scenario in which a bounded search finds a violation.
var mutantCases = []struct {
	mutant   delivery.Mutant
	scenario delivery.Scenario
	breadth  bool // search breadth first instead of by random walks
}{
	{delivery.MarkBeforePublish, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 1, Faults: delivery.Faults{Crash: 1}}, true},
	{delivery.ReportBeforePublish, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 3, Faults: delivery.Faults{Crash: 1, Wipe: 1}}, false},
	{delivery.PublishBeforeAck, delivery.Scenario{Devices: "A0+ B0+", Messages: 1}, true},
	{delivery.SentFrameBeforeCopy, delivery.Scenario{Devices: "A0+ A1+ B0+", Messages: 1}, true},
	{delivery.AckNotCumulative, delivery.Scenario{Devices: "A0+ B0+", Messages: 3}, false},
	{delivery.AckOfAnyEpoch, delivery.Scenario{
		Devices: "A0+ A1+ B0+", Messages: 3, ClockBehind: true, Faults: delivery.Faults{Failover: 1}}, false},
	{delivery.CursorOfAnyEpoch, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 3, ClockBehind: true, Faults: delivery.Faults{Failover: 1}}, false},
	{delivery.MarkBeforeReport, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 1, Faults: delivery.Faults{Crash: 1}}, true},
	{delivery.MarkOfAnyEpoch, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 3, Retain: 1, ClockBehind: true, Faults: delivery.Faults{Failover: 1}}, false},
	{delivery.MarkFalls, delivery.Scenario{
		Devices: "A0+ B0- B1+", Messages: 3, Faults: delivery.Faults{Withdraw: 1}}, false},
	{delivery.WithdrawIgnoresMark, delivery.Scenario{
		Devices: "A0+ B0+ B1+", Messages: 1, Faults: delivery.Faults{Withdraw: 1}}, true},
	{delivery.DevicesFromMemory, delivery.Scenario{Devices: "A0+ A1* B0+", Messages: 1}, true},
	{delivery.TrimWaitingMessages, delivery.Scenario{Devices: "A0+ A1+ B0+", Messages: 3, Retain: 1}, false},
	{delivery.ReadIgnoresFloor, delivery.Scenario{Devices: "A0+ A1+ B0+", Messages: 3, Retain: 1}, false},
	{delivery.SkipToNewest, delivery.Scenario{Devices: "A0+ A1* B0+ B1*", Messages: 3}, false},
	{delivery.CaughtUpAtLast, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 3, Faults: delivery.Faults{Failover: 1}}, false},
	{delivery.ServerChoosesTime, delivery.Scenario{Devices: "A0+ B0+", Messages: 3}, false},
	{delivery.SendOnce, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 3, Faults: delivery.Faults{Crash: 1}}, false},
	{delivery.NoAckOfRepeated, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 1, Faults: delivery.Faults{Goaway: 1}}, true},
	{delivery.ForgetEarlyReceipt, delivery.Scenario{Devices: "A0+ A1+ B0+", Messages: 3}, false},
	{delivery.GapNotStored, delivery.Scenario{
		Devices: "A0+ A1- B0-", Messages: 3, Retain: 1, Faults: delivery.Faults{Reload: 2}}, false},
	{delivery.BackfillOnce, delivery.Scenario{Devices: "A0+ A1+ B0+", Messages: 3, Retain: 1}, false},
	{delivery.NoBackfillRetry, delivery.Scenario{
		Devices: "A0+ A1+ B0+", Messages: 1, Faults: delivery.Faults{Crash: 1}}, false},
	{delivery.RemoveBeforeRefuse, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 1, Faults: delivery.Faults{Withdraw: 1}}, true},
	{delivery.RemovalSettles, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 3, Faults: delivery.Faults{Withdraw: 1}}, false},
	{delivery.ForgetRemoved, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 1, Faults: delivery.Faults{Withdraw: 1}}, true},
	{delivery.CursorProvesRemoved, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 3, Faults: delivery.Faults{Withdraw: 1}}, false},
	{delivery.RefusedOverridesDelivered, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 1, Faults: delivery.Faults{Withdraw: 1}}, true},
	{delivery.SettleLeavesRemoved, delivery.Scenario{
		Devices: "A0+ B0+ B1+", Messages: 1, Faults: delivery.Faults{Withdraw: 1}}, true},
	{delivery.WithdrawRestored, delivery.Scenario{
		Devices: "A0+ A1+ B0+ B1+", Messages: 3, Faults: delivery.Faults{Withdraw: 2}}, false},
	{delivery.ClaimForgotten, delivery.Scenario{
		Devices: "A0+ B0+", Messages: 3, Faults: delivery.Faults{Withdraw: 2}}, false},
	{delivery.KeyWithoutSender, delivery.Scenario{Devices: "A0+ B0+", Messages: 2}, true},
}

// TestMutantsAreFound shows that the model can fail: each mutant breaks one rule, and a bounded search finds a
// violation for it.
func TestMutantsAreFound(t *testing.T) {
	tested := map[delivery.Mutant]bool{}
	for _, c := range mutantCases {
		tested[c.mutant] = true
	}
	for _, info := range delivery.Mutants {
		if !tested[info.Mutant] {
			t.Errorf("no case finds the mutant %s", info.Name)
		}
	}
	for _, c := range mutantCases {
		m := &delivery.Model{Scenario: c.scenario, Mutant: c.mutant}
		if err := m.Parse(); err != nil {
			t.Fatal(err)
		}
		var r search.Result
		if c.breadth {
			r = search.BreadthFirst(m, search.Limits{States: 200_000, First: true})
		} else {
			r = search.Walk(m, 20_000, 1, search.Limits{States: 1_000_000, First: true})
		}
		if len(r.Violations) == 0 {
			t.Errorf("%s: no violation in %d states of %v", m.Mutant, r.States, c.scenario)
			continue
		}
		v := r.Violations[0]
		t.Logf("%s: %s (%d states, a trace of %d steps)", m.Mutant, v.Promise, r.States, len(v.Path))
		last, _ := m.Replay(v.Path)
		if len(m.Violations(&last, true)) == 0 {
			t.Errorf("%s: the trace does not end in a violation", m.Mutant)
		}
	}
}
