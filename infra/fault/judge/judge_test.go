package judge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// run is a record with a name for each entry.
type run []entry

type entry struct {
	name string
	record.Entry
}

// Content of the two messages of cleanRun. They have the same id.
var (
	question = record.Line{ID: "m.a", At: 10, Sum: 100, Text: 101}
	answered = record.Line{ID: "m.b", At: 20, Sum: 200, Text: 201}
)

// of returns an entry about a message.
func of(kind record.Kind, device string, l record.Line, name string) record.Entry {
	return record.Entry{
		Kind: kind, Device: device, ID: l.ID, Conversation: "a~b", At: l.At, Sum: l.Sum, Text: l.Text,
		Name: name,
	}
}

// lines returns an entry with lines.
func lines(kind record.Kind, device string, all ...record.Line) record.Entry {
	return record.Entry{Kind: kind, Device: device, Conversation: "a~b", Lines: all}
}

func state(l record.Line, state string) record.Line {
	l.State = state
	return l
}

// cleanRun is a run in which a writes a message and b answers. Both have two devices.
func cleanRun() run {
	typed := func(device, to string, l record.Line) record.Entry {
		return record.Entry{
			Kind: record.Typed, Device: device, User: to, ID: l.ID, Conversation: "a~b", Text: l.Text,
		}
	}
	page := func(call int64, all ...record.Line) record.Entry {
		e := lines(record.Page, "b2", all...)
		e.Call = call
		return e
	}
	asked := func(call int64) record.Entry {
		return record.Entry{Kind: record.Asked, Device: "b2", Conversation: "a~b", Call: call}
	}
	return run{
		{"", record.Entry{Kind: record.Device, Device: "a1", User: "a"}},
		{"", record.Entry{Kind: record.Device, Device: "a2", User: "a"}},
		{"", record.Entry{Kind: record.Device, Device: "b1", User: "b"}},
		{"", record.Entry{Kind: record.Device, Device: "b2", User: "b"}},
		{"typed", typed("a1", "b", question)},
		{"frozen", of(record.Frozen, "a1", question, "")},
		{"sent", of(record.State, "a1", question, "sent")},
		{"shown on a2", of(record.Shown, "a2", question, "event")},
		{"shown on b1", of(record.Shown, "b1", question, "event")},
		{"acked", record.Entry{Kind: record.Acked, Device: "b1"}},
		{"published", of(record.Published, "", question, "")},
		{"saved", of(record.Saved, "", question, "")},
		{"stored", of(record.Stored, "", question, "")},
		{"delivered", of(record.State, "a1", question, "delivered")},
		{"gap", record.Entry{Kind: record.NotResumed, Device: "b2"}},
		{"", asked(9)},
		{"first page", page(9, question)},
		{"shown on b2", of(record.Shown, "b2", question, "history")},
		{"seen", record.Entry{Kind: record.ReadTo, Device: "b1", Conversation: "a~b", At: question.At}},
		{"read", of(record.State, "a1", question, "read")},

		{"answer typed", typed("b1", "a", answered)},
		{"answer frozen", of(record.Frozen, "b1", answered, "")},
		{"", of(record.State, "b1", answered, "sent")},
		{"", of(record.Shown, "a1", answered, "event")},
		{"", record.Entry{Kind: record.Acked, Device: "a1"}},
		{"", of(record.Published, "", answered, "")},
		{"", of(record.Saved, "", answered, "")},
		{"", of(record.Stored, "", answered, "")},
		{"", of(record.State, "b1", answered, "delivered")},
		{"", of(record.Shown, "a2", answered, "event")},
		{"answer on b2", of(record.Shown, "b2", answered, "event")},

		{"asked", asked(1)},
		{"page", page(1, question, answered)},
		{"screen of b1", lines(record.View, "b1", question, state(answered, "delivered"))},
		{"opening", record.Entry{Kind: record.Fault, Name: opening}},
		{"view of a1", lines(record.View, "a1", state(question, "read"), answered)},
		{"view of a2", lines(record.View, "a2", state(question, "delivered"), answered)},
		{"view of b1", lines(record.View, "b1", question, state(answered, "delivered"))},
		{"view of b2", lines(record.View, "b2", question, state(answered, "delivered"))},
		{"list", lines(record.History, "", question, answered)},
	}
}

