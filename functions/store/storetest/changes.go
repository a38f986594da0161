package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// changeOf returns a change of a message by one of its two people.
func changeOf(m delivery.Delivered, from string, at chat.Micros, kind chat.ChangeKind,
	content string) delivery.Changed {
	id := message("x", "y", 0, "").ID
	to := m.To
	if from == m.To {
		to = m.From
	}
	c := delivery.Changed{Change: chat.Change{ID: id, Conversation: m.Conversation, From: from, To: to, At: at,
		AcceptedAt: at, Of: chat.Target{ID: m.ID, From: m.From, At: m.At}, Kind: kind}, DeliveredAt: at}
	if kind == chat.KindEdit {
		c.Body = content
	} else {
		c.Emoji = content
	}
	return c
}

// saveChanges saves changes at a time.
func saveChanges(t *testing.T, s store.Store, now chat.Micros, list ...delivery.Changed) {
	t.Helper()
	must(t, s.SaveChanges(context.Background(), store.SumChanges(list), now))
}

// saved returns the message with a key, and whether it is saved.
func saved(t *testing.T, s store.Store, m delivery.Delivered) (delivery.Delivered, bool) {
	t.Helper()
	got, ok, err := s.Message(context.Background(), m.Conversation, m.Key())
	must(t, err)
	return got, ok
}

// changed returns the messages that changed since a time, for a user.
func changed(t *testing.T, s store.Store, uid string, since chat.Micros) []delivery.Delivered {
	t.Helper()
	return everything(t, func(cursor string) ([]delivery.Delivered, string, error) {
		return s.Changed(context.Background(), uid, since, cursor, 2)
	})
}

// preview returns the preview of the only conversation of a user.
func preview(t *testing.T, s store.Store, uid string) store.Preview {
	t.Helper()
	list, _, err := s.Conversations(context.Background(), uid, "", 10)
	must(t, err)
	equal(t, "the number of conversations", len(list), 1)
	return list[0].Preview
}

// testChangesGolden saves the changes of the golden cases one by one, then once more, with the message at each place
// among them.
func testChangesGolden(t *testing.T, s store.Store) {
	_, file, _, _ := runtime.Caller(0)
	data, err := os.ReadFile(filepath.Join(filepath.Dir(file), "../../../realtime/chat/testdata/changes.json"))
	must(t, err)
	var raw []json.RawMessage
	must(t, json.Unmarshal(data, &raw))
	type golden struct {
		Name, Key, Sent, Body string
		Changes               []chat.Change
		Stored                []chat.Changes
		Want                  chat.Changes
	}
	for n, entry := range raw {
		var g golden
		must(t, json.Unmarshal(entry, &g))
		for place := range len(g.Changes) + len(g.Stored) + 1 {
			var own golden // with people of its own
			suffix := fmt.Sprintf("-%d-%d", n, place)
			must(t, json.Unmarshal([]byte(strings.NewReplacer("ann", "ann"+suffix, "ben", "ben"+suffix).Replace(
				string(entry))), &own))
			id, from, _ := chat.ParseKey(own.Key)
			a, b := "ann"+suffix, "ben"+suffix
			to := a
			if from == a {
				to = b
			}
			m := withID(id, from, to, t0, "hello")
			var parts []store.MessageChanges
			for _, c := range own.Changes {
				parts = append(parts, store.SumChanges([]delivery.Changed{{Change: c}})...)
			}
			for _, sum := range own.Stored {
				parts = append(parts, store.MessageChanges{Conversation: m.Conversation, Key: own.Key, Sum: sum})
			}
			for range 2 {
				for i, part := range parts {
					if i == place {
						save(t, s, []delivery.Delivered{m}, nil)
					}
					must(t, s.SaveChanges(context.Background(), []store.MessageChanges{part}, t0))
				}
				save(t, s, []delivery.Delivered{m}, nil)
			}
			got, _ := saved(t, s, m)
			want := m
			want.Changes, want.Body = own.Want, own.Body
			equal(t, fmt.Sprintf("%s, with the message at place %d", own.Name, place), got, want)
		}
	}
}

