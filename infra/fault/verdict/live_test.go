package verdict

import (
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

const second = int64(1_000_000)

// liveHistory is a history in which m1 is accepted at 10 s. The event reaches bob1 at once, and bob2 as doctored.
func liveHistory(doctor func(h *history, m chat.Message)) history {
	var h history
	at := func(seconds int64, e record.Entry) { e.T = seconds * second; h = append(h, e) }
	m := newMessage(1, "ann", "bob")
	for _, d := range everyone {
		at(0, record.Entry{Kind: record.Device, Device: d, User: d[:3]})
		at(1, record.Entry{Kind: record.Up, Device: d})
	}
	at(9, typedEntry("ann1", m))
	at(9, entryOf(record.Frozen, "ann1", m))
	at(10, record.Entry{Kind: record.State, Device: "ann1", ID: m.ID, Conversation: conv, Name: "sent"})
	for _, d := range []string{"ann2", "bob1"} {
		e := entryOf(record.Shown, d, m)
		e.Name = "event"
		at(10, e)
	}
	at(10, record.Entry{Kind: record.Acked, Device: "bob1"})
	at(10, entryOf(record.Saved, "", m))
	for _, d := range []string{"ann1", "ann2"} {
		at(10, record.Entry{Kind: record.State, Device: d, ID: m.ID, Conversation: conv, Name: "delivered"})
	}
	if doctor != nil {
		doctor(&h, m)
	}
	at(60, record.Entry{Kind: record.Fault, Name: Opening})
	for _, d := range append([]string{""}, everyone...) {
		line := lineOf(m)
		if d == "ann1" || d == "ann2" {
			line.State = "delivered"
		}
		e := record.Entry{Kind: record.View, Device: d, Conversation: conv, Lines: []record.Line{line}}
		if d == "" {
			e.Kind = record.History
		}
		at(60, e)
	}
	return h
}

// addAt adds an entry at a time in seconds.
func (h *history) addAt(seconds int64, e record.Entry) { e.T = seconds * second; *h = append(*h, e) }

// showAt adds that a device shows m.
func (h *history) showAt(seconds int64, device, how string, m chat.Message) {
	e := entryOf(record.Shown, device, m)
	e.Name = how
	h.addAt(seconds, e)
}

// A device that is connected throughout must get each event in time. Its own gaps, and faults of servers, excuse it.
func TestLateLive(t *testing.T) {
	live := func(seconds int64) func(*history, chat.Message) {
		return func(h *history, m chat.Message) { h.showAt(seconds, "bob2", "event", m) }
	}
	around := func(from, to int64, begin, end record.Entry, f func(*history, chat.Message)) func(*history, chat.Message) {
		return func(h *history, m chat.Message) {
			h.addAt(from, begin)
			if to > 0 {
				h.addAt(to, end)
			}
			f(h, m)
		}
	}
	of := func(kind record.Kind) record.Entry { return record.Entry{Kind: kind, Device: "bob2"} }
	fault := func(kind record.Kind, detail string) record.Entry {
		return record.Entry{Kind: kind, Name: "redis-paused", Detail: detail}
	}
	for _, c := range []struct {
		name   string
		late   bool
		live   int // times that it was judged
		doctor func(h *history, m chat.Message)
	}{
		{"at once", false, 3, live(10)},
		{"at the limit", false, 3, live(20)},
		{"after the limit", true, 3, live(21)},
		{"only from history", true, 3, func(h *history, m chat.Message) { h.showAt(11, "bob2", "history", m) }},
		{"not connected", false, 2, around(15, 22, of(record.Down), of(record.Up), live(22))},
		{"connected again before", true, 3, around(5, 7, of(record.Down), of(record.Up), live(21))},
		{"moved to another socket", true, 3, around(15, 0, of(record.Moved), of(record.Moved), live(21))},
		{"deaf", false, 2, around(12, 40, of(record.Deaf), of(record.Hears), live(40))},
		{"told that events are missing", false, 2, around(12, 0, of(record.NotResumed), of(record.Up), live(21))},
		{"soon after a fault of servers", false, 3,
			around(12, 15, fault(record.Fault, record.Servers), fault(record.Healed, ""), live(35))},
		{"long after a fault of servers", true, 3,
			around(12, 15, fault(record.Fault, record.Servers), fault(record.Healed, ""), live(36))},
		{"after a fault of devices", true, 3, around(12, 15, fault(record.Fault, ""), fault(record.Healed, ""), live(21))},
		{"long before a fault of servers", true, 3,
			around(21, 22, fault(record.Fault, record.Servers), fault(record.Healed, ""), live(23))},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Judge(liveHistory(c.doctor))
			if got := r.Counts[LateLive] > 0; got != c.late || r.Live != c.live {
				t.Errorf("late: %v, judged %d times, want %d: %+v", got, r.Live, c.live, r.Findings)
			}
		})
	}
}