// find returns the index of an entry.
func (r run) find(t *testing.T, name string) int {
	t.Helper()
	i := slices.IndexFunc(r, func(e entry) bool { return e.name == name })
	if i < 0 {
		t.Fatalf("no entry is called %q", name)
	}
	return i
}

// without returns the run without some entries.
func (r run) without(t *testing.T, names ...string) run {
	t.Helper()
	for _, name := range names {
		i := r.find(t, name)
		r = slices.Delete(slices.Clone(r), i, i+1)
	}
	return r
}

// replace returns the run with another entry.
func (r run) replace(t *testing.T, name string, e record.Entry) run {
	t.Helper()
	r = slices.Clone(r)
	r[r.find(t, name)].Entry = e
	return r
}

// before returns the run with more entries before one.
func (r run) before(t *testing.T, name string, more ...record.Entry) run {
	t.Helper()
	at := r.find(t, name)
	for i, e := range more {
		r = slices.Insert(slices.Clone(r), at+i, entry{"", e})
	}
	return r
}

// unanswered returns the clean run without the answer.
func unanswered(t *testing.T) run {
	t.Helper()
	var r run
	for _, e := range cleanRun() {
		if !isAnswer(e.ID) && !(e.name == "" && e.Kind == record.Acked) {
			e.Lines = slices.DeleteFunc(slices.Clone(e.Lines), func(l record.Line) bool { return isAnswer(l.ID) })
			r = append(r, e)
		}
	}
	return r
}

// lostRun is a run in which the server accepts a message that nobody receives. The device that sent it leaves.
func lostRun(t *testing.T) run {
	t.Helper()
	r := unanswered(t).without(t, "shown on a2", "shown on b1", "acked", "published", "saved", "stored", "delivered",
		"first page", "shown on b2", "seen", "read", "screen of b1", "view of a1")
	at := r.find(t, "opening")
	r = slices.Insert(r, at, entry{"left", record.Entry{Kind: record.Left, Device: "a1"}})
	for _, name := range []string{"view of a2", "view of b1", "view of b2", "list", "page"} {
		i := r.find(t, name)
		r[i].Lines = nil
	}
	return r
}

// strandedRun is a run in which one device of the recipient has a message that was never saved.
func strandedRun(t *testing.T) run {
	t.Helper()
	return lostRun(t).before(t, "asked", of(record.Shown, "b1", question, "event")).
		replace(t, "view of b1", lines(record.View, "b1", question))
}

// reusedBy returns the entry of a sender who is about to send other content with an id in use.
func reusedBy(l record.Line) record.Entry {
	e := of(record.Reused, "", l, "")
	e.At = 0
	return e
}

// wiped returns the entries of a fault in which Redis loses everything.
func wiped() []record.Entry {
	return []record.Entry{{Kind: record.Fault, Name: "redis-wiped"}, {Kind: record.Wiped, Name: "redis-wiped"}}
}

func isAnswer(key string) bool { return key == answered.ID }

func judged(r run) *Report { return Check(r.log()) }

// log returns the run as a record in memory.
func (r run) log() *record.Log {
	l := record.New()
	for _, e := range r {
		l.Add(e.Entry)
	}
	return l
}

// The only device of a sender is set back to a state without the message. No event of it exists.
func TestSetBackAlone(t *testing.T) {
	r := cleanRun().before(t, "opening", record.Entry{Kind: record.Left, Device: "a1"},
		record.Entry{Kind: record.Device, Device: "a1'", User: "a"}, lines(record.Restored, "a1'"),
		lines(record.Page, "a1'", question, answered), of(record.Shown, "a1'", question, "history"),
		of(record.Shown, "a1'", answered, "event")).
		replace(t, "view of a1", lines(record.View, "a1'", state(question, "read"), answered))
	alone := slices.DeleteFunc(slices.Clone(r), func(e entry) bool { return e.Device == "a2" })
	if got := judged(alone); !got.OK() {
		t.Errorf("the only device: %+v", got)
	}
	if got := judged(r); got.OK() || !strings.Contains(got.Findings[0].Detail, "a1' has it from history, and neither") {
		t.Errorf("with another device: %+v", got)
	}
}

