package verdict

import (
	"maps"
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// requestHistory is a history in which bob has seen a message of ann and not answered. Ann does not learn that.
func requestHistory(doctor func(e *record.Entry)) history {
	var h history
	for _, d := range everyone {
		h.add(record.Entry{Kind: record.Device, Device: d, User: d[:3]})
		h.add(record.Entry{Kind: record.Up, Device: d})
	}
	m := newMessage(1, "ann", "bob")
	h.send(m)
	h = slices.DeleteFunc(h, func(e record.Entry) bool { return e.Kind == record.State && e.Name == "read" })
	h.views([]chat.Message{m})
	h.add(record.Entry{Kind: record.Fault, Name: Opening})
	h.views([]chat.Message{m})
	h.lists([]chat.Message{m})
	for i := range h {
		for n, l := range h[i].Lines {
			if l.State == "read" {
				h[i].Lines[n].State = "delivered"
			}
		}
		if len(h[i].List) > 0 {
			h[i].List[0].Read = maps.Clone(h[i].List[0].Read)
			if h[i].Device+h[i].User == "ann" || h[i].Device == "ann1" || h[i].Device == "ann2" {
				h[i].List[0].Read["bob"] = 0
			}
		}
		if doctor != nil {
			doctor(&h[i])
		}
	}
	return h
}

// A read mark of somebody who has not answered reaches their own devices, and nobody else.
func TestMarksOfRequests(t *testing.T) {
	if r := Judge(requestHistory(nil)); !r.Clean() {
		t.Fatalf("a clean history: %+v", r.Findings)
	}
	for name, doctor := range map[string]func(e *record.Entry){
		"the sender's list has the mark": func(e *record.Entry) {
			if e.Kind == record.Listed && e.User == "ann" {
				e.List[0].Read["bob"] = 1000
			}
		},
		"a device of the sender shows the message as read": func(e *record.Entry) {
			if e.Kind == record.View && e.Device == "ann2" {
				e.Lines[0].State = "read"
			}
		},
		"another device of the reader lacks the mark": func(e *record.Entry) {
			if e.Kind == record.List && e.Device == "bob2" {
				e.List[0].Read["bob"], e.List[0].Unread = 0, 1
			}
		},
	} {
		r := Judge(requestHistory(doctor))
		for rule, n := range r.Counts {
			if rule == ReadMarks && n != 1 || rule != ReadMarks && n != 0 {
				t.Errorf("%s: %s: %d findings: %+v", name, rule, n, r.Findings)
			}
		}
	}
}