func testStubs(t *testing.T, s store.Store) {
	ctx := context.Background()
	m, other := message("ada", "bob", t0, "secret"), message("ada", "bob", t0+1, "first")
	saveChanges(t, s, t0, changeOf(m, "bob", t0+2, chat.KindReact, "👍"),
		changeOf(other, "ada", t0+2, chat.KindEdit, "edited"))
	saveChanges(t, s, t0, changeOf(m, "ada", t0+3, chat.KindDelete, ""))
	nothing := func() {
		t.Helper()
		page, more, err := s.Messages(ctx, "ada~bob", store.Position{}, 10)
		must(t, err)
		equal(t, "the history", len(page), 0)
		equal(t, "there is more", more, false)
		page, _, err = s.Messages(ctx, "ada~bob", store.Position{At: t0 + day}, 10)
		must(t, err)
		equal(t, "the history before a time", len(page), 0)
		_, ok := saved(t, s, m)
		equal(t, "the message is saved", ok, false)
		n, err := s.MessagesOn(ctx, "2026-03-01")
		must(t, err)
		equal(t, "messages on the day", n, int64(0))
		for _, uid := range []string{"ada", "bob"} {
			list, _, err := s.Conversations(ctx, uid, "", 10)
			must(t, err)
			equal(t, "the conversations", len(list), 0)
			equal(t, "what changed", len(changed(t, s, uid, 0)), 0)
		}
		writers, err := s.Writers(ctx, "ada~bob")
		must(t, err)
		equal(t, "the writers", len(writers), 0)
	}
	nothing()
	saveChanges(t, s, t0+day) // nothing
	nothing()

	equal(t, "what it kept", len(save(t, s, []delivery.Delivered{m, other}, nil)), 0)
	got, _ := saved(t, s, m)
	equal(t, "the body of a message that was deleted before it was saved", got.Body, "")
	equal(t, "whether it is deleted", got.Changes.Deleted != nil, true)
	got, _ = saved(t, s, other)
	equal(t, "the body of a message that was edited before it was saved", got.Body, "edited")
	equal(t, "the preview", preview(t, s, "bob").Text, "edited")
	n, err := s.MessagesOn(ctx, "2026-03-01")
	must(t, err)
	equal(t, "messages on the day", n, int64(2))
	equal(t, "what changed", len(changed(t, s, "bob", t0+day)), 2) // devices that looked earlier learn of it
	// A stub has no end after its message has come.
	saveChanges(t, s, t0+400*day, changeOf(message("x", "y", t0, ""), "x", t0+1, chat.KindReact, "👍"))
	_, ok := saved(t, s, m)
	equal(t, "the message is still saved", ok, true)
}

func testChangedPreviews(t *testing.T, s store.Store) {
	first, newest := message("ada", "bob", t0, "first"), message("bob", "ada", t0+10, "newest")
	save(t, s, []delivery.Delivered{first, newest}, nil)
	saveChanges(t, s, t0, changeOf(newest, "ada", t0+11, chat.KindReact, "👍"))
	equal(t, "the preview after a reaction", preview(t, s, "ada"), store.PreviewOf(newest.Message))
	saveChanges(t, s, t0, changeOf(first, "ada", t0+12, chat.KindEdit, "old news"))
	equal(t, "the preview after an edit of an older message", preview(t, s, "ada"), store.PreviewOf(newest.Message))
	edit := changeOf(newest, "bob", t0+13, chat.KindEdit, "edited")
	saveChanges(t, s, t0, edit)
	want := store.PreviewOf(newest.Message)
	want.Text = "edited"
	for range 2 {
		equal(t, "the preview after an edit", preview(t, s, "bob"), want)
		save(t, s, []delivery.Delivered{newest}, nil) // a save that is late
	}
	saveChanges(t, s, t0, changeOf(newest, "bob", t0+14, chat.KindDelete, ""))
	want.Text = ""
	for range 2 {
		equal(t, "the preview after a deletion", preview(t, s, "ada"), want)
		saveChanges(t, s, t0, edit)
		save(t, s, []delivery.Delivered{newest, first}, nil)
	}
	last := message("ada", "bob", t0+20, "last")
	save(t, s, []delivery.Delivered{last}, nil)
	equal(t, "the preview after a new message", preview(t, s, "ada"), store.PreviewOf(last.Message))
}