// Runs in which all promises hold.
func TestLegal(t *testing.T) {
	r := cleanRun()
	refused := func(cause record.Entry) run {
		r := unanswered(t).without(t, "shown on a2", "shown on b1", "acked", "published", "saved", "stored", "delivered",
			"first page", "shown on b2", "seen", "read", "screen of b1", "view of a2").
			before(t, "asked", cause, of(record.State, "a1", question, "refused")).
			replace(t, "view of a1", lines(record.View, "a1", state(question, "refused"))).
			without(t, "page").
			replace(t, "list", lines(record.History, ""))
		for _, name := range []string{"view of b1", "view of b2"} {
			r[r.find(t, name)].Lines = nil
		}
		return r.before(t, "view of a1", lines(record.View, "a2"))
	}
	unsure := lostRun(t).without(t, "sent")
	// The archive gets the other content first, and every device shows that in the end.
	other := question
	other.Sum, other.Text = 998, 999
	otherSaved := r.before(t, "saved", reusedBy(other)).replace(t, "saved", of(record.Saved, "", other, "")).
		replace(t, "shown on b2", of(record.Shown, "b2", other, "history"))
	for i, e := range otherSaved {
		for k, l := range e.Lines {
			if l.ID == other.ID && otherSaved[i].name != "screen of b1" {
				otherSaved[i].Lines = slices.Clone(otherSaved[i].Lines)
				otherSaved[i].Lines[k] = state(other, l.State)
			}
		}
	}
	for _, d := range []string{"a1", "a2", "b1"} {
		otherSaved = otherSaved.before(t, "opening", of(record.Corrected, d, other, ""))
	}
	changed := question
	changed.Sum = 999
	earlyPage := lines(record.Page, "a2")
	earlyPage.Call = 2
	pageOfA2 := lines(record.Page, "a2", question)
	foundByA2 := r.without(t, "shown on a2").before(t, "seen",
		record.Entry{Kind: record.Asked, Device: "a2", Conversation: "a~b"}, pageOfA2,
		of(record.Shown, "a2", question, "history"))
	for name, c := range map[string]struct {
		run
		excepted int
	}{
		"clean": {r, 0},
		"set back": {r.before(t, "opening", record.Entry{Kind: record.Left, Device: "b2"},
			record.Entry{Kind: record.Device, Device: "b2'", User: "b"}, lines(record.Restored, "b2'", question),
			of(record.Shown, "b2'", answered, "event")).
			replace(t, "view of b2", lines(record.View, "b2'", question, state(answered, "delivered"))), 0},
		"never confirmed":   {r.without(t, "stored"), 0},
		"sent says nothing": {r.without(t, "sent"), 0},
		"a page that was asked for before the save, and returned after it": {r.before(t, "acked",
			record.Entry{Kind: record.Asked, Device: "a2", Conversation: "a~b", Call: 2}).before(t, "delivered", earlyPage), 0},
		"fixed again, and not accepted before": {r.before(t, "frozen",
			of(record.Frozen, "a1", record.Line{ID: "m.a", At: 9, Sum: 99}, "")), 0},
		"fixed again at an earlier time": {r.before(t, "frozen",
			of(record.Frozen, "a1", record.Line{ID: "m.a", At: 90, Sum: 99}, "")), 0},
		"saved for a device that acknowledges ahead": {r.before(t, "typed",
			record.Entry{Kind: record.Device, Device: "b1", User: "b", Name: acksAhead}).without(t, "acked"), 0},
		"refused: no recipient":                        {refused(record.Entry{Kind: record.Erased, User: "b"}), 0},
		"refused: withdrawn":                           {refused(record.Entry{Kind: record.Withdrawn, User: "a"}), 0},
		"sent by a device that left before any answer": {unsure, 0},
		"other content with the same id, corrected": {r.before(t, "shown on b2", reusedBy(changed)).
			replace(t, "shown on b2", of(record.Shown, "b2", changed, "event")).
			before(t, "opening", of(record.Corrected, "b2", question, "")), 0},
		"other content with the same id, saved first": {otherSaved, 0},
		"refused: blocked":                            {refused(record.Entry{Kind: record.Blocked, User: "b", Name: "a"}), 0},
		"lost by Redis with its sender":               {lostRun(t).before(t, "asked", wiped()...), 1},
		"lost by Redis while it was accepted": {lostRun(t).before(t, "sent", wiped()[0]).
			before(t, "asked", wiped()[1]), 1},
		"stranded":                              {strandedRun(t).before(t, "asked", wiped()...), 1},
		"found in history after Redis was lost": {r.without(t, "gap").before(t, "stored", wiped()...), 0},
		"found in history, and then an event": {r.without(t, "gap").before(t, "asked",
			of(record.Repeated, "b2", question, "")), 0},
		"found in history, and its event was kept back": {foundByA2.before(t, "frozen",
			record.Entry{Kind: record.Fault, Name: "redis-slow", Detail: record.Servers}), 0},
		"found in history, and its event was deleted": {unanswered(t).without(t, "gap", "page", "asked").
			before(t, "seen", record.Entry{Kind: record.Erased, User: "a"}).
			replace(t, "list", lines(record.History, "")), 0},
		"found in history by a device that misbehaves": {r.without(t, "gap").before(t, "typed",
			record.Entry{Kind: record.Device, Device: "b2", User: "b", Name: "acks never"}), 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := judged(c.run)
			if !got.OK() || got.Excepted != c.excepted {
				t.Errorf("%d illegal, %d unknown, %d excepted, want %d: %+v",
					got.Illegal, got.Unknown, got.Excepted, c.excepted, got.Findings)
			}
			if got.Partitions < 2 || got.Operations < 10 {
				t.Errorf("only %d operations in %d partitions", got.Operations, got.Partitions)
			}
		})
	}
}