// A message was accepted when another device shows it, although the device that sent it learns of that late.
func TestAcceptanceIsNotLate(t *testing.T) {
	h := liveHistory(func(h *history, m chat.Message) {
		h.addAt(5, record.Entry{Kind: record.Down, Device: "bob2"})
		h.addAt(29, record.Entry{Kind: record.NotResumed, Device: "bob2"})
		h.showAt(29, "bob2", "history", m)
		h.addAt(29, record.Entry{Kind: record.Up, Device: "bob2"})
	})
	for i, e := range h {
		if e.Kind == record.State && e.Device == "ann1" {
			h[i].T = 30 * second
		}
	}
	if r := Judge(h); r.Counts[LateLive] != 0 {
		t.Errorf("%+v", r.Findings)
	}
}

// A message that a device finds only in history is a finding, unless Redis lost it or the device knows of a gap.
func TestOnlyHistory(t *testing.T) {
	found := func(at int64, before ...record.Entry) *Report {
		return Judge(liveHistory(func(h *history, m chat.Message) {
			h.addAt(5, record.Entry{Kind: record.Down, Device: "bob2"}) // so that it is not late
			for _, e := range before {
				h.addAt(11, e)
			}
			h.showAt(at, "bob2", "history", m)
		}))
	}
	if r := found(30); r.Counts[OnlyHistory] != 1 || r.ByHistory != 1 || r.ByOpening != 0 {
		t.Errorf("nothing was lost: %+v", r)
	}
	for name, e := range map[string]record.Entry{
		"Redis lost it":  {Kind: record.Wiped, Name: "redis-wiped"},
		"a gap is known": {Kind: record.NotResumed, Device: "bob2"},
	} {
		if r := found(30, e); !r.Clean() || r.ByHistory != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := found(30, record.Entry{Kind: record.NotResumed, Device: "bob1"}); r.Counts[OnlyHistory] != 1 {
		t.Errorf("another device knows of a gap: %+v", r)
	}
	if r := found(30, record.Entry{Kind: record.Repeated, Device: "bob2", ID: "m1", Conversation: conv}); !r.Clean() {
		t.Errorf("its event came as well: %+v", r)
	}
	during := Judge(liveHistory(func(h *history, m chat.Message) { // a device asks history before the fault is over
		h.addAt(5, record.Entry{Kind: record.Down, Device: "bob2"})
		h.addAt(11, record.Entry{Kind: record.Fault, Name: "redis-wiped", Detail: record.Servers})
		h.showAt(30, "bob2", "history", m)
		h.addAt(31, record.Entry{Kind: record.Wiped, Name: "redis-wiped"})
		h.addAt(31, record.Entry{Kind: record.Healed, Name: "redis-wiped"})
	}))
	if !during.Clean() || during.ByHistory != 1 {
		t.Errorf("while Redis is being lost: %+v", during)
	}
	fault := record.Entry{Kind: record.Fault, Name: "redis-paused", Detail: record.Servers}
	if r := found(30, fault); r.Counts[OnlyHistory] != 1 {
		t.Errorf("after a fault of servers: %+v", r)
	}
	h := liveHistory(nil)
	late := entryOf(record.Shown, "bob2", newMessage(1, "ann", "bob"))
	late.Name, late.T = "history", 60*second
	opening := slices.IndexFunc(h, func(e record.Entry) bool { return e.Kind == record.Fault })
	if r := Judge(slices.Insert(h, opening+1, late)); r.Counts[OnlyHistory] != 1 || r.ByOpening != 1 {
		t.Errorf("found by opening the conversation: %+v", r)
	}
}

// A fault of servers can keep the sent event from the sender's other devices, which then learn of the message by its
// receipt. Nothing else excuses that.
func TestSentEventLost(t *testing.T) {
	found := func(before ...record.Entry) *Report {
		h := liveHistory(func(h *history, m chat.Message) { h.showAt(10, "bob2", "event", m) })
		i := slices.IndexFunc(h, func(e record.Entry) bool { return e.Kind == record.Shown && e.Device == "ann2" })
		h[i].Name, h[i].T = "history", 11*second
		for n := range before {
			before[n].T = 9 * second
		}
		return Judge(slices.Insert(h, i, before...))
	}
	fault := record.Entry{Kind: record.Fault, Name: "redis-paused", Detail: record.Servers}
	if r := found(fault, record.Entry{Kind: record.Healed, Name: "redis-paused"}); !r.Clean() || r.ByHistory != 1 {
		t.Errorf("during a fault of servers: %+v", r)
	}
	if r := found(); r.Counts[OnlyHistory] != 1 || r.Counts[LateLive] != 1 {
		t.Errorf("without a fault: %+v", r)
	}
}

// A device that is set back, and was the only one of the sender, learns of its messages by their receipts. If the
// sender has another device, there is an event.
func TestSetBackAlone(t *testing.T) {
	found := func(devices ...string) *Report {
		h := liveHistory(func(h *history, m chat.Message) {
			h.showAt(10, "bob2", "event", m)
			h.addAt(12, record.Entry{Kind: record.Left, Device: "ann1"})
			h.addAt(12, record.Entry{Kind: record.Device, Device: "ann1'", User: "ann"})
			h.addAt(12, record.Entry{Kind: record.Restored, Device: "ann1'"})
			h.showAt(14, "ann1'", "history", m)
		})
		i := slices.IndexFunc(h, func(e record.Entry) bool { return e.Kind == record.View && e.Device == "ann1" })
		h[i].Device = "ann1'"
		return Judge(slices.DeleteFunc(h, func(e record.Entry) bool {
			return e.Device == "ann2" && !slices.Contains(devices, "ann2")
		}))
	}
	if r := found(); !r.Clean() || r.ByHistory != 1 {
		t.Errorf("the only device: %+v", r)
	}
	if r := found("ann2"); r.Counts[OnlyHistory] != 1 {
		t.Errorf("with another device: %+v", r)
	}
}

// Each reconnect, and each fault of servers, explains a few repeated events.
func TestRepeated(t *testing.T) {
	repeat := func(n int, more ...record.Entry) *Report {
		return Judge(liveHistory(func(h *history, m chat.Message) {
			h.showAt(10, "bob2", "event", m)
			for _, e := range more {
				h.addAt(10, e)
			}
			for range n {
				h.addAt(11, record.Entry{Kind: record.Repeated, Device: "bob2", ID: m.ID, Conversation: conv})
			}
		}))
	}
	if r := repeat(1); r.Counts[Repeated] != 1 || r.Repeated != 1 {
		t.Errorf("without a cause: %+v", r)
	}
	if r := repeat(1, record.Entry{Kind: record.Moved, Device: "bob2"}); !r.Clean() || r.Repeated != 1 {
		t.Errorf("on a new socket: %+v", r)
	}
	state := func(name string) record.Entry {
		return record.Entry{Kind: record.State, Device: "ann1", ID: "m1", Conversation: conv, Name: name}
	}
	if r := repeat(1, state("refused"), state("delivered")); r.Counts[Repeated] != 0 {
		t.Errorf("withdrawn and restored: %+v", r)
	}
	if r := repeat(2, state("refused"), state("delivered")); r.Counts[Repeated] != 1 {
		t.Errorf("twice, withdrawn and restored: %+v", r)
	}
	gap := record.Entry{Kind: record.NotResumed, Device: "bob2"}
	if r := repeat(1, gap); r.Counts[Repeated] != 0 || r.Repeated != 1 {
		t.Error("what is retained came again after a gap:", r)
	}
	if r := repeat(2, gap); r.Counts[Repeated] != 1 {
		t.Error("two repeats after one gap:", r)
	}
	if r := repeat(2, record.Entry{Kind: record.Moved, Device: "bob2"}); r.Counts[Repeated] != 1 {
		t.Errorf("twice on a new socket: %+v", r)
	}
	// The message is sent again and queued twice, and the device reads both events twice.
	both := []record.Entry{{Kind: record.Moved, Device: "ann1"}, {Kind: record.Moved, Device: "bob2"}}
	if r := repeat(3, both...); r.Counts[Repeated] != 0 {
		t.Errorf("sent and read twice: %+v", r)
	}
	if r := repeat(4, both...); r.Counts[Repeated] != 1 {
		t.Errorf("five events, sent and read twice: %+v", r)
	}
	// The device that typed a message gets one event of it.
	typing := record.Entry{Kind: record.Repeated, Device: "ann1", ID: "m1", Conversation: conv}
	if r := repeat(0, typing); !r.Clean() || r.Repeated != 0 {
		t.Errorf("on the device that typed it: %+v", r)
	}
	if r := repeat(0, typing, typing); r.Counts[Repeated] != 1 {
		t.Errorf("twice on the device that typed it: %+v", r)
	}
}

// A run in which nothing happened proves nothing.
func TestEmptyRun(t *testing.T) {
	if r := Judge(nil); r.Clean() || r.Counts[Empty] != 4 {
		t.Errorf("an empty record: %+v", r)
	}
	h := slices.DeleteFunc(liveHistory(nil), func(e record.Entry) bool { return e.Kind == record.Up })
	if r := Judge(h); r.Counts[Empty] != 1 {
		t.Errorf("no device was ever connected: %+v", r)
	}
}
