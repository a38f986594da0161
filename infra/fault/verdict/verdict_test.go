package verdict

import (
	"fmt"
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

const conv = "ann~bob"

// history is a record under construction.
type history []record.Entry

func (h *history) add(e record.Entry) { e.T = int64(len(*h)) * 1000; *h = append(*h, e) }

func newMessage(n int, from, to string) chat.Message {
	return chat.Message{
		ID: fmt.Sprintf("m%d", n), Conversation: conv, From: from, To: to,
		Body: fmt.Sprintf("text %d", n), At: chat.Micros(1000 * n),
	}
}

func entryOf(kind record.Kind, device string, m chat.Message) record.Entry {
	return record.Entry{
		Kind: kind, Device: device, ID: m.ID, Conversation: m.Conversation,
		At: m.At, Sum: record.SumOf(m), Text: record.TextOf(m),
	}
}

func typedEntry(device string, m chat.Message) record.Entry {
	return record.Entry{
		Kind: record.Typed, Device: device, User: m.To, ID: m.ID, Conversation: m.Conversation, Text: record.TextOf(m),
	}
}

func lineOf(m chat.Message) record.Line {
	return record.Line{ID: m.ID, At: m.At, Sum: record.SumOf(m), Text: record.TextOf(m)}
}

func (h *history) shown(device, how string, m chat.Message) {
	e := entryOf(record.Shown, device, m)
	e.Name = how
	h.add(e)
}

func (h *history) state(device string, m chat.Message, state string) {
	h.add(record.Entry{Kind: record.State, Device: device, ID: m.ID, Conversation: m.Conversation, Name: state})
}

var everyone = []string{"ann1", "ann2", "bob1", "bob2"}

// send adds the whole path of one message: typed on ann1, delivered to both devices of bob, read, saved.
func (h *history) send(m chat.Message) {
	h.add(typedEntry(m.From+"1", m))
	h.add(entryOf(record.Frozen, m.From+"1", m))
	h.state(m.From+"1", m, "sent")
	h.shown(m.From+"2", "event", m)
	h.shown(m.To+"1", "event", m)
	h.add(record.Entry{Kind: record.Acked, Device: m.To + "1"})
	h.add(entryOf(record.Saved, "", m))
	h.shown(m.To+"2", "event", m)
	h.state(m.From+"1", m, "delivered")
	h.state(m.From+"2", m, "delivered")
	h.add(record.Entry{Kind: record.ReadTo, Device: m.To + "1", Conversation: conv, At: m.At})
	h.state(m.From+"1", m, "read")
}

// refused adds that a message was refused for good with a code.
func (h *history) refused(device string, m chat.Message, code string) {
	h.state(device, m, "refused")
	(*h)[len(*h)-1].Detail = code
}

// views adds what everyone shows.
func (h *history) views(lines []chat.Message) {
	for _, device := range append([]string{""}, everyone...) {
		e := record.Entry{Kind: record.View, Device: device, Conversation: conv}
		if device == "" {
			e.Kind = record.History
		}
		for _, m := range lines {
			l := lineOf(m)
			if device != "" && m.From == device[:3] {
				l.State = "read"
			}
			e.Lines = append(e.Lines, l)
		}
		h.add(e)
	}
}

// lists adds the lists of conversations that everyone shows, and those of the API. All messages are seen.
func (h *history) lists(lines []chat.Message) {
	read := map[string]chat.Micros{}
	for _, m := range lines {
		read[m.To] = max(read[m.To], m.At)
	}
	newest := lines[len(lines)-1]
	item := record.Item{Conversation: conv, ID: newest.ID, At: newest.At, LastAt: newest.At,
		Text: record.TextOf(newest), Read: read}
	for _, d := range everyone {
		h.add(record.Entry{Kind: record.List, Device: d, List: []record.Item{item}})
	}
	for _, user := range []string{"ann", "bob"} {
		h.add(record.Entry{Kind: record.Listed, User: user, List: []record.Item{item}})
	}
}

// cleanHistory returns a history that breaks no rule. It has three messages, and the second is a reply.
func cleanHistory() history {
	var h history
	for _, d := range everyone {
		h.add(record.Entry{Kind: record.Device, Device: d, User: d[:3]})
		h.add(record.Entry{Kind: record.Up, Device: d})
	}
	messages := []chat.Message{newMessage(1, "ann", "bob"), newMessage(2, "bob", "ann"), newMessage(3, "ann", "bob")}
	for _, m := range messages {
		h.send(m)
	}
	h.views(messages)
	h.add(record.Entry{Kind: record.Fault, Name: Opening})
	h.views(messages)
	return h
}

// where returns the index of the first entry with this kind, device and id.
func (h history) where(t *testing.T, kind record.Kind, device, id string) int {
	t.Helper()
	i := slices.IndexFunc(h, func(e record.Entry) bool {
		return e.Kind == kind && e.Device == device && (id == "" || e.ID == id)
	})
	if i < 0 {
		t.Fatalf("no %s entry of %q for %s", kind, device, id)
	}
	return i
}

func TestCleanHistory(t *testing.T) {
	r := Judge(cleanHistory())
	if !r.Clean() || r.Typed != 3 || r.Accepted != 3 || r.Saved != 3 ||
		r.Excepted != 0 || r.Vouched != 0 || r.Devices != 4 {
		t.Errorf("%+v", r)
	}
}

// Each doctored history breaks one rule, and Judge finds that one and no other.
func TestDoctoredHistories(t *testing.T) {
	unplace := func(h history, device string, ids ...string) history { // removes lines from a final view
		for i := range h {
			if (h[i].Kind == record.View || h[i].Kind == record.History) && (device == "*" || h[i].Device == device) {
				h[i].Lines = slices.DeleteFunc(slices.Clone(h[i].Lines), func(l record.Line) bool {
					return slices.Contains(ids, l.ID)
				})
			}
		}
		return h
	}
	without := func(h history, drop func(record.Entry) bool) history { return slices.DeleteFunc(h, drop) }
	second := func(h history, at int, e record.Entry) history { return slices.Insert(h, at, e) }

	for _, c := range []struct {
		name   string
		rule   Rule
		doctor func(t *testing.T, h history) history
	}{
		{"lost on one device", Lost, func(t *testing.T, h history) history { return unplace(h, "bob2", "m2") }},
		{"lost on the way to the recipient", Lost, func(t *testing.T, h history) history {
			return without(unplace(unplace(h, "bob1", "m3"), "bob2", "m3"), func(e record.Entry) bool {
				return e.ID == "m3" && (e.Kind == record.Shown && e.Device[:3] == "bob" || e.Kind == record.Saved ||
					e.Kind == record.State && e.Name != "sent")
			})
		}},
		{"lost by the store", Lost, func(t *testing.T, h history) history {
			return without(h, func(e record.Entry) bool { return e.Kind == record.Saved && e.ID == "m1" })
		}},
		{"lost by the list", Lost, func(t *testing.T, h history) history { return unplace(h, "", "m1") }},
		{"lost by the device that typed it", Lost, func(t *testing.T, h history) history { return unplace(h, "ann1", "m1") }},
		{"unsent in the end", Unsent, func(t *testing.T, h history) history {
			return without(unplace(h, "*", "m3"), func(e record.Entry) bool {
				return e.ID == "m3" && e.Kind != record.Typed || e.Kind == record.ReadTo && e.At == 3000
			})
		}},
		{"receipt lost", Lost, func(t *testing.T, h history) history {
			h = without(h, func(e record.Entry) bool {
				return e.Kind == record.State && e.ID == "m3" && (e.Device == "ann2" || e.Name == "read")
			})
			i := h.where(t, record.View, "ann2", "")
			h[i].Lines = slices.Clone(h[i].Lines)
			h[i].Lines[2].State = "sent"
			return h
		}},
		{"shown twice", Doubled, func(t *testing.T, h history) history {
			return second(h, h.where(t, record.View, "ann1", ""), h[h.where(t, record.Shown, "bob1", "m1")])
		}},
		{"doubled in a view", Doubled, func(t *testing.T, h history) history {
			i := h.where(t, record.View, "bob1", "")
			h[i].Lines = slices.Insert(slices.Clone(h[i].Lines), 1, h[i].Lines[0])
			return h
		}},
		{"saved twice", Doubled, func(t *testing.T, h history) history {
			return second(h, h.where(t, record.View, "ann1", ""), h[h.where(t, record.Saved, "", "m1")])
		}},
		{"swapped on one device", OutOfOrder, func(t *testing.T, h history) history {
			i := h.where(t, record.View, "bob2", "")
			h[i].Lines = slices.Clone(h[i].Lines)
			h[i].Lines[0], h[i].Lines[1] = h[i].Lines[1], h[i].Lines[0]
			return h
		}},
		{"a reply before its question, on all devices", OutOfOrder, func(t *testing.T, h history) history {
			return moveMessage(h, "m2", 500)
		}},
		{"not in the order of typing, on all devices", OutOfOrder, func(t *testing.T, h history) history {
			return moveMessage(h, "m3", 500)
		}},
		{"saved before a device had it", EarlySaved, func(t *testing.T, h history) history {
			i, at := h.where(t, record.Saved, "", "m1"), h.where(t, record.Shown, "bob1", "m1")
			e := h[i]
			return second(slices.Delete(h, i, i+1), at, e)
		}},
		{"saved before it was acknowledged", EarlySaved, func(t *testing.T, h history) history {
			i, at := h.where(t, record.Saved, "", "m1"), h.where(t, record.Acked, "bob1", "")
			e := h[i]
			return second(slices.Delete(h, i, i+1), at, e)
		}},
		{"saved after an acknowledgment of the sender's device", EarlySaved, func(t *testing.T, h history) history {
			i := h.where(t, record.Acked, "bob1", "")
			h[i].Device = "ann2"
			return h
		}},
		{"a state goes backwards", Backwards, func(t *testing.T, h history) history {
			e := h[h.where(t, record.State, "ann1", "m1")]
			return second(h, h.where(t, record.View, "ann1", ""), e)
		}},
		{"a state goes backwards in the final view", Backwards, func(t *testing.T, h history) history {
			i := h.where(t, record.View, "ann1", "")
			h[i].Lines = slices.Clone(h[i].Lines)
			h[i].Lines[0].State = "delivered"
			return h
		}},
		{"shown as delivered too early", EarlyReceipt, func(t *testing.T, h history) history {
			e := h[h.where(t, record.State, "ann1", "m1")]
			e.Name = "delivered"
			at := h.where(t, record.Shown, "ann2", "m1")
			return without(second(h, at, e), func(e record.Entry) bool {
				return e.Kind == record.ReadTo && e.At == 1000 || e.Name == "read"
			})
		}},
		{"shown as read too early", EarlyReceipt, func(t *testing.T, h history) history {
			return without(h, func(e record.Entry) bool { return e.Kind == record.ReadTo && e.At == 1000 })
		}},
		{"another body", Altered, func(t *testing.T, h history) history {
			h[h.where(t, record.Shown, "bob1", "m1")].Sum++
			return h
		}},
		{"another at in the store", Altered, func(t *testing.T, h history) history {
			h[h.where(t, record.Saved, "", "m1")].At++
			return h
		}},
		{"frozen twice", Altered, func(t *testing.T, h history) history {
			e := h[h.where(t, record.Frozen, "ann1", "m3")]
			e.At++
			return second(h, h.where(t, record.Frozen, "ann1", "m3"), e)
		}},
		{"a message that nobody typed", Altered, func(t *testing.T, h history) history {
			return without(h, func(e record.Entry) bool { return e.Kind == record.Typed && e.ID == "m3" })
		}},
		{"refused", Refused, func(t *testing.T, h history) history {
			return without(unplace(h, "*", "m3"), func(e record.Entry) bool {
				return e.ID == "m3" && (e.Kind == record.Shown || e.Kind == record.Saved ||
					e.Kind == record.State && e.Name != "sent")
			}).refuse("ann1", "m3")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Judge(c.doctor(t, cleanHistory()))
			for rule, n := range r.Counts {
				if rule == c.rule && n != 1 || rule != c.rule && n != 0 {
					t.Errorf("%s: %d findings: %+v", rule, n, r.Findings)
				}
			}
		})
	}
}

// moveMessage gives a message another at, everywhere alike.
func moveMessage(h history, id string, at chat.Micros) history {
	for i := range h {
		if h[i].ID == id && h[i].At != 0 {
			h[i].At = at
		}
		if h[i].Kind != record.View && h[i].Kind != record.History {
			continue
		}
		h[i].Lines = slices.Clone(h[i].Lines)
		for k := range h[i].Lines {
			if h[i].Lines[k].ID == id {
				h[i].Lines[k].At = at
			}
		}
		slices.SortFunc(h[i].Lines, func(a, b record.Line) int { return int(a.At - b.At) })
	}
	return h
}

func (h history) refuse(device, id string) history {
	i := slices.IndexFunc(h, func(e record.Entry) bool { return e.Kind == record.Fault })
	return slices.Insert(h, i, record.Entry{
		Kind: record.State, Device: device, ID: id, Conversation: conv, Name: "refused",
	})
}

// A typed message with a second id is shown twice to users.
func TestOneMessageWithTwoIDsIsDoubled(t *testing.T) {
	h := cleanHistory()
	m := newMessage(1, "ann", "bob")
	m.ID, m.At = "m9", 9000
	e := entryOf(record.Saved, "", m)
	h = slices.Insert(h, len(h)-6, e)
	if r := Judge(h); r.Counts[Doubled] != 1 {
		t.Errorf("%+v", r.Findings)
	}
}

// exceptedHistory is a history in which Redis lost m3 before a device of the recipient had it, and the device that
// sent it never came back.
func exceptedHistory() history {
	var h history
	for _, e := range cleanHistory() {
		sent := e.Kind == record.State && e.Name == "sent"
		if e.ID == "m3" && e.Kind != record.Typed && e.Kind != record.Frozen && !sent {
			continue
		}
		switch e.Kind {
		case record.ReadTo:
			if e.At == 3000 {
				continue
			}
		case record.Fault:
			h.add(record.Entry{Kind: record.Wiped, Name: "redis-wiped"})
			h.add(record.Entry{Kind: record.Left, Device: "ann1"})
		case record.View, record.History:
			e.Lines = e.Lines[:2]
			if e.Device == "ann1" {
				continue
			}
		}
		h.add(e)
	}
	return h
}

func TestTheStatedException(t *testing.T) {
	if r := Judge(exceptedHistory()); !r.Clean() || r.Excepted != 1 {
		t.Errorf("the exception itself: %d excepted, %+v", r.Excepted, r.Findings)
	}
	for name, doctor := range map[string]func(h history) history{
		"Redis lost nothing": func(h history) history {
			return slices.DeleteFunc(h, func(e record.Entry) bool { return e.Kind == record.Wiped })
		},
		"Redis lost it before it was accepted": func(h history) history {
			i := slices.IndexFunc(h, func(e record.Entry) bool { return e.Kind == record.Wiped })
			e := h[i]
			return slices.Insert(slices.Delete(h, i, i+1), 0, e)
		},
		"a device of the recipient had it and no longer shows it": func(h history) history {
			return strand(h)
		},
	} {
		if r := Judge(doctor(exceptedHistory())); r.Counts[Lost] != 1 || r.Excepted != 0 {
			t.Errorf("%s: %d lost, %d excepted", name, r.Counts[Lost], r.Excepted)
		}
	}
}

// A misbehaving device explains a message that was saved because of its acknowledgment, and nothing more.
func TestVouched(t *testing.T) {
	early := func(odd string) *Report {
		h := cleanHistory()
		i := h.where(t, record.Saved, "", "m1")
		e := h[i]
		h = slices.Insert(slices.Delete(h, i, i+1), h.where(t, record.Shown, "bob1", "m1"), e)
		h[h.where(t, record.Device, "bob2", "")].Name = odd
		return Judge(h)
	}
	if r := early(AcksAhead); !r.Clean() || r.Vouched != 1 {
		t.Errorf("%+v", r)
	}
	if r := early("acks late"); r.Counts[EarlySaved] != 1 || r.Vouched != 0 {
		t.Errorf("%+v", r)
	}
}

func TestGaps(t *testing.T) {
	h := history{
		{Kind: record.Device, Device: "a", User: "p"},
		{T: 1_000, Kind: record.Up, Device: "a"},
		{T: 2_000, Kind: record.Down, Device: "a"},
		{T: 302_000, Kind: record.Up, Device: "a"},
		{T: 400_000, Kind: record.Offline, Device: "a"},
		{T: 60_000_000, Kind: record.Online, Device: "a"},
		{T: 60_100_000, Kind: record.Up, Device: "a"},
		{T: 70_000_000, Kind: record.Down, Device: "a"},
		{T: 76_000_000, Kind: record.Up, Device: "a"},
	}
	if r := Judge(h); r.Gaps.Max != 6000 || r.LongGaps != 1 || r.Resumed != 3 {
		t.Errorf("%+v", r)
	}
}