// Runs in which one promise is broken, and the operation that shows it.
func TestIllegal(t *testing.T) {
	r := cleanRun()
	changed := question
	changed.Sum = 999
	moved := question
	moved.At, moved.Sum = 11, 110
	second := record.Line{ID: "n.a", At: 10, Sum: 300, Text: question.Text}
	latePage := lines(record.Page, "b2", answered)
	latePage.Call = 1
	longPage := lines(record.Page, "b2", question, answered)
	longPage.Call, longPage.Name = 1, "20,m.b"
	late := r.without(t, "shown on a2").before(t, "view of a1", lines(record.Page, "a2", question),
		of(record.Shown, "a2", question, "history"))
	earlyAnswer := slices.Clone(r)
	for i, e := range earlyAnswer {
		if isAnswer(e.ID) && e.At != 0 {
			earlyAnswer[i].At = 5
		}
		for k, l := range e.Lines {
			if isAnswer(l.ID) {
				earlyAnswer[i].Lines = slices.Clone(earlyAnswer[i].Lines)
				earlyAnswer[i].Lines[k].At = 5
				slices.Reverse(earlyAnswer[i].Lines)
			}
		}
	}
	for name, c := range map[string]struct {
		run
		want string
	}{
		"lost: not in the archive": {r.without(t, "saved", "stored", "first page", "shown on b2", "page", "view of b2").
			replace(t, "list", lines(record.History, "", answered)), "b2 lacks it"},
		"lost: saved, and not listed in the end": {r.replace(t, "list", lines(record.History, "", answered)),
			"the archive lacks it in the end"},
		"lost: not on the second device of the recipient": {r.without(t, "shown on b2").
			replace(t, "view of b2", lines(record.View, "b2", state(answered, "delivered"))), "b2 lacks it"},
		"lost: not on the second device of the sender": {r.without(t, "shown on a2").
			replace(t, "view of a2", lines(record.View, "a2", answered)), "a2 lacks it"},
		"late: found only when the conversation is opened": {late, "a2 lacks it before it opens the conversation"},
		"late: sent after Redis was lost": {late.before(t, "typed", wiped()...),
			"a2 lacks it before it opens"},
		"by history: the server said that nothing is missing": {r.without(t, "gap"), "b2 has it from history, and neither"},
		"by history: the gap was before it was sent": {r.without(t, "gap").
			before(t, "typed", record.Entry{Kind: record.NotResumed, Device: "b2"}), "b2 has it from history, and neither"},
		"by history: the gap was on another device": {r.without(t, "gap").
			before(t, "first page", record.Entry{Kind: record.NotResumed, Device: "b1"}), "b2 has it from history, and neither"},
		"by history: another device of the sender, and no fault": {r.without(t, "shown on a2").before(t, "seen",
			lines(record.Page, "a2", question), of(record.Shown, "a2", question, "history")),
			"a2 has it from history, and neither"},
		"by history: no page had it": {r.without(t, "first page"), "b2 shows it, from history"},
		"a page goes beyond its end": {r.replace(t, "page", longPage), "goes beyond its end"},
		"an event of a message that nobody has sent": {r.before(t, "frozen", of(record.Repeated, "a1", question, "")),
			"an event brings it to a1 again"},
		"lost: a device forgets it": {r.replace(t, "view of b2", lines(record.View, "b2", state(answered, "delivered"))),
			"b2 lacks it in the end"},
		"lost: nobody looked": {r.without(t, "view of b2"), "b2 lacks it in the end"},
		"lost: nobody listed": {r.without(t, "list"), "the archive lacks it in the end"},
		"lost: its sender stays": {lostRun(t).before(t, "asked", wiped()...).without(t, "left").
			before(t, "list", lines(record.View, "a1", state(question, "sent"))), "a2 lacks it in the end"},
		"lost: Redis lost nothing": {lostRun(t),
			"a2 lacks it"},
		"lost: Redis was lost before": {lostRun(t).before(t, "typed", wiped()...), "a2 lacks it"},
		"stranded: gone from the screen that showed it": {strandedRun(t).before(t, "asked", wiped()...).
			replace(t, "view of b1", lines(record.View, "b1")), "b1 lacks it in the end"},
		"never sent": {lostRun(t).without(t, "frozen", "sent").before(t, "asked",
			record.Entry{Kind: record.Device, Device: "a3", User: "a"}).replace(t, "typed",
			record.Entry{Kind: record.Typed, Device: "a3", User: "b", ID: "m.a", Conversation: "a~b", Text: 101}),
			"a2 lacks it"},
		"a page lacks what was saved before": {r.replace(t, "page", latePage), "a page that b2 reads lacks it"},
		"a page has what was never saved": {
			r.without(t, "saved", "stored", "first page", "shown on b2", "list", "view of b2"),
			"a page that b2 reads has it"},
		"doubled: shown twice": {r.before(t, "opening", of(record.Shown, "b1", question, "history")),
			"b1 shows it, from history"},
		"doubled: shown again by its author": {r.before(t, "opening", of(record.Shown, "a1", question, "event")),
			"a1 shows it, from an event"},
		"doubled: shown again by a device that was set back": {r.before(t, "opening",
			record.Entry{Kind: record.Left, Device: "b2"}, record.Entry{Kind: record.Device, Device: "b2'", User: "b"},
			lines(record.Restored, "b2'", question), of(record.Shown, "b2'", question, "event")), "b2' shows it"},
		"doubled: listed twice": {r.replace(t, "list", lines(record.History, "", question, question, answered)),
			"has one of them twice"},
		"doubled: saved twice": {r.before(t, "opening", of(record.Saved, "", question, ""),
			of(record.Stored, "", question, "")), "the archive gets it"},
		"doubled: saved with another id": {r.before(t, "opening", of(record.Saved, "", second, ""),
			of(record.Stored, "", second, "")), "the archive gets it"},
		"doubled: typed with an id in use": {r.before(t, "opening", record.Entry{Kind: record.Typed, Device: "a1", User: "b",
			ID: "m.a", Conversation: "a~b", Text: 5}), "a1 types it"},
		"saved early": {r.without(t, "acked", "published").
			before(t, "delivered", record.Entry{Kind: record.Acked, Device: "b1"}), "the archive gets it"},
		"published early": {r.without(t, "acked").before(t, "saved", record.Entry{Kind: record.Acked, Device: "b1"}),
			"Pub/Sub gets it"},
		"delivered before Pub/Sub had it": {r.without(t, "delivered").
			before(t, "published", of(record.State, "a1", question, "delivered")), "a1 shows it as delivered"},
		"shown from history before it was saved": {r.without(t, "shown on b2").
			before(t, "saved", of(record.Shown, "b2", question, "history")), "b2 shows it, from history"},
		"altered: on a device":    {r.replace(t, "shown on b1", of(record.Shown, "b1", changed, "event")), "b1 shows it"},
		"altered: in the archive": {r.replace(t, "saved", of(record.Saved, "", changed, "")), "the archive gets it"},
		"altered: in the list":    {r.replace(t, "list", lines(record.History, "", changed, answered)), "the archive has it"},
		"altered: on a screen": {r.replace(t, "screen of b1", lines(record.View, "b1", changed, answered)),
			"b1 has it before it opens"},
		"altered: a screen has what was not shown": {r.before(t, "opening", lines(record.View, "b1", second)),
			"b1 has it before it opens"},
		"altered: not what was saved": {r.before(t, "shown on b2", reusedBy(changed)).
			replace(t, "shown on b2", of(record.Shown, "b2", changed, "event")).
			replace(t, "view of b2", lines(record.View, "b2", changed, answered)), "b2 has it in the end"},
		"altered: corrected, and not saved so": {r.before(t, "opening", of(record.Corrected, "b2", changed, "")),
			"b2 shows what was saved instead"},
		"altered: in a view":        {r.replace(t, "view of b2", lines(record.View, "b2", changed, answered)), "b2 has it"},
		"altered: another at":       {r.replace(t, "shown on b1", of(record.Shown, "b1", moved, "event")), "b1 shows it"},
		"fixed again, and accepted": {r.before(t, "acked", of(record.Frozen, "a1", moved, "")), "shows it"},
		"nobody wrote it": {r.before(t, "opening", of(record.Shown, "b1", second, "event")),
			"b1 shows it, from an event"},
		"delivered before it was shown": {r.without(t, "delivered").
			before(t, "shown on b1", of(record.State, "a1", question, "delivered")), "a1 shows it as delivered"},
		"read before it was seen": {r.without(t, "read").before(t, "seen", of(record.State, "a1", question, "read")),
			"a1 shows it as read"},
		"a state goes back": {r.before(t, "opening", of(record.State, "a1", question, "sent")), "a1 shows it as sent"},
		"a state goes back in the end": {r.replace(t, "view of a1", lines(record.View, "a1", state(question, "delivered"),
			answered)), "a1 has it in the end, as delivered"},
		"saved, and never delivered": {r.replace(t, "view of a2", lines(record.View, "a2", state(question, "sent"),
			answered)), "a2 has it in the end, as sent"},
		"refused without a cause": {unanswered(t).before(t, "opening",
			record.Entry{Kind: record.Device, Device: "a3", User: "a"}, of(record.State, "a3", question, "refused")),
			"a3 shows it as refused"},
		"withdrawn, and the recipient has it": {strandedRun(t).before(t, "asked",
			record.Entry{Kind: record.Withdrawn, User: "a"}, of(record.State, "a2", question, "refused")),
			"lacks it"},
		"order: a device differs": {r.replace(t, "view of b2",
			lines(record.View, "b2", state(answered, "delivered"), question)), "in another order"},
		"order: the list differs": {r.replace(t, "list", lines(record.History, "", answered, question)),
			"in another order"},
		"order: an answer before what its sender had seen": {earlyAnswer, "m.b gets its place"},
		"order: not in the order of typing": {r.before(t, "opening",
			record.Entry{Kind: record.Typed, Device: "a1", User: "b", ID: "n.a", Conversation: "a~b", Text: 301},
			of(record.Frozen, "a1", record.Line{ID: "n.a", At: 9, Sum: 300}, "")), "n.a gets its place"},
	} {
		t.Run(name, func(t *testing.T) {
			got := judged(c.run)
			if got.Illegal == 0 || got.Unknown > 0 {
				t.Fatalf("%d illegal, %d unknown, %d excepted", got.Illegal, got.Unknown, got.Excepted)
			}
			if !slices.ContainsFunc(got.Findings, func(f Finding) bool { return strings.Contains(f.Detail, c.want) }) {
				t.Errorf("no finding names %q: %+v", c.want, got.Findings)
			}
		})
	}
}