func testChangedUnread(t *testing.T, s store.Store) {
	a, b := message("ada", "bob", t0, "a"), message("ada", "bob", t0+1, "b")
	save(t, s, []delivery.Delivered{a, b}, nil)
	saveChanges(t, s, t0, changeOf(a, "ada", t0+2, chat.KindDelete, ""), changeOf(b, "ada", t0+2, chat.KindEdit, "c"))
	list, _, err := s.Conversations(context.Background(), "bob", "", 10)
	must(t, err)
	equal(t, "unread messages", list[0].Unread, 2)
	equal(t, "last_at", list[0].LastAt, t0+1)
}

func testChangedAndSaved(t *testing.T, s store.Store) {
	edited, deleted := message("ada", "bob", t0, "edited"), message("ada", "bob", t0+1, "deleted")
	save(t, s, []delivery.Delivered{edited, deleted}, nil)
	saveChanges(t, s, t0, changeOf(edited, "ada", t0+2, chat.KindEdit, "new"),
		changeOf(deleted, "ada", t0+2, chat.KindDelete, ""))
	other := edited
	other.Body = "yet another"
	forged := deleted
	forged.Body, forged.At = "again", t0+9
	equal(t, "what it kept", len(save(t, s, []delivery.Delivered{edited, deleted, other, forged}, nil)), 0)
	moved := edited
	moved.At = t0 + 9
	kept := save(t, s, []delivery.Delivered{moved}, nil)
	equal(t, "what it kept of another time", len(kept), 1)
	equal(t, "its body", kept[0].Body, "new")
	equal(t, "its time", kept[0].At, t0)
	page, _, err := s.Messages(context.Background(), "ada~bob", store.Position{}, 10)
	must(t, err)
	equal(t, "the history", bodies(page), []string{"new", ""})
}

func testChanged(t *testing.T, s store.Store) {
	ctx := context.Background()
	var ms []delivery.Delivered
	for i := range 5 {
		ms = append(ms, message("ada", fmt.Sprintf("u%d", i%2), t0+chat.Micros(i), "m"))
	}
	save(t, s, ms, nil)
	equal(t, "what changed", len(changed(t, s, "ada", 0)), 0)
	for i, m := range ms[:4] {
		saveChanges(t, s, t0+chat.Micros(10*i), changeOf(m, "ada", t0+10, chat.KindEdit, fmt.Sprint(i)))
	}
	equal(t, "all of ada", bodies(changed(t, s, "ada", 0)), []string{"0", "1", "2", "3"})
	equal(t, "all of u0", bodies(changed(t, s, "u0", 0)), []string{"0", "2"})
	equal(t, "since a time", bodies(changed(t, s, "ada", t0+20)), []string{"2", "3"})
	equal(t, "since later", len(changed(t, s, "ada", t0+31)), 0)
	equal(t, "of a third person", len(changed(t, s, "eve", 0)), 0)
	// A change moves its message to the end, and one that has no effect does not.
	saveChanges(t, s, t0+100, changeOf(ms[1], "u1", t0+11, chat.KindReact, "👍"),
		changeOf(ms[2], "ada", t0+5, chat.KindEdit, "older"))
	equal(t, "after another change", bodies(changed(t, s, "ada", 0)), []string{"0", "2", "3", "1"})
	saveChanges(t, s, t0+50, changeOf(ms[1], "u1", t0+12, chat.KindReact, "")) // by a clock that is behind
	equal(t, "after one by another clock", bodies(changed(t, s, "ada", t0+100)), []string{"1"})
	for since, want := range map[chat.Micros]int{0: 4, t0 + 100: 1, t0 + 101: 0} {
		n, err := s.CountChanged(ctx, "ada", since)
		must(t, err)
		equal(t, "the number of messages that changed", n, want)
	}
	_, next, err := s.Changed(ctx, "ada", 0, "", 1)
	must(t, err)
	_, _, err = s.Changed(ctx, "u0", 0, next, 1)
	mustBe(t, err, store.ErrCursor)
	meter := reads(func(ctx context.Context) { _, _, err = s.Changed(ctx, "ada", 0, "", 10) })
	must(t, err)
	equal(t, "documents read for four messages", meter, int64(4))
}

