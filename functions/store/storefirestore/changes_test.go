package storefirestore

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// ofAda returns a message to bob.
func ofAda(at chat.Micros, body string) delivery.Delivered {
	return delivery.Delivered{Message: chat.Message{ID: uuid.Must(uuid.NewV7()).String(), Conversation: "ada~bob",
		From: "ada", To: "bob", Body: body, At: at, AcceptedAt: at}, DeliveredAt: at}
}

// changeOf returns a change of a message by its sender.
func changeOf(m delivery.Delivered, kind chat.ChangeKind, body, emoji string) []store.MessageChanges {
	return store.SumChanges([]delivery.Changed{{Change: chat.Change{ID: uuid.Must(uuid.NewV7()).String(),
		Conversation: m.Conversation, From: m.From, To: m.To, At: m.At + 1,
		Of: chat.Target{ID: m.ID, From: m.From, At: m.At}, Kind: kind, Body: body, Emoji: emoji}}})
}

// A change that is saved between the two writes of a save, or between its read of a message that exists and its last
// write, leaves no old text in the preview.
func TestChangeDuringSave(t *testing.T) {
	for _, tt := range []struct {
		name  string
		late  bool // the message was saved before, and a newer one, too
		kind  chat.ChangeKind
		body  string
		shown string
	}{
		{"an edit during the first save", false, chat.KindEdit, "new", "new"},
		{"a deletion during the first save", false, chat.KindDelete, "", ""},
		{"an edit during a late save", true, chat.KindEdit, "new", "newest"},
		{"a deletion during a late save", true, chat.KindDelete, "", "newest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, m := metered(t)
			d := ofAda(100, "old")
			if tt.late {
				for _, d := range []delivery.Delivered{d, ofAda(200, "newest")} {
					if _, err := s.Save(t.Context(), []delivery.Delivered{d}, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			saves := 0
			m.beforeBatch = func() {
				if saves++; saves == 2 {
					if err := s.SaveChanges(t.Context(), changeOf(d, tt.kind, tt.body, ""), 1000); err != nil {
						t.Error(err)
					}
				}
			}
			if _, err := s.Save(t.Context(), []delivery.Delivered{d}, nil); err != nil {
				t.Fatal(err)
			}
			if saves != 2 {
				t.Fatalf("%d batches of writes, want 2", saves)
			}
			var c conversationDoc
			if _, err := get(t.Context(), s.conversation(d.Conversation), &c); err != nil {
				t.Fatal(err)
			}
			if c.Preview.Text != tt.shown {
				t.Errorf("the preview that is stored is %q, want %q", c.Preview.Text, tt.shown)
			}
			list, _, err := s.Conversations(t.Context(), "bob", "", 10)
			if err != nil {
				t.Fatal(err)
			}
			if list[0].Preview.Text != tt.shown {
				t.Errorf("the preview in the list is %q, want %q", list[0].Preview.Text, tt.shown)
			}
		})
	}
}

// A preview that a save has overwritten with an older text, and not repaired yet, is not shown.
func TestListIgnoresAnAlteredPreview(t *testing.T) {
	s, _ := metered(t)
	d := ofAda(100, "old")
	if _, err := s.Save(t.Context(), []delivery.Delivered{d}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveChanges(t.Context(), changeOf(d, chat.KindDelete, "", ""), 1000); err != nil {
		t.Fatal(err)
	}
	w, err := s.mergeConversation(d.Conversation, &change{newest: &d})
	if err == nil {
		_, err = s.writeAll(t.Context(), []write{w})
	}
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := s.Conversations(t.Context(), "bob", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if list[0].Preview.Text != "" {
		t.Errorf("the list shows the deleted text %q", list[0].Preview.Text)
	}
}

// A reaction costs a read and a write, an edit or a deletion two of each, and a repeat a read. A message with a stub
// costs a read and a write more.
func TestCostOfChange(t *testing.T) {
	s, m := metered(t)
	d := ofAda(100, "m")
	costs := func(what string, reads, writes int, f func(context.Context) error) {
		t.Helper()
		m.mu.Lock()
		m.reads, m.writes = 0, 0
		m.mu.Unlock()
		if err := f(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.reads != reads || m.writes != writes {
			t.Errorf("%s costs %d reads and %d writes, want %d and %d", what, m.reads, m.writes, reads, writes)
		}
	}
	save := func(d delivery.Delivered) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.Save(ctx, []delivery.Delivered{d}, nil)
			return err
		}
	}
	change := func(sum []store.MessageChanges) func(context.Context) error {
		return func(ctx context.Context) error { return s.SaveChanges(ctx, sum, 1000) }
	}
	costs("a message", 0, 2, save(d))
	reaction := changeOf(d, chat.KindReact, "", "👍")
	costs("a reaction", 1, 1, change(reaction))
	costs("a repeat", 1, 0, change(reaction))
	costs("an edit", 2, 2, change(changeOf(d, chat.KindEdit, "new", "")))
	costs("a deletion", 2, 2, change(changeOf(d, chat.KindDelete, "", "")))
	costs("a message after all of them", 0, 2, save(ofAda(200, "next")))
	early := ofAda(300, "late")
	costs("a change before its message", 1, 1, change(changeOf(early, chat.KindEdit, "new", "")))
	costs("a message with a stub", 2, 3, save(early))
}