// A record that is judged in shares has the same result as one that is judged at once.
func TestShares(t *testing.T) {
	clean := cleanRun()
	opens := clean.find(t, "opening")
	var r run
	add := func(part run) {
		for n := range 30 {
			for _, e := range part {
				if n == 17 && e.Kind == record.History {
					e.Lines = e.Lines[1:]
				}
				if n == 23 && e.name == "shown on b2" {
					continue
				}
				if e.Conversation != "" {
					e.Conversation = fmt.Sprintf("a~b%d", n)
				}
				e.Call += int64(n) * 100
				if e.Conversation != "" || e.Kind == record.Acked || e.Kind == record.NotResumed || n == 0 {
					r = append(r, e)
				}
			}
		}
	}
	add(clean[:opens])
	add(clean[opens:])
	whole := checkShares(r.log(), 1)
	if whole.Illegal != 2 || len(whole.Findings) != 2 {
		t.Fatalf("%d illegal, want 2: %+v", whole.Illegal, whole.Findings)
	}
	byName := func(a, b Finding) int { return strings.Compare(a.Partition, b.Partition) }
	slices.SortFunc(whole.Findings, byName)
	for _, shares := range []int{2, 5, 50} {
		got := checkShares(r.log(), shares)
		slices.SortFunc(got.Findings, byName)
		if got.Operations != whole.Operations || got.Partitions != whole.Partitions || got.Illegal != whole.Illegal ||
			!slices.Equal(got.Findings, whole.Findings) {
			t.Errorf("in %d shares: %+v\nat once: %+v", shares, got, whole)
		}
	}
}