// reads returns how many documents f reads.
func reads(f func(context.Context)) int64 {
	ctx, m := store.WithMeter(context.Background())
	f(ctx)
	return m.Read()
}

// Saves of a message and of its changes at the same time end with the same content, whatever comes first.
func testChangesAtOnce(t *testing.T, s store.Store) {
	for i := range 2 {
		to := fmt.Sprintf("bob%d", i)
		m := message("ada", to, t0, "first")
		list := []delivery.Changed{changeOf(m, to, t0+1, chat.KindReact, "👍"),
			changeOf(m, "ada", t0+2, chat.KindEdit, "second")}
		if i == 1 {
			list[0] = changeOf(m, "ada", t0+1, chat.KindDelete, "")
		}
		want := m
		for _, c := range list {
			want = store.WithChanges(want, want.Changes.Merge(c.Changes()))
		}
		errs := make(chan error, len(list)+1)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.Save(context.Background(), []delivery.Delivered{m}, nil)
			errs <- err
		})
		for _, c := range list {
			wg.Go(func() {
				errs <- s.SaveChanges(context.Background(), store.SumChanges([]delivery.Changed{c}), t0)
			})
		}
		wg.Wait()
		for range cap(errs) {
			must(t, <-errs)
		}
		got, _ := saved(t, s, m)
		equal(t, "the message", got, want)
		equal(t, "the preview", preview(t, s, to).Text, want.Body)
	}
}

func testChangesErased(t *testing.T, s store.Store) {
	for _, n := range []string{"ada", "eve"} {
		addUser(t, s, n, n, t0)
	}
	m := message("ada", "eve", t0, "ada's")
	mine := message("eve", "ada", t0+1, "eve's")
	stubOfMine, stubOfAda := message("eve", "ada", t0+2, "a"), message("ada", "eve", t0+3, "b")
	edited := message("ada", "eve", t0+4, "c")
	save(t, s, []delivery.Delivered{m, mine}, nil)
	saveChanges(t, s, t0, changeOf(m, "eve", t0+5, chat.KindReact, "👍"), changeOf(m, "ada", t0+6, chat.KindReact, "🎉"),
		changeOf(mine, "eve", t0+5, chat.KindEdit, "new"), changeOf(stubOfMine, "eve", t0+6, chat.KindEdit, "secret"),
		changeOf(stubOfAda, "eve", t0+6, chat.KindReact, "👍"),
		changeOf(edited, "ada", t0+6, chat.KindEdit, "kept"), changeOf(edited, "eve", t0+7, chat.KindReact, "👍"))
	_, err := s.BeginErase(context.Background(), "eve", t0+9)
	must(t, err)
	for range 2 {
		must(t, s.EraseContent(context.Background(), "eve"))
	}
	got, _ := saved(t, s, m)
	equal(t, "who has reacted", len(got.Changes.Reactions), 1)
	equal(t, "ada's reaction", got.Changes.Reactions["ada"].Emoji, "🎉")
	equal(t, "what changed", len(changed(t, s, "ada", 0)), 1)
	// The messages would have shown what their stubs held.
	save(t, s, []delivery.Delivered{stubOfMine, stubOfAda, edited}, nil)
	for m, want := range map[string]delivery.Delivered{"a": stubOfMine, "b": stubOfAda} {
		got, _ := saved(t, s, want)
		equal(t, "the message "+m, got, want)
	}
	got, _ = saved(t, s, edited)
	equal(t, "the body of a message whose stub had more", got.Body, "kept")
	equal(t, "its reactions", len(got.Changes.Reactions), 0)
}
