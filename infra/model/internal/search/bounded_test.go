package search_test

import (
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/model/internal/delivery"
	"github.com/phoenixchat/phoenixchat/infra/model/internal/search"
)

// model returns a model of one of the named scenarios.
func model(t *testing.T, name string, mutant delivery.Mutant) *delivery.Model {
	t.Helper()
	i := slices.IndexFunc(delivery.Scenarios, func(s delivery.Scenario) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no scenario %q", name)
	}
	s := delivery.Scenarios[i]
	if err := s.Parse(); err != nil {
		t.Fatal(err)
	}
	return &delivery.Model{Scenario: s, Mutant: mutant}
}

// fail reports the violations of a search with their traces.
func fail(t *testing.T, m *delivery.Model, r search.Result) {
	t.Helper()
	for _, v := range r.Violations {
		t.Errorf("%s is broken in %d states", v.Promise, v.States)
		_, lines := m.Replay(v.Path)
		for _, line := range lines {
			t.Log(line)
		}
	}
}

// TestSmallScenarios visits every state of the small scenarios. The numbers of states are checked, because a step that
// is lost by accident would make the model hold its promises more easily.
func TestSmallScenarios(t *testing.T) {
	for name, want := range map[string]struct{ states, quiescent int }{
		"calm":           {249, 2},
		"offline":        {506, 4},
		"four-devices":   {225800, 35},
		"drop":           {5688, 17},
		"crash":          {2613, 16},
		"new-device":     {27145, 22},
		"reload-trimmed": {8303, 26},
		"drop-shed":      {10025, 24},
		"goaway":         {13771, 16},
		"expire":         {1508, 8},
		"wipe":           {126834, 38},

		"withdraw":         {245248, 110},
		"withdraw-trimmed": {13248, 31},
		"withdraw-expire":  {35781, 64},
	} {
		t.Run(name, func(t *testing.T) {
			m := model(t, name, 0)
			r := search.DepthFirst(m, search.Limits{})
			if len(r.Violations) > 0 {
				fail(t, m, search.BreadthFirst(m, search.Limits{First: true})) // for the shortest trace
			}
			if !r.Exhaustive || m.Truncated > 0 {
				t.Errorf("the search is not exhaustive: %d steps were cut off", m.Truncated)
			}
			if r.States != want.states || r.Quiescent != want.quiescent {
				t.Errorf("%d states, %d of them quiescent; want %d and %d. If a rule has changed on purpose, "+
					"change the numbers", r.States, r.Quiescent, want.states, want.quiescent)
			}
		})
	}
}

// TestLargeScenarios takes random walks through scenarios with several faults.
func TestLargeScenarios(t *testing.T) {
	const walks, seed = 1500, 11
	for _, name := range []string{
		"failover", "reply", "everything", "everything-trimmed", "redis-twice", "wipe-reload",
		"withdraw-everything", "withdraw-devices",
	} {
		t.Run(name, func(t *testing.T) {
			m := model(t, name, 0)
			r := search.Walk(m, walks, seed, search.Limits{})
			fail(t, m, r)
			t.Logf("%d states, %d walks ended in a quiescent state, %d did not fit", r.States, r.Quiescent, m.Truncated)
			if r.Quiescent < walks*9/10 {
				t.Errorf("only %d of %d walks ended in a quiescent state", r.Quiescent, walks)
			}
		})
	}
}

// TestSearchesAgree compares the searches with each other, and a trace with what it is said to show.
func TestSearchesAgree(t *testing.T) {
	broad, deep := model(t, "crash", delivery.MarkBeforePublish), model(t, "crash", delivery.MarkBeforePublish)
	b, d := search.BreadthFirst(broad, search.Limits{}), search.DepthFirst(deep, search.Limits{})
	if b.States != d.States || b.Quiescent != d.Quiescent || len(b.Violations) != len(d.Violations) {
		t.Errorf("breadth first: %d states, %d quiescent, %d violations; depth first: %d, %d, %d",
			b.States, b.Quiescent, len(b.Violations), d.States, d.Quiescent, len(d.Violations))
	}
	for i, v := range b.Violations {
		if i < len(d.Violations) && (d.Violations[i].Promise != v.Promise || d.Violations[i].States != v.States) {
			t.Errorf("depth first found %q in %d states, breadth first %q in %d",
				d.Violations[i].Promise, d.Violations[i].States, v.Promise, v.States)
		}
		last, lines := broad.Replay(v.Path)
		if len(lines) == 0 {
			t.Errorf("the trace of %q is empty", v.Promise)
		}
		if !slices.Contains(broad.Violations(&last, true), v.Promise) {
			t.Errorf("the trace of %q does not end in a state that breaks it", v.Promise)
		}
	}
}