// A record without a message proves nothing.
func TestNothing(t *testing.T) {
	if got := judged(nil); got.OK() {
		t.Errorf("an empty record is OK: %+v", got)
	}
}

// A partition that is not checked within the limit is unknown, and an unknown partition fails the run. After some of
// them, the judge does not check the others and reports them as unknown.
func TestUnknown(t *testing.T) {
	endless := porcupine.Model{
		Init: func() any { return 0 },
		StepContext: func(ctx context.Context, _, _, _ any) (bool, any) {
			<-ctx.Done()
			return true, 0
		},
	}
	const partitions = 500
	c := &checker{limit: 10 * time.Millisecond}
	c.check(func(yield func(partition) bool) {
		for range partitions {
			if !yield(partition{name: "p", model: endless, operations: []porcupine.Operation{{Call: 1, Return: 2}}}) {
				return
			}
		}
	})
	got := c.result()
	if got.OK() || got.Unknown != partitions || got.Illegal != 0 || len(got.Findings) == 0 {
		t.Errorf("%d of %d partitions unknown, %d illegal, OK: %v", got.Unknown, got.Partitions, got.Illegal, got.OK())
	}
}

// A page holds its first line and what follows it, up to where it was asked to end.
func TestBelongs(t *testing.T) {
	at := func(n int64, key string) place { return place{n, key} }
	ten := []record.Line{{At: 10}}
	for _, c := range []struct {
		place place
		page  record.Entry
		want  bool
	}{
		{at(5, "m.a"), record.Entry{}, true},
		{at(5, "m.a"), record.Entry{Lines: ten, More: true}, false},
		{at(11, "m.a"), record.Entry{Lines: ten, More: true}, true},
		{at(20, "m.a"), record.Entry{Name: "20", Lines: ten}, false},
		{at(19, "m.a"), record.Entry{Name: "20", Lines: ten}, true},
		{at(20, "m.a"), record.Entry{Name: "20,m.b", Lines: ten}, true},
		{at(20, "m.a"), record.Entry{Name: "20,m.a", Lines: ten}, false},
		{at(20, "m.a"), record.Entry{Name: "20,m", Lines: ten}, false},
		{at(5, "m.a"), record.Entry{Name: "soon", Lines: ten}, false},
	} {
		if got := belongs(c.place, &c.page); got != c.want {
			t.Errorf("%+v belongs to %+v: %v", c.place, c.page, got)
		}
	}
}

