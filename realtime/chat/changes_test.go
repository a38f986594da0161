package chat

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// goldenChanges is a case of testdata/changes.json, which the client reads too. In any order, the changes of the
// message with the key and the stored sums amount to want, and the message then has the body.
type goldenChanges struct {
	Name, Key, Sent, Body string
	Changes               []Change
	Stored                []Changes
	Want                  Changes
}

func (g goldenChanges) parts() []Changes {
	parts := g.Stored
	for _, c := range g.Changes {
		if c.Of.Key() == g.Key {
			parts = append(parts, c.Changes())
		}
	}
	return parts
}

func TestGoldenChanges(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "changes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden []goldenChanges
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	for _, g := range golden {
		t.Run(g.Name, func(t *testing.T) {
			permute(g.parts(), func(parts []Changes) {
				var got Changes
				for _, p := range parts {
					got = got.Merge(p)
				}
				if !got.Equal(g.Want) {
					t.Errorf("the changes %+v amount to %+v, want %+v", parts, got, g.Want)
				}
				for _, p := range parts { // each of them once more
					if again := got.Merge(p); !again.Equal(got) {
						t.Errorf("a repeat of %+v makes %+v of %+v", p, again, got)
					}
				}
				if body := got.Body(g.Sent); body != g.Body {
					t.Errorf("the body is %q, want %q", body, g.Body)
				}
			})
		})
	}
}

// permute calls f with list in every order.
func permute[T any](list []T, f func([]T)) {
	var step func(n int)
	step = func(n int) {
		if n == len(list) {
			f(list)
			return
		}
		for i := n; i < len(list); i++ {
			list[n], list[i] = list[i], list[n]
			step(n + 1)
			list[n], list[i] = list[i], list[n]
		}
	}
	step(0)
}

// someChanges draws the sum of a few changes that often have equal places.
func someChanges(t *rapid.T, name string) Changes {
	change := rapid.Custom(func(t *rapid.T) Change {
		from := rapid.SampledFrom([]string{"ann", "ben"}).Draw(t, "from")
		return Change{ID: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id"), Conversation: "ann~ben", From: from,
			At: Micros(rapid.IntRange(1, 3).Draw(t, "at")), Of: Target{From: "ann"},
			Kind:  rapid.SampledFrom([]ChangeKind{KindEdit, KindEdit, KindReact, KindReact, KindDelete}).Draw(t, "kind"),
			Body:  rapid.SampledFrom([]string{"x", "y", "\uff5e", "😀"}).Draw(t, "body"),
			Emoji: rapid.SampledFrom([]string{"", "👍", "🎉"}).Draw(t, "emoji")}
	})
	var sum Changes
	for _, c := range rapid.SliceOfN(change, 0, 4).Draw(t, name) {
		sum = sum.Merge(c.Changes())
	}
	return sum
}

func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := someChanges(t, "a"), someChanges(t, "b"), someChanges(t, "c")
		if ab, ba := a.Merge(b), b.Merge(a); !ab.Equal(ba) {
			t.Fatalf("not commutative: %+v, %+v", ab, ba)
		}
		if left, right := a.Merge(b).Merge(c), a.Merge(b.Merge(c)); !left.Equal(right) {
			t.Fatalf("not associative: %+v, %+v", left, right)
		}
		if aa := a.Merge(a); !aa.Equal(a) {
			t.Fatalf("not idempotent: %+v becomes %+v", a, aa)
		}
		if !a.Merge(Changes{}).Equal(a) {
			t.Fatalf("nothing changes %+v", a)
		}
	})
}

