package chat

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func newID(t *testing.T) string {
	t.Helper()
	u, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func TestCheckSend(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good := func() Message {
		return Message{ID: newID(t), From: "ann", To: "bob", Body: "hello", At: MicrosOf(now)}
	}
	v4 := uuid.New().String()
	tests := []struct {
		name   string
		change func(*Message)
		want   *problem.Error
	}{
		{"plain text", func(m *Message) {}, nil},
		{"line breaks and tabs", func(m *Message) { m.Body = "a\r\n\tb" }, nil},
		{"bidi override in a body", func(m *Message) { m.Body = "abc \u202e def" }, nil},
		{"body at the limit", func(m *Message) { m.Body = strings.Repeat("é", MaxBody) }, nil},
		{"body one past the limit", func(m *Message) { m.Body = strings.Repeat("é", MaxBody+1) }, ErrBodyTooLong},
		{"no body", func(m *Message) { m.Body = "" }, ErrBodyEmpty},
		{"only white space", func(m *Message) { m.Body = " \n\u00a0\t" }, ErrBodyEmpty},
		{"NUL", func(m *Message) { m.Body = "a\x00b" }, ErrBodyInvalid},
		{"C1 control", func(m *Message) { m.Body = "a\u0085b" }, ErrBodyInvalid},
		{"invalid UTF-8", func(m *Message) { m.Body = "a\xffb" }, ErrBodyInvalid},
		{"to oneself", func(m *Message) { m.To = m.From }, ErrSelf},
		{"no recipient", func(m *Message) { m.To = "" }, ErrRecipient},
		{"recipient with a tilde", func(m *Message) { m.To = "bob~eve" }, ErrRecipient},
		{"id of version 4", func(m *Message) { m.ID = v4 }, ErrIDInvalid},
		{"id in capitals", func(m *Message) { m.ID = strings.ToUpper(m.ID) }, ErrIDInvalid},
		{"reply to oneself", func(m *Message) { m.ReplyTo = KeyOf(m.ID, "ann") }, nil},
		{"reply to the other", func(m *Message) { m.ReplyTo = KeyOf(m.ID, "bob") }, nil},
		{"reply to nonsense", func(m *Message) { m.ReplyTo = "x" }, ErrReplyInvalid},
		{"reply to an id without a sender", func(m *Message) { m.ReplyTo = m.ID }, ErrReplyInvalid},
		{"reply to a stranger's message", func(m *Message) { m.ReplyTo = KeyOf(m.ID, "eve") }, ErrReplyInvalid},
		{"reply to an id of version 4", func(m *Message) { m.ReplyTo = KeyOf(v4, "bob") }, ErrReplyInvalid},
		{"reply to a key with more", func(m *Message) { m.ReplyTo = KeyOf(m.ID, "bob.ann") }, ErrReplyInvalid},
		{"5 s ahead", func(m *Message) { m.At = MicrosOf(now.Add(MaxAhead)) }, nil},
		{"6 s ahead", func(m *Message) { m.At = MicrosOf(now.Add(MaxAhead + time.Second)) }, ErrAtAhead},
		{"30 days old", func(m *Message) { m.At = MicrosOf(now.Add(-MaxAge)) }, nil},
		{"older than 30 days", func(m *Message) { m.At = MicrosOf(now.Add(-MaxAge - time.Second)) }, ErrAtTooOld},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := good()
			tt.change(&m)
			err := m.CheckSend(now)
			if tt.want == nil {
				if err != nil {
					t.Fatalf("CheckSend = %v, want nil", err)
				}
				return
			}
			if !errors.Is(err, tt.want) {
				t.Fatalf("CheckSend = %v, want %s", err, tt.want.Code)
			}
			if retry := problem.Of(err).RetryAfter; (retry > 0) != (tt.want == ErrAtAhead) {
				t.Errorf("RetryAfter = %v; only a message from the future may be retried", retry)
			}
		})
	}
}

