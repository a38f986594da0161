package persist

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// change1 returns a change of a message, some time after it.
func change1(m delivery.Delivered, from string, after time.Duration, kind chat.ChangeKind,
	content string) delivery.Changed {
	at := m.At + chat.Micros(after.Microseconds())
	to := m.To
	if from == to {
		to = m.From
	}
	c := delivery.Changed{Change: chat.Change{ID: uuid.Must(uuid.NewV7()).String(), Conversation: m.Conversation,
		From: from, To: to, At: at, AcceptedAt: at, Of: chat.Target{ID: m.ID, From: m.From, At: m.At}, Kind: kind},
		DeliveredAt: at}
	if kind == chat.KindEdit {
		c.Body = content
	} else {
		c.Emoji = content
	}
	return c
}

func (f *fixture) saved(t *testing.T, m delivery.Delivered) delivery.Delivered {
	t.Helper()
	got, _, err := f.store.Message(t.Context(), m.Conversation, m.Key())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestChanges(t *testing.T) {
	f := newFixture(t)
	m := message1("ada", "bob", "one", t0)
	edit := change1(m, "ada", 2*time.Second, chat.KindEdit, "two")
	reaction := change1(m, "bob", time.Second, chat.KindReact, "👍")
	older := change1(m, "ada", time.Second, chat.KindEdit, "old")
	for _, b := range []delivery.Batch{ // in any order, repeatedly
		{Changed: []delivery.Changed{reaction}}, {Delivered: []delivery.Delivered{m}, Changed: []delivery.Changed{edit}},
		{Changed: []delivery.Changed{older}}, {Changed: []delivery.Changed{reaction}},
	} {
		if code := f.push("m", data(t, b)); code != 200 {
			t.Fatalf("status %d", code)
		}
	}
	got := f.saved(t, m)
	if got.Body != "two" || got.Changes.Reactions["bob"].Emoji != "👍" {
		t.Errorf("saved %+v", got)
	}
	list, _, err := f.store.Changed(t.Context(), "ada", chat.MicrosOf(t0), "", 10)
	if err != nil || len(list) != 1 {
		t.Errorf("%d messages changed since the time of saving, %v", len(list), err)
	}
}

// A batch of which only the changes could not be saved is delivered again.
func TestChangesThatCannotBeSaved(t *testing.T) {
	f := newFixture(t)
	m := message1("ada", "bob", "one", t0)
	b := data(t, delivery.Batch{Delivered: []delivery.Delivered{m},
		Changed: []delivery.Changed{change1(m, "ada", time.Second, chat.KindDelete, "")}})
	f.store.changesErr = problem.ErrUnavailable.WithCause(errors.New("down"))
	if code := f.push("m", b); code < 500 {
		t.Fatalf("status %d", code)
	}
	f.store.changesErr = nil
	if code := f.push("m", b); code != 200 {
		t.Fatalf("status %d", code)
	}
	if got := f.saved(t, m); got.Changes.Deleted == nil || got.Body != "" {
		t.Errorf("saved %+v", got)
	}
}

func TestMalformedChangesBecomeDeadLetters(t *testing.T) {
	m := message1("ada", "bob", "one", t0)
	for name, spoil := range map[string]func(*delivery.Changed){
		"another person's message": func(c *delivery.Changed) { c.From, c.To = "bob", "ada" },
		"unknown kind":             func(c *delivery.Changed) { c.Kind = "pin" },
		"far future":               func(c *delivery.Changed) { c.At = chat.MicrosOf(t0.Add(time.Hour)) },
		"no time":                  func(c *delivery.Changed) { c.DeliveredAt = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			bad := change1(m, "ada", time.Second, chat.KindEdit, "bad")
			good := change1(m, "ada", time.Second, chat.KindEdit, "good")
			spoil(&bad)
			if code := f.push("m1", data(t, delivery.Batch{Delivered: []delivery.Delivered{m},
				Changed: []delivery.Changed{bad, good}})); code != 200 {
				t.Fatalf("status %d", code)
			}
			if got := f.saved(t, m); got.Body != "good" {
				t.Errorf("saved %+v", got)
			}
			l := f.deadLetters(t)
			if len(l) != 1 || !strings.Contains(string(l[0].Data), bad.ID) {
				t.Fatalf("dead letters %+v", l)
			}
			// After it was repaired, it can be replayed.
			repaired := strings.NewReplacer(string(must(json.Marshal(bad))), string(must(json.Marshal(
				change1(m, "ada", 2*time.Second, chat.KindEdit, "repaired"))))).Replace(string(l[0].Data))
			if err := f.Replay(t.Context(), []byte(repaired)); err != nil {
				t.Fatal(err)
			}
			if got := f.saved(t, m); got.Body != "repaired" {
				t.Errorf("after the replay %+v", got)
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Changes that deleted people made, and those of their messages, are dropped.
func TestChangesOfErasedPeople(t *testing.T) {
	f := newFixture(t)
	for _, uid := range []string{"ada", "bob"} {
		l, err := f.store.Reserve(t.Context(), uid+"@example.org", uid, uid, "a", chat.MicrosOf(t0), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		u := store.User{UID: uid, Username: uid, Email: uid + "@example.org"}
		if err := f.store.Commit(t.Context(), l, u); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.store.BeginErase(t.Context(), "bob", chat.MicrosOf(t0)); err != nil {
		t.Fatal(err)
	}
	mine, theirs := message1("ada", "bob", "of ada", t0), message1("bob", "ada", "of bob", t0)
	b := delivery.Batch{Delivered: []delivery.Delivered{mine}, Changed: []delivery.Changed{
		change1(mine, "bob", time.Second, chat.KindReact, "👍"), change1(theirs, "ada", time.Second, chat.KindReact, "👍"),
		change1(mine, "ada", time.Second, chat.KindEdit, "edited")}}
	if code := f.push("m", data(t, b)); code != 200 {
		t.Fatalf("status %d", code)
	}
	if got := f.saved(t, mine); got.Body != "edited" || len(got.Changes.Reactions) != 0 {
		t.Errorf("saved %+v", got)
	}
	if _, err := f.store.Save(t.Context(), []delivery.Delivered{theirs}, nil); err != nil {
		t.Fatal(err)
	}
	if got := f.saved(t, theirs); !got.Changes.Empty() {
		t.Errorf("the message of a deleted person has the changes %+v", got.Changes)
	}
}