func TestCheckSendOfChanges(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := newID(t)
	good := func(kind ChangeKind) Change {
		c := Change{ID: newID(t), From: "ann", To: "ben", At: MicrosOf(now), Of: Target{id, "ann", MicrosOf(now) - 1},
			Kind: kind}
		switch kind {
		case KindEdit:
			c.Body = "hello"
		case KindReact:
			c.Emoji = "👍"
		}
		return c
	}
	for _, tt := range []struct {
		name   string
		kind   ChangeKind
		change func(*Change)
		want   *problem.Error
	}{
		{"an edit", KindEdit, func(*Change) {}, nil},
		{"a deletion", KindDelete, func(*Change) {}, nil},
		{"a reaction", KindReact, func(*Change) {}, nil},
		{"a reaction to the other's message", KindReact, func(c *Change) { c.Of.From = "ben" }, nil},
		{"a withdrawal", KindReact, func(c *Change) { c.Emoji = "" }, nil},
		{"an edit at the limit", KindEdit, func(c *Change) { c.Body = strings.Repeat("é", MaxBody) }, nil},
		{"an edit of the other's message", KindEdit, func(c *Change) { c.Of.From = "ben" }, ErrChangeForbidden},
		{"a deletion of the other's message", KindDelete, func(c *Change) { c.Of.From = "ben" }, ErrChangeForbidden},
		{"a stranger's message", KindReact, func(c *Change) { c.Of.From = "eve" }, ErrChangeInvalid},
		{"a message id of version 4", KindReact, func(c *Change) { c.Of.ID = uuid.NewString() }, ErrChangeInvalid},
		{"as old as its message", KindEdit, func(c *Change) { c.Of.At = c.At }, ErrChangeTooEarly},
		{"older than its message", KindReact, func(c *Change) { c.Of.At = c.At + 1 }, ErrChangeTooEarly},
		{"a message without a time", KindReact, func(c *Change) { c.Of.At = 0 }, ErrChangeTooEarly},
		{"an unknown kind", "pin", func(*Change) {}, ErrKindUnknown},
		{"no kind", "", func(*Change) {}, ErrKindUnknown},
		{"an edit to nothing", KindEdit, func(c *Change) { c.Body = "" }, ErrBodyEmpty},
		{"an edit past the limit", KindEdit, func(c *Change) { c.Body = strings.Repeat("é", MaxBody+1) }, ErrBodyTooLong},
		{"an edit with a NUL", KindEdit, func(c *Change) { c.Body = "a\x00b" }, ErrBodyInvalid},
		{"an edit with an emoji", KindEdit, func(c *Change) { c.Emoji = "👍" }, ErrChangeInvalid},
		{"a deletion with a body", KindDelete, func(c *Change) { c.Body = "x" }, ErrChangeInvalid},
		{"a reaction with a body", KindReact, func(c *Change) { c.Body = "x" }, ErrChangeInvalid},
		{"200 code points", KindReact, func(c *Change) { c.Emoji = strings.Repeat("👍", 200) }, ErrEmojiInvalid},
		{"letters", KindReact, func(c *Change) { c.Emoji = "ok" }, ErrEmojiInvalid},
		{"an id of version 4", KindReact, func(c *Change) { c.ID = uuid.NewString() }, ErrIDInvalid},
		{"to oneself", KindReact, func(c *Change) { c.To = c.From }, ErrSelf},
		{"no recipient", KindReact, func(c *Change) { c.To = "" }, ErrRecipient},
		{"6 s ahead", KindReact, func(c *Change) { c.At = MicrosOf(now.Add(MaxAhead + time.Second)) }, ErrAtAhead},
		{"older than 30 days", KindReact, func(c *Change) {
			c.At = MicrosOf(now.Add(-MaxAge - time.Second))
			c.Of.At = c.At - 1
		}, ErrAtTooOld},
	} {
		c := good(tt.kind)
		tt.change(&c)
		err := c.CheckSend(now)
		if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestDigestOfChanges(t *testing.T) {
	c := Change{ID: "i", Conversation: "ann~ben", From: "ann", To: "ben", At: 2, Of: Target{"m", "ann", 1}, Kind: KindEdit,
		Body: "b", Emoji: "e"}
	accepted := c
	accepted.AcceptedAt = 7
	if accepted.Digest() != c.Digest() {
		t.Error("the digest depends on accepted_at")
	}
	for name, change := range map[string]func(*Change){
		"id": func(c *Change) { c.ID = "j" }, "conversation": func(c *Change) { c.Conversation = "ann~bob" },
		"from": func(c *Change) { c.From = "x" }, "to": func(c *Change) { c.To = "x" }, "at": func(c *Change) { c.At++ },
		"of.id": func(c *Change) { c.Of.ID = "x" }, "of.from": func(c *Change) { c.Of.From = "x" },
		"of.at": func(c *Change) { c.Of.At++ }, "kind": func(c *Change) { c.Kind = KindReact },
		"body": func(c *Change) { c.Body = "x" }, "emoji": func(c *Change) { c.Emoji = "x" },
	} {
		o := c
		change(&o)
		if o.Digest() == c.Digest() {
			t.Errorf("the digest does not cover %s", name)
		}
	}
}

func TestValidEmoji(t *testing.T) {
	for s, want := range map[string]bool{
		"👍": true, "👍🏽": true, "❤️": true, "👩‍👩‍👧‍👦": true, "🏴󠁧󠁢󠁳󠁣󠁴󠁿": true, "🇩🇪": true, "1️⃣": true,
		"": false, "a": false, "1": false, "👍👍": false, "👍 ": false, "🏽": false, "🦰": false, "🇩": false,
		"❤":       false, // unqualified
		"👍\ufe0f": false, // with a variation selector that the sequence does not have
	} {
		if ValidEmoji(s) != want {
			t.Errorf("ValidEmoji(%+q) = %v", s, !want)
		}
	}
	if n := len(emoji()); n != 3944 {
		t.Errorf("the table has %d emoji, emoji-test.txt of Unicode 17.0 has 3944", n)
	}
}
