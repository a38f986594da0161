package gate_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// An instance believes its own copy of a gate for 3 s, and then reads Redis again.
func TestGateIsKeptForThreeSeconds(t *testing.T) {
	b := redistest.Mini(t)
	var passed atomic.Int64
	now := func() time.Time { return since.Add(time.Duration(passed.Load())) }
	first := start(t, b, &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true}}}, gate.Options{Now: now})
	disabled := func() bool {
		t.Helper()
		g, err := first.Get(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		return g.Disabled
	}
	disabled()
	b.Mini.HSet("gate:{ann}", "disabled", "1") // the notice is lost
	passed.Store(int64(3*time.Second - 1))
	same(t, "disabled just before 3 s", disabled(), false)
	passed.Store(int64(3 * time.Second))
	same(t, "disabled after 3 s", disabled(), true)
}

// The number of gates in memory is bounded. Beyond it, all are read from Redis again.
func TestNumberOfCachedGatesIsBounded(t *testing.T) {
	source := &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true}, "ben": {Exists: true}, "cat": {Exists: true}}}
	first := start(t, redistest.Mini(t), source, gate.Tuned(gate.Tuning{Keep: time.Hour, MaxCached: 2}))
	for _, c := range []struct {
		uid  string
		hits int
	}{{"ann", 0}, {"ben", 0}, {"ann", 1}, {"ben", 2}, {"cat", 2}, {"ann", 2}, {"cat", 3}} {
		if _, err := first.Get(t.Context(), c.uid); err != nil {
			t.Fatal(err)
		}
		same(t, "gates from memory after "+c.uid, first.Counters().Hits.Load(), c.hits)
	}
}
