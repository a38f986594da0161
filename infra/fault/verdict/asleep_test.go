package verdict

import (
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// A message to a user all of whose devices sleep must reach one of them soon, by a push or a visit.
func TestAsleep(t *testing.T) {
	const second = int64(time.Second / time.Microsecond)
	most := int64((LiveWithin + VisitWithin) / time.Second)
	entry := func(at int64, kind record.Kind, device string) record.Entry {
		return record.Entry{T: at * second, Kind: kind, Device: device}
	}
	of := func(e record.Entry, name string) record.Entry {
		e.ID, e.Conversation, e.User, e.Name, e.At, e.Sum, e.Text = "m", "a~b", "b", name, 5, 2, 1
		return e
	}
	for _, c := range []struct {
		name   string
		asleep []string // at 5 s
		shown  int64    // on b1
		more   []record.Entry
		judged bool
		late   bool
	}{
		{"a push", []string{"b1", "b2"}, 12, nil, true, false},
		{"the last moment", []string{"b1", "b2"}, 10 + most, nil, true, false},
		{"no push and no visit", []string{"b1", "b2"}, 11 + most, nil, true, true},
		{"another device is connected", []string{"b1"}, 11 + most, nil, false, true}, // which does not get it
		{"nobody sleeps", nil, 11, nil, false, true},                                 // b2 does not get it
		{"it has woken", []string{"b1", "b2"}, 11 + most,
			[]record.Entry{entry(12, record.Awake, "b1"), entry(12, record.Awake, "b2")}, false, false},
		{"a fault of servers", []string{"b1", "b2"}, 11 + most, []record.Entry{
			{T: 12 * second, Kind: record.Fault, Name: "f", Detail: record.Servers},
			{T: 13 * second, Kind: record.Healed, Name: "f"}}, true, false},
		{"a fault of notify", []string{"b1", "b2"}, 11 + most, []record.Entry{
			{T: 12 * second, Kind: record.Fault, Name: "f"}, {T: 13 * second, Kind: record.Healed, Name: "f"}}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h []record.Entry
			for _, d := range []string{"a1", "b1", "b2"} {
				h = append(h, record.Entry{Kind: record.Device, Device: d, User: d[:1]}, entry(1, record.Up, d))
			}
			for _, d := range c.asleep {
				h = append(h, entry(5, record.Down, d), entry(5, record.Asleep, d))
			}
			h = append(h, of(entry(10, record.Typed, "a1"), ""), of(entry(10, record.Frozen, "a1"), ""),
				of(entry(10, record.State, "a1"), "sent"))
			h = append(h, c.more...)
			h = append(h, of(entry(c.shown, record.Shown, "b1"), "event"), entry(100, record.Load, "a1"))
			slices.SortStableFunc(h, func(a, b record.Entry) int { return int(a.T - b.T) })
			r := Judge(h)
			if got := r.Counts[LateLive] > 0; got != c.late || r.Asleep > 0 != c.judged {
				t.Errorf("late %v, want %v; %d judged, want %v: %+v", got, c.late, r.Asleep, c.judged, r.Findings)
			}
		})
	}
}
