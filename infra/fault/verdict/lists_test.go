package verdict

import (
	"maps"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// listedHistory is a clean history with the lists of everyone, doctored.
func listedHistory(doctor func(e *record.Entry)) history {
	h := cleanHistory()
	n := len(h)
	h.lists([]chat.Message{newMessage(1, "ann", "bob"), newMessage(2, "bob", "ann"), newMessage(3, "ann", "bob")})
	for i := range h {
		if i >= n {
			h[i].List[0].Read = maps.Clone(h[i].List[0].Read)
		}
		if doctor != nil {
			doctor(&h[i])
		}
	}
	return h
}

// Each doctored list breaks one rule, and Judge finds that one and no other.
func TestLists(t *testing.T) {
	if r := Judge(listedHistory(nil)); !r.Clean() {
		t.Fatalf("a clean history: %+v", r.Findings)
	}
	on := func(kind record.Kind, who string, f func(*record.Item)) func(*record.Entry) {
		return func(e *record.Entry) {
			if e.Kind == kind && e.Device+e.User == who {
				f(&e.List[0])
			}
		}
	}
	for _, c := range []struct {
		name   string
		rule   Rule
		doctor func(e *record.Entry)
	}{
		{"a mark that did not reach the sender", ReadMarks,
			on(record.List, "ann2", func(c *record.Item) { c.Read["bob"] = 1000 })},
		{"a mark that did not reach the archive", ReadMarks,
			on(record.Listed, "ann", func(c *record.Item) { c.Read["bob"] = 1000 })},
		{"a mark that nobody set", ReadMarks, on(record.Listed, "ann", func(c *record.Item) { c.Read["bob"] = 4000 })},
		{"too many unread", ReadMarks, on(record.Listed, "bob", func(c *record.Item) { c.Unread = 1 })},
		{"too many unread on a device", ReadMarks, on(record.List, "bob1", func(c *record.Item) { c.Unread = 2 })},
		{"an older preview", Listing,
			on(record.Listed, "bob", func(c *record.Item) { c.ID, c.At = "m2", 2000 })},
		{"an older preview on a device", Listing, on(record.List, "bob2", func(c *record.Item) { c.ID = "m2" })},
		{"another text in a preview", Listing, on(record.Listed, "bob", func(c *record.Item) { c.Text++ })},
		{"another place in the list", Listing, on(record.Listed, "bob", func(c *record.Item) { c.LastAt-- })},
		{"a conversation is missing", Listing, func(e *record.Entry) {
			if e.Kind == record.Listed && e.User == "bob" {
				e.List = nil
			}
		}},
		{"a sender's device did not learn that a message was read", ReadMarks, func(e *record.Entry) {
			if e.Kind == record.View && e.Device == "ann2" {
				e.Lines[0].State = "delivered"
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Judge(listedHistory(c.doctor))
			for rule, n := range r.Counts {
				if rule == c.rule && n != 1 || rule != c.rule && n != 0 {
					t.Errorf("%s: %d findings: %+v", rule, n, r.Findings)
				}
			}
		})
	}
}

// Conversations are listed from the newest to the oldest.
func TestOrderOfLists(t *testing.T) {
	h := listedHistory(func(e *record.Entry) {
		if e.Kind == record.Listed && e.User == "bob" {
			e.List = []record.Item{{Conversation: "bob~eve", At: 500}, e.List[0]}
		}
	})
	if r := Judge(h); r.Counts[Listing] != 1 {
		t.Errorf("%+v", r.Findings)
	}
}

// A refusal needs a cause that fits its code and came before it.
func TestCausesOfRefusals(t *testing.T) {
	block := record.Entry{Kind: record.Blocked, User: "bob", Name: "ann"}
	unblock := record.Entry{Kind: record.Unblocked, User: "bob", Name: "ann"}
	for _, c := range []struct {
		name   string
		code   string
		before []record.Entry
		found  bool
	}{
		{"blocked", "recipient_unavailable", []record.Entry{block}, false},
		{"blocked by the sender", "recipient_unavailable", []record.Entry{{Kind: record.Blocked, User: "ann", Name: "bob"}}, false},
		{"unblocked just now", "recipient_unavailable", []record.Entry{block, unblock}, false},
		{"not blocked", "recipient_unavailable", nil, true},
		{"another user is blocked", "recipient_unavailable", []record.Entry{{Kind: record.Blocked, User: "bob", Name: "eve"}}, true},
		{"blocked and withdrawn", "withdrawn", []record.Entry{block}, true},
		{"disabled", "withdrawn", []record.Entry{{Kind: record.Withdrawn, User: "ann"}}, false},
		{"the recipient is disabled", "withdrawn", []record.Entry{{Kind: record.Withdrawn, User: "bob"}}, true},
		{"id used twice", "id_reused", []record.Entry{{Kind: record.Reused, ID: "m4", Conversation: conv, Sum: 7}}, false},
		{"id used once", "id_reused", nil, true},
		{"no cause is known", "reply_invalid", []record.Entry{block}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := cleanHistory()
			m := newMessage(4, "ann", "bob")
			h.add(typedEntry("ann1", m))
			h.add(entryOf(record.Frozen, "ann1", m))
			for _, e := range c.before {
				h.add(e)
			}
			h.refused("ann1", m, c.code)
			if r := Judge(h); (r.Counts[Refused] > 0) != c.found || (r.Withdrawn == 1) == c.found {
				t.Errorf("%d refused, %d withdrawn", r.Counts[Refused], r.Withdrawn)
			}
		})
	}
}
