package judge

import (
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// A record of one edit of a message: a writes, b gets it, and two pages are read.
func TestChangesInTheArchive(t *testing.T) {
	const conv, msg, edit, del = "a~b", "1.a", "2.a", "3.a"
	device := func(name, user string) record.Entry {
		return record.Entry{Kind: record.Device, Device: name, User: user}
	}
	of := func(kind record.Kind, device, id, name string, at chat.Micros, text record.Hash) record.Entry {
		return record.Entry{Kind: kind, Device: device, ID: id, Conversation: conv, Of: msg, Name: name, At: at, Text: text,
			User: "b"}
	}
	page := func(call int64, changed string, text record.Hash) []record.Entry {
		lines := []record.Line{{ID: msg, At: 10, Text: text, Changed: changed}}
		return []record.Entry{{Kind: record.Asked, Device: "b1", Conversation: conv, Call: call},
			{Kind: record.Page, Device: "b1", Conversation: conv, Call: call, Lines: lines}}
	}
	const edited, deleted = "edit,2.a,20,7", "delete,3.a,30,9"
	made := []record.Entry{device("a1", "a"), device("b1", "b"), of(record.Typed, "a1", edit, "edit", 0, 7),
		of(record.Frozen, "a1", edit, "", 20, 7), of(record.Typed, "a1", del, "delete", 0, 9),
		of(record.Frozen, "a1", del, "", 30, 9)}
	shown := []record.Entry{of(record.Shown, "b1", edit, "event", 20, 7), of(record.Shown, "b1", del, "event", 30, 9),
		{Kind: record.Acked, Device: "b1"}}
	save := func(id, kind string, at chat.Micros, text record.Hash) []record.Entry {
		return []record.Entry{of(record.Saved, "", id, kind, at, text), of(record.Stored, "", id, "", 0, 0)}
	}
	join := func(parts ...[]record.Entry) (all []record.Entry) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	saveEdit, saveDelete := save(edit, "edit", 20, 7), save(del, "delete", 30, 9)
	for name, tc := range map[string]struct {
		entries []record.Entry
		legal   bool
	}{
		"edited, then deleted": {join(made, shown, saveEdit, page(1, edited, 7), saveDelete, page(2, deleted, 9)), true},
		"saved in the other order": {join(made, shown, saveDelete, page(1, deleted, 9), saveEdit,
			page(2, deleted, 9)), true},
		"deleted, and comes back": {join(made, shown, saveEdit, saveDelete, page(1, deleted, 9),
			page(2, edited, 7)), false},
		"confirmed, and not there": {join(made, shown, saveEdit, page(1, "", 5)), false},
		"another text":             {join(made, shown, saveEdit, page(1, edited, 8)), false},
		"before anybody had it":    {join(made, saveEdit, shown, page(1, edited, 7)), false},
		"saved otherwise":          {join(made, shown, save(edit, "edit", 20, 8), page(1, "edit,2.a,20,8", 8)), false},
		"nobody made it":           {join(made, shown, save("4.a", "edit", 20, 8), page(1, "edit,4.a,20,8", 8)), false},
		"of another person": {join(made[:2], []record.Entry{of(record.Typed, "b1", "5.b", "edit", 0, 6),
			of(record.Frozen, "b1", "5.b", "", 20, 6), of(record.Shown, "b1", "5.b", "event", 20, 6),
			{Kind: record.Acked, Device: "b1"}}, save("5.b", "edit", 20, 6), page(1, "edit,5.b,20,6", 6)), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory()
			for i, e := range tc.entries {
				h.add(i, &e)
			}
			found := ""
			for p := range h.partitions() {
				if !strings.HasPrefix(p.name, "changes of") {
					continue
				}
				c := &checker{limit: partitionLimit}
				c.checkOne(0, &p)
				if found = "legal"; !c.result().OK() {
					found = "illegal"
				}
			}
			if want := map[bool]string{true: "legal", false: "illegal"}[tc.legal]; found != want {
				t.Errorf("the changes are %q, want %q", found, want)
			}
		})
	}
}