// A run of many messages is checked in seconds, also if each was sent without an answer.
func TestTractable(t *testing.T) {
	var r run
	add := func(e record.Entry) { r = append(r, entry{"", e}) }
	for _, d := range []string{"a1", "b1", "b2"} {
		add(record.Entry{Kind: record.Device, Device: d, User: d[:1]})
	}
	var all []record.Line
	const messages = 2000
	for n := range messages {
		l := record.Line{ID: fmt.Sprintf("%04d.a", n), At: chat.Micros(10 + n), Sum: record.Hash(n), Text: record.Hash(n)}
		all = append(all, l)
		typed := of(record.Typed, "a1", l, "")
		typed.User, typed.At, typed.Sum = "b", 0, 0
		add(typed)
		add(of(record.Frozen, "a1", l, ""))
		add(of(record.Shown, "b1", l, "event"))
		add(of(record.Shown, "b2", l, "event"))
		add(record.Entry{Kind: record.Acked, Device: "b1"})
		add(of(record.Published, "", l, ""))
		add(of(record.Saved, "", l, ""))
	}
	add(record.Entry{Kind: record.Fault, Name: opening})
	add(lines(record.View, "b1", all...))
	add(lines(record.View, "b2", all...))
	add(lines(record.History, "", all...))
	for i := range all {
		all[i].State = "delivered"
	}
	add(lines(record.View, "a1", all...))
	began := time.Now()
	got := judged(r)
	if took := time.Since(began); !got.OK() || got.Partitions != messages+4 || took > 20*time.Second {
		t.Errorf("%v: %d partitions, %d illegal, %d unknown: %+v",
			took, got.Partitions, got.Illegal, got.Unknown, got.Findings)
	}
}

