package inbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func TestOrderOfIDs(t *testing.T) {
	ids := []ID{{}, {0, 1}, {0, 2}, {1, 0}, {1, 5}, {2, 0}, {2, 1}}
	for i, a := range ids {
		for j, b := range ids {
			equal(t, fmt.Sprint(a, " compared with ", b), a.Compare(b), min(1, max(-1, i-j)))
			equal(t, fmt.Sprint(a, " after ", b), a.After(b), i > j)
		}
	}
	for id, want := range map[ID]ID{{3, 7}: {3, 6}, {3, 1}: {3, 0}, {3, 0}: {2, 1<<53 - 1}, {1, 0}: {0, 1<<53 - 1},
		{0, 1}: {}, {}: {}} {
		equal(t, fmt.Sprint("before ", id), id.previous(), want)
	}
	for id, want := range map[ID]bool{{1<<53 - 1, 1<<53 - 1}: false, {1 << 53, 0}: true, {0, 1 << 53}: true} {
		equal(t, fmt.Sprint("unsafe ", id), id.unsafe(), want)
	}
}

func TestRelationOfAWakeToAPosition(t *testing.T) {
	p := Position{Cursor: Cursor{Epoch: "e", ID: ID{5, 0}}}
	for name, c := range map[string]struct {
		wake Wake
		want Relation
	}{
		"directly after":         {Wake{Epoch: "e", Prev: ID{5, 0}, Event: Event{ID: ID{6, 0}}}, Next},
		"a later event":          {Wake{Epoch: "e", Prev: ID{6, 0}, Event: Event{ID: ID{7, 0}}}, Detached},
		"after one that is gone": {Wake{Epoch: "e", Prev: ID{4, 0}, Event: Event{ID: ID{6, 0}}}, Next},
		"the same":               {Wake{Epoch: "e", Prev: ID{4, 0}, Event: Event{ID: ID{5, 0}}}, Seen},
		"an earlier event":       {Wake{Epoch: "e", Prev: ID{3, 0}, Event: Event{ID: ID{4, 0}}}, Seen},
		"another epoch":          {Wake{Epoch: "f", Prev: ID{5, 0}, Event: Event{ID: ID{6, 0}}}, Detached},
	} {
		equal(t, name, p.RelationTo(c.wake), c.want)
	}
}

// A sender who has reached SendsPerMinute waits for the rest of the minute. With a limit of 200, the instance tells
// Redis after every fourth send, and the total in Redis counts.
func TestWaitForRate(t *testing.T) {
	l := Limits{SendsPerMinute: 200}
	u := newSenders().of("ann")
	at := func(seconds int64) time.Time { return time.Unix(600+seconds, 0) }
	var told []int64
	for range 199 {
		if n := u.countSend(l, 10); n > 0 {
			told = append(told, n)
		}
	}
	equal(t, "sends told to Redis", fmt.Sprint(told), fmt.Sprint(slices.Repeat([]int64{4}, 49)))
	equal(t, "wait below the rate", u.waitForRate(l, at(5)), time.Duration(0))
	u.countSend(l, 10)
	equal(t, "wait at the rate", u.waitForRate(l, at(5)), 55*time.Second)
	equal(t, "wait in the next minute", u.waitForRate(l, at(60)), time.Duration(0))

	u.countSend(l, 11)
	u.learnSends(10, 100)
	equal(t, "wait after news of another minute", u.waitForRate(l, at(61)), time.Duration(0))
	u.learnSends(11, 198)
	equal(t, "wait below the rate of all instances", u.waitForRate(l, at(61)), time.Duration(0))
	u.learnSends(11, 199)
	equal(t, "wait at the rate of all instances", u.waitForRate(l, at(61)), 59*time.Second)
	u.learnSends(11, 2)
	equal(t, "wait after older news", u.waitForRate(l, at(61)), 59*time.Second)
}

// One message of any size is admitted, and beyond that neither limit may be exceeded.
func TestTotalsOfASender(t *testing.T) {
	l := Limits{SenderMessages: 3, SenderBytes: 100}
	for name, c := range map[string]struct {
		messages, bytes int64
		size            int
		want            bool
	}{
		"nothing waits": {0, 0, 1000, false}, "a message with room": {2, 60, 40, false},
		"a byte too many": {2, 60, 41, true}, "a message too many": {3, 3, 1, true},
	} {
		u := &sender{}
		u.setTotals(c.messages, c.bytes)
		equal(t, name, u.over(l, c.size), c.want)
	}
}

func TestTotalsAreReadAgainAfterAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &sender{}
		equal(t, "the first time", u.due(&u.refreshed, time.Second), true)
		equal(t, "at once", u.due(&u.refreshed, time.Second), false)
		equal(t, "another interval", u.due(&u.healed, time.Second), true)
		testwait.Advance(time.Second - 1)
		equal(t, "almost a second later", u.due(&u.refreshed, time.Second), false)
		testwait.Advance(1)
		equal(t, "a second later", u.due(&u.refreshed, time.Second), true)
	})
}

// One user makes an instance ask the archive at most 60 times a minute.
func TestQuestionsToTheArchiveAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &sender{}
		for range 2 {
			allowed := 0
			for range 2 * asksPerMinute {
				if u.mayAsk() {
					allowed++
				}
			}
			equal(t, "questions in a minute", allowed, asksPerMinute)
			testwait.Advance(time.Minute)
			equal(t, "a question at the end of the minute", u.mayAsk(), false)
			testwait.Advance(1)
		}
	})
}