// If the clock of a device is a day ahead, its client must not wait a day before the next attempt.
func TestAtAheadIsRetriedAfterAtMostAnHour(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for ahead, want := range map[time.Duration]time.Duration{
		MaxAhead + 2*time.Second: 2*time.Second + time.Millisecond,
		24 * time.Hour:           time.Hour + time.Millisecond,
	} {
		m := Message{ID: newID(t), From: "ann", To: "bob", Body: "x", At: MicrosOf(now.Add(ahead))}
		if got := problem.Of(m.CheckSend(now)).RetryAfter; got != want {
			t.Errorf("%v ahead: RetryAfter = %v, want %v", ahead, got, want)
		}
	}
}

// Two people may use one id. Their messages have different keys, and one order on every device.
func TestKey(t *testing.T) {
	uid := rapid.StringMatching(`[A-Za-z0-9_-]{1,128}`)
	ids := []string{newID(t), newID(t)}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Message {
			return Message{ID: rapid.SampledFrom(ids).Draw(t, "id of "+name), From: uid.Draw(t, name), At: 1}
		}
		a, b := draw("a"), draw("b")
		if id, from, ok := ParseKey(a.Key()); !ok || id != a.ID || from != a.From || len(a.Key()) > MaxKey {
			t.Fatalf("ParseKey(%q) = %q, %q, %v", a.Key(), id, from, ok)
		}
		if (a.Key() == b.Key()) != (a == b) {
			t.Fatalf("%q and %q", a.Key(), b.Key())
		}
		if want := a.ID < b.ID || a.ID == b.ID && a.From < b.From; a.Before(b) != want || (a.Key() < b.Key()) != want {
			t.Fatalf("%q before %q: %v, want %v", a.Key(), b.Key(), a.Before(b), want)
		}
	})
}

func TestConversationIDRoundTrip(t *testing.T) {
	uid := rapid.StringMatching(`[A-Za-z0-9_-]{1,128}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := uid.Draw(t, "a"), uid.Draw(t, "b")
		id := ConversationID(a, b)
		if id != ConversationID(b, a) {
			t.Fatal("the order of the members matters")
		}
		x, y, err := Members(id)
		if a == b {
			if err == nil {
				t.Fatal("a conversation with oneself is accepted")
			}
			return
		}
		if err != nil || ConversationID(x, y) != id {
			t.Fatalf("Members(%q) = %q, %q, %v", id, x, y, err)
		}
		if o, err := Other(id, a); err != nil || o != b {
			t.Fatalf("Other(%q, %q) = %q, %v; want %q", id, a, o, err, b)
		}
	})
}

func TestMembersRejectsInvalidIDs(t *testing.T) {
	for _, id := range []string{
		"", "a", "a~", "~b", "b~a", "a~a", "a~b~c", "a/../x~b", "a~b ", strings.Repeat("a", 129) + "~b",
	} {
		if _, _, err := Members(id); problem.Of(err) == nil || problem.Of(err).Code != "conversation_invalid" {
			t.Errorf("Members(%q) = %v, want conversation_invalid", id, err)
		}
	}
	if _, err := Other("a~b", "c"); !errors.Is(err, problem.ErrForbidden) {
		t.Errorf("Other for a stranger = %v, want forbidden", err)
	}
}

func TestDigestCoversTheFieldsOfTheSender(t *testing.T) {
	m := Message{ID: newID(t), Conversation: "ann~bob", From: "ann", To: "bob", Body: "hello", At: 1, AcceptedAt: 2}
	same := m
	same.AcceptedAt = 99
	if m.Digest() != same.Digest() || !SameContent(m, same) {
		t.Error("accepted_at changes the digest, so a repeated send would be refused")
	}
	for name, change := range map[string]func(*Message){
		"body": func(m *Message) { m.Body = "hello." }, "at": func(m *Message) { m.At++ },
		"reply_to": func(m *Message) { m.ReplyTo = m.ID }, "to": func(m *Message) { m.To = "eve" },
	} {
		o := m
		change(&o)
		if o.Digest() == m.Digest() || SameContent(o, m) {
			t.Errorf("a different %s has the same digest", name)
		}
	}
}
