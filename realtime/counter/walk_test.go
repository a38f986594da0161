package counter

import (
	"slices"
	"testing"
)

func TestWalk(t *testing.T) {
	var c counters
	c.Sent.Add(3)
	c.Open.Read = func() int64 { return 7 }
	var got []string
	sum := int64(0)
	for _, m := range Walk(struct {
		Socket *counters `json:"socket"`
	}{&c}) {
		name := m.Part + "." + m.Name
		if m.Gauge {
			name += " (gauge)"
		}
		got, sum = append(got, name), sum+m.Load()
	}
	want := []string{"socket.Sent", "socket.Open (gauge)", "socket.Unset (gauge)"}
	if !slices.Equal(got, want) || sum != 10 {
		t.Errorf("%q with a sum of %d, want %q and 10", got, sum, want)
	}
}

func TestWalkRefusesOtherFields(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a field that is not a counter was accepted, and would not be exported")
		}
	}()
	Walk(struct {
		Socket *struct{ Sent int }
	}{new(struct{ Sent int })})
}