// A queued message is remembered for 30 s, so that a repeated send runs only the second step.
func TestQueuedMessagesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newSenders(), chat.Message{ID: "x", From: "ann", To: "ben", Body: "one"}
		queued := func(m chat.Message) bool { _, ok := s.queuedAt(OfMessage(m)); return ok }
		equal(t, "before", queued(m), false)
		s.rememberQueued(OfMessage(m), 5)
		at, _ := s.queuedAt(OfMessage(m))
		equal(t, "accepted at", int64(at), 5)
		other := m
		other.Body = "two"
		equal(t, "other content", queued(other), false)
		testwait.Advance(30*time.Second - 1)
		equal(t, "just before 30 s", queued(m), true)
		testwait.Advance(1)
		equal(t, "after 30 s", queued(m), false)
		s.rememberQueued(OfMessage(m), 5)
		s.forgetQueued(OfMessage(m))
		equal(t, "after its sent event is appended", queued(m), false)
		s.rememberQueued(OfMessage(m), 5)
		s.learn("ann", "ben")
		s.forget()
		equal(t, "after a new epoch", queued(m) || s.hasWritten("ann", "ben"), false)
	})
}

// The values that were used last are kept, and at most twice the limit.
func TestRecentForgetsWhatIsNotUsed(t *testing.T) {
	r := newRecent[int, int](3)
	equal(t, "empty", r.empty(), true)
	for i := range 3 {
		r.put(i, i)
	}
	r.put(2, 20) // an old key needs no new generation
	equal(t, "before", len(r.before), 0)
	r.put(3, 3)
	r.get(0) // used again
	r.put(4, 4)
	r.put(5, 5) // the next generation
	kept := []int{}
	for i := range 6 {
		if v, ok := r.now[i]; ok && v == i {
			kept = append(kept, i)
		} else if v, ok := r.before[i]; ok && v == i {
			kept = append(kept, i)
		}
	}
	equal(t, "kept", kept, []int{0, 3, 4, 5})
	equal(t, "empty", r.empty(), false)
	r.remove(3)
	_, ok := r.get(3)
	equal(t, "found after it was removed", ok, false)
	equal(t, "added", r.getOrAdd(7, func() int { return 70 }), 70)
	equal(t, "added again", r.getOrAdd(7, func() int { return 71 }), 70)
}

// Operators see the largest shares first: by bytes, then by messages.
func TestLargestShares(t *testing.T) {
	list := []Share{{"a", Withdrawn{1, 10}}, {"b", Withdrawn{1, 30}}, {"d", Withdrawn{2, 20}}, {"c", Withdrawn{2, 20}},
		{"e", Withdrawn{3, 20}}}
	for n, want := range map[int]string{2: "be", 4: "becd", 9: "becda"} {
		var got strings.Builder
		for _, s := range largest(slices.Clone(list), n) {
			got.WriteString(s.UID)
		}
		equal(t, fmt.Sprint("the first ", n), got.String(), want)
	}
}

func TestWithdrawalSelects(t *testing.T) {
	now := time.UnixMilli(1_000_000_000)
	rec := record{from: "ann", accepted: 50, at: 40, id: ID{Ms: 1_000_000_000 - 600_000}}
	restored := rec
	restored.restored = true
	later := restored
	later.id.Ms++
	for name, c := range map[string]struct {
		w    Withdrawal
		rec  record
		want bool
	}{
		"everything":            {Withdrawal{}, rec, true},
		"the sender":            {Withdrawal{From: "ann"}, rec, true},
		"another sender":        {Withdrawal{From: "cat"}, rec, false},
		"older than":            {Withdrawal{AtBefore: 41}, rec, true},
		"not older than":        {Withdrawal{AtBefore: 40}, rec, false},
		"accepted up to":        {Withdrawal{Accepted: 50}, rec, true},
		"accepted later":        {Withdrawal{Accepted: 49}, rec, false},
		"restored long ago":     {Withdrawal{}, restored, true},
		"restored a moment ago": {Withdrawal{}, later, false},
	} {
		equal(t, name, c.w.selects(c.rec, now), c.want)
	}
}

func TestRecordsOfWaitingMessages(t *testing.T) {
	rec, err := parseRecord("ann/x", "7-1 digest 50 300 40")
	equal(t, "record", rec, record{"ann", "x", ID{7, 1}, 50, 40, 300, false, false})
	equal(t, "error", err, nil)
	rec, _ = parseRecord("ann/x", "7-1 digest 50 300 40 restored")
	equal(t, "restored", rec.restored, true)
	rec, _ = parseRecord("ann/x", "7-1 "+chat.Change{}.Digest()+" 50 300 40")
	equal(t, "change", rec.change, true)
	for _, c := range [][2]string{{"ann", "7-1 d 50 300 40"}, {"ann/x", "7-1 d 50 300"}, {"ann/x", "7 d 50 300 40"},
		{"ann/x", "7-1 d x 300 40"}} {
		if _, err := parseRecord(c[0], c[1]); err == nil {
			t.Errorf("field %q with value %q was accepted", c[0], c[1])
		}
	}
}

func TestFlawsOfEvents(t *testing.T) {
	large := func(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }
	for name, c := range map[string]struct {
		kind, data string
		ok         bool
	}{
		"an event": {"message", `{}`, true}, "no type": {"", `{}`, false}, "no data": {"message", "", false},
		"not JSON": {"message", `{`, false}, "not an object": {"message", `[]`, false},
		"the largest": {"message", large(2*chat.MaxFrameSize - 1), true},
		"too large":   {"message", large(2 * chat.MaxFrameSize), false},
	} {
		equal(t, name, Event{Type: c.kind, Data: []byte(c.data)}.flaw() == "", c.ok)
	}
}