// A device that writes and sees more than a partition takes is checked in parts, which depend on what was before them.
func TestLongThread(t *testing.T) {
	long := func(odd deedKind, first int64) (t thread) {
		t.name = "b1 in a~b"
		for n := range int64(2*maxDeeds + 10) {
			d := &deed{kind: writes, place: place{at: 1000 + n}, turn: int(n)}
			if n%2 == 1 {
				d.kind = odd
			}
			if n == maxDeeds {
				d.place.at += first
			}
			t.add(span{n + 1, n + 1}, d)
		}
		return t
	}
	for name, c := range map[string]struct {
		thread thread
		want   int
	}{
		"in order": {long(sees, 0), 0},
		"before what was seen in the part before":   {long(sees, -1), 1},
		"only own messages":                         {long(writes, 0), 0},
		"before the own message of the part before": {long(writes, -1), 1},
	} {
		ch := &checker{limit: partitionLimit}
		ch.check(c.thread.partitions())
		r := ch.result()
		if r.Partitions != 3 || r.Illegal != c.want || r.Unknown != 0 {
			t.Errorf("%s: %d partitions, %d illegal, want %d: %+v", name, r.Partitions, r.Illegal, c.want, r.Findings)
		}
	}
	// The third own message before a part gets another place, because it was refused, and so do those after it.
	refused := long(sees, 0)
	for n := range 3 {
		d := *refused.deeds[maxDeeds-6+2*n]
		d.place.at = 1000 + maxDeeds + int64(2*n)
		refused.deeds[maxDeeds+2*n] = &d
	}
	ch := &checker{limit: partitionLimit}
	ch.check(refused.partitions())
	if r := ch.result(); r.Illegal != 0 {
		t.Errorf("after a refusal: %+v", r.Findings)
	}
}
