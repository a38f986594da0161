package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
)

func testSave(t *testing.T, s store.Store) {
	ctx := context.Background()
	m := message("ada", "bob", t0, "first\nline ☂ <b>")
	answer := message("bob", "ada", t0+second, "second")
	answer.ReplyTo = m.Key()
	for range 2 {
		save(t, s, []delivery.Delivered{message(prober.A, prober.B, t0, "a probe, which is not counted")}, nil)
		save(t, s, []delivery.Delivered{m, answer, m},
			[]delivery.Read{{Conversation: "ada~bob", By: "bob", At: t0}})
	}
	// A message with an id that exists does not change anything.
	forged := m
	forged.Body, forged.At = "other words", t0+5*second
	equal(t, "what it kept", save(t, s, []delivery.Delivered{forged}, nil), []delivery.Delivered{m})

	page, more, err := s.Messages(ctx, "ada~bob", store.Position{}, 10)
	must(t, err)
	equal(t, "the history", page, []delivery.Delivered{m, answer})
	equal(t, "there is more", more, false)
	for _, uid := range []string{"ada", "bob"} {
		list, next, err := s.Conversations(ctx, uid, "", 10)
		must(t, err)
		equal(t, "the end", next, "")
		equal(t, "the number of conversations", len(list), 1)
		c := list[0]
		equal(t, "the conversation's id", c.ID, "ada~bob")
		equal(t, "its read marks", c.Read, map[string]chat.Micros{"bob": t0})
		equal(t, "its preview", c.Preview, store.PreviewOf(answer.Message))
	}
	n, err := s.MessagesOn(ctx, "2026-03-01")
	must(t, err)
	equal(t, "messages on the day", n, int64(2))
	n, err = s.MessagesOn(ctx, "2026-03-02")
	must(t, err)
	equal(t, "messages on the next", n, int64(0))
	save(t, s, nil, nil)
}

// A message is identified by its conversation, its sender and its id. The other member may use the id as well, before
// or after, and so may a third person in another conversation: nobody can keep a message of another out of the
// archive.
func testIDsOfOthers(t *testing.T, s store.Store) {
	ctx := context.Background()
	m := message("ada", "bob", t0, "ada's")
	theirs := withID(m.ID, "bob", "ada", t0, "bob's") // with the same At: the key decides
	third := withID(m.ID, "cyd", "ada", t0-second, "cyd's")
	fourth := withID(m.ID, "ada", "cyd", t0+second, "ada's to cyd")
	later := withID(message("x", "y", 0, "").ID, "bob", "ada", t0+3*second, "bob's later") // the other one comes first
	toAda, toBob := message("bob", "ada", t0+4*second, "reply to ada"), message("ada", "bob", t0+5*second, "reply to bob")
	toAda.ReplyTo, toBob.ReplyTo = m.Key(), theirs.Key()
	earlier := withID(later.ID, "ada", "bob", t0+2*second, "ada's earlier")
	for range 2 {
		for _, part := range [][]delivery.Delivered{{theirs, third}, {m, fourth}, {later, earlier}, {toAda, toBob}} {
			equal(t, "what it kept", len(save(t, s, part, nil)), 0)
		}
	}
	want := []delivery.Delivered{m, theirs, earlier, later, toAda, toBob}
	page, more, err := s.Messages(ctx, "ada~bob", store.Position{}, 10)
	must(t, err)
	equal(t, "the history", page, want)
	equal(t, "there is more", more, false)
	for _, limit := range []int{1, 2, 3, 5} { // pages end between two messages with one id and one At, or have both
		var got []delivery.Delivered
		for pos, more := (store.Position{}), true; more; {
			page, more, err = s.Messages(ctx, "ada~bob", pos, limit)
			must(t, err)
			pos = store.Position{At: page[0].At, Key: page[0].Key()}
			got = append(page, got...)
		}
		equal(t, fmt.Sprintf("the history in pages of %d", limit), got, want)
	}
	for _, want := range []delivery.Delivered{m, theirs, third, fourth} {
		got, saved, err := s.Message(ctx, want.Conversation, want.Key())
		must(t, err)
		equal(t, "is saved", saved, true)
		equal(t, "the message of a key", got, want)
	}
	for _, other := range [][2]string{{"ada~bob", third.Key()}, {"ada~dan", m.Key()}, {"ada~bob", m.ID + ".dan"}} {
		got, saved, err := s.Message(ctx, other[0], other[1])
		must(t, err)
		equal(t, "is saved", saved, false)
		equal(t, "the message of an unknown key", got, delivery.Delivered{})
	}
	page, _, err = s.Messages(ctx, "ada~cyd", store.Position{}, 10)
	must(t, err)
	equal(t, "the history with a third person", page, []delivery.Delivered{third, fourth})
	list, _, err := s.Conversations(ctx, "ada", "", 10)
	must(t, err)
	equal(t, "unread of ada", []int{list[0].Unread, list[1].Unread}, []int{3, 1})
	equal(t, "the preview", list[0].Preview, store.PreviewOf(toBob.Message))
	n, err := s.MessagesOn(ctx, "2026-03-01")
	must(t, err)
	equal(t, "messages on the day", n, int64(8))
}

// Only what the user wrote is erased, although the other member used the same ids.
func testIDsOfOthersErased(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	m := message("ada", "bob", t0, "ada's")
	theirs := withID(m.ID, "bob", "ada", t0, "bob's")
	save(t, s, []delivery.Delivered{m, theirs}, nil)
	_, err := s.BeginErase(ctx, "ada", t0)
	must(t, err)
	must(t, s.EraseContent(ctx, "ada"))
	page, _, err := s.Messages(ctx, "ada~bob", store.Position{}, 10)
	must(t, err)
	equal(t, "the history", page, []delivery.Delivered{theirs})
	list, _, err := s.Conversations(ctx, "bob", "", 10)
	must(t, err)
	equal(t, "the preview", list[0].Preview, store.PreviewOf(theirs.Message))
}

// The store keeps the first content of a message. Save returns it for each message with another content, in the same
// call or a later one, so that the caller can correct devices. It returns nothing for a repeat with the same content,
// even if the repeat was accepted at another time.
func testOtherContent(t *testing.T, s store.Store) {
	ctx := context.Background()
	m := message("ada", "bob", t0, "first")
	again := m
	again.AcceptedAt, again.DeliveredAt = m.AcceptedAt+second, m.DeliveredAt+second
	equal(t, "what it kept of a repeat", len(save(t, s, []delivery.Delivered{m, again, m}, nil)), 0)
	equal(t, "what it kept of a later repeat", len(save(t, s, []delivery.Delivered{again}, nil)), 0)
	for name, change := range map[string]func(*delivery.Delivered){
		"body":     func(d *delivery.Delivered) { d.Body = "second" },
		"at":       func(d *delivery.Delivered) { d.At++ },
		"reply_to": func(d *delivery.Delivered) { d.ReplyTo = m.Key() },
	} {
		other := m
		change(&other)
		for range 2 {
			kept := save(t, s, []delivery.Delivered{other, message("ada", "bob", t0+second, "beside it"), other, m}, nil)
			equal(t, "what it kept with another "+name, kept, []delivery.Delivered{m})
		}
	}
	n := message("ada", "bob", t0+2*second, "newest")
	other := n
	other.Body, other.At = "not saved", n.At+day
	equal(t, "what it kept within a call", save(t, s, []delivery.Delivered{n, other}, nil), []delivery.Delivered{n})
	list, _, err := s.Conversations(ctx, "ada", "", 10)
	must(t, err)
	equal(t, "the preview", list[0].Preview, store.PreviewOf(n.Message))
	equal(t, "last_at", list[0].LastAt, n.At)
}

// However messages and read marks are split, repeated and shuffled, the result is the same.
func testSaveAnyOrder(t *testing.T, s store.Store) {
	ctx := context.Background()
	var all []delivery.Delivered
	var read []delivery.Read
	for i := range 12 {
		from, to := "ada", "bob"
		if i%3 == 0 {
			from, to = to, from
		}
		// pairs have the same At, so the id decides
		all = append(all, message(from, to, t0+chat.Micros((i+1)/2)*second, fmt.Sprint(i)))
		read = append(read, delivery.Read{Conversation: "ada~bob", By: from, At: t0 + chat.Micros(i)*second/2})
	}
	r := rand.New(rand.NewPCG(7, 7))
	for range 3 {
		ds, rs := slices.Clone(all), slices.Clone(read)
		r.Shuffle(len(ds), func(i, j int) { ds[i], ds[j] = ds[j], ds[i] })
		r.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
		for len(ds) > 0 {
			n := 1 + r.IntN(min(4, len(ds)))
			save(t, s, ds[:n], rs[:n])
			ds, rs = ds[n:], rs[n:]
		}
	}
	page, _, err := s.Messages(ctx, "ada~bob", store.Position{}, 50)
	must(t, err)
	equal(t, "the history", page, all)
	list, _, err := s.Conversations(ctx, "ada", "", 10)
	must(t, err)
	equal(t, "the preview", list[0].Preview, store.PreviewOf(all[11].Message))
	equal(t, "last_at", list[0].LastAt, all[11].At)
	equal(t, "the read marks", list[0].Read, map[string]chat.Micros{"ada": t0 + 11*second/2, "bob": t0 + 9*second/2})
}

func testConcurrentSaves(t *testing.T, s store.Store) {
	ctx := context.Background()
	var batch []delivery.Delivered
	for i := range 20 {
		batch = append(batch, message("ada", "bob", t0+chat.Micros(i), fmt.Sprint(i)))
	}
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			mine := slices.Clone(batch)
			if i%2 == 1 {
				slices.Reverse(mine)
			}
			for part := range slices.Chunk(mine, 7) {
				if _, errs[i] = s.Save(ctx, part, []delivery.Read{{Conversation: "ada~bob", By: "bob",
					At: part[0].At}}); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
	page, _, err := s.Messages(ctx, "ada~bob", store.Position{}, 50)
	must(t, err)
	equal(t, "the history", page, batch)
	list, _, err := s.Conversations(ctx, "bob", "", 10)
	must(t, err)
	equal(t, "the preview", list[0].Preview.Text, "19")
	equal(t, "the read mark", list[0].Read["bob"], batch[19].At)
	n, err := s.MessagesOn(ctx, "2026-03-01")
	must(t, err)
	equal(t, "messages on the day", n, int64(20))
}

// One call saves a flush of the largest size, in many conversations.
func testSaveMuch(t *testing.T, s store.Store) {
	ctx := context.Background()
	var batch []delivery.Delivered
	var read []delivery.Read
	for i := range delivery.MaxMessages {
		to := fmt.Sprintf("p%02d", i%50)
		batch = append(batch, message("ada", to, t0+chat.Micros(i), strings.Repeat("x", 700)))
		read = append(read, delivery.Read{Conversation: chat.ConversationID("ada", to), By: to, At: t0 + chat.Micros(i)})
	}
	save(t, s, batch, read)
	list := everything(t, func(c string) ([]store.Listed, string, error) { return s.Conversations(ctx, "ada", c, 30) })
	equal(t, "the number of conversations", len(list), 50)
	for i, c := range list {
		equal(t, "the order of conversations", c.ID, fmt.Sprintf("ada~p%02d", 49-i))
		equal(t, "the length of a preview", len(c.Preview.Text), store.MaxPreview)
	}
	page, more, err := s.Messages(ctx, "ada~p07", store.Position{}, 50)
	must(t, err)
	equal(t, "messages of one", len(page), 10)
	equal(t, "there is more", more, false)
}

// Writers are those of whom a message was saved, not those who only read.
func testWriters(t *testing.T, s store.Store) {
	ctx := context.Background()
	check := func(want ...string) {
		t.Helper()
		got, err := s.Writers(ctx, "ada~bob")
		must(t, err)
		slices.Sort(got)
		equal(t, "the writers", slices.Equal(got, want), true)
	}
	check()
	save(t, s, nil, []delivery.Read{{Conversation: "ada~bob", By: "bob", At: t0}})
	check()
	for i := range 2 {
		m := message("ada", "bob", t0+chat.Micros(i)*second, "hello")
		for range 2 {
			save(t, s, []delivery.Delivered{m}, nil)
			check("ada")
		}
	}
	save(t, s, nil, []delivery.Read{{Conversation: "ada~bob", By: "bob", At: t0 + second}})
	check("ada")
	save(t, s, []delivery.Delivered{message("bob", "ada", t0-second, "older"),
		message("ada", "bob", t0+3*second, "newer"), message("bob", "cat", t0, "elsewhere")}, nil)
	check("ada", "bob")
}

func testHistory(t *testing.T, s store.Store) {
	ctx := context.Background()
	var all []delivery.Delivered
	for i := range 25 {
		all = append(all, message("ada", "bob", t0+chat.Micros(i/3), fmt.Sprint(i))) // three messages have the same At
	}
	save(t, s, all, nil)
	// Messages of conversations whose ids sort before and after this one are not included.
	save(t, s, []delivery.Delivered{message("ada", "bo", t0, "no"), message("ada", "bobb", t0, "no"),
		message("aa", "bob", t0, "no")}, nil)
	for _, limit := range []int{1, 2, 7, 25, 26, 1000} {
		var got []delivery.Delivered
		pos := store.Position{}
		for more := true; more; {
			var page []delivery.Delivered
			var err error
			page, more, err = s.Messages(ctx, "ada~bob", pos, limit)
			must(t, err)
			if len(page) > limit || len(page) == 0 {
				t.Fatalf("%d messages on a page of at most %d", len(page), limit)
			}
			pos = store.Position{At: page[0].At, Key: page[0].Key()}
			got = append(page, got...)
		}
		equal(t, fmt.Sprintf("the history in pages of %d", limit), bodies(got), bodies(all))
	}
	// A position without an id is before all messages of that time.
	page, more, err := s.Messages(ctx, "ada~bob", store.Position{At: t0 + 1}, 10)
	must(t, err)
	equal(t, "before a time", bodies(page), []string{"0", "1", "2"})
	equal(t, "there is more", more, false)
	for _, pos := range []store.Position{{At: t0}, {At: 1, Key: "x"}, {At: -5}} {
		page, more, err = s.Messages(ctx, "ada~bob", pos, 10)
		must(t, err)
		equal(t, "past the beginning", len(page), 0)
		equal(t, "there is more", more, false)
	}
	page, _, err = s.Messages(ctx, "ada~bob", store.Position{At: t0 + 1000*day}, 2)
	must(t, err)
	equal(t, "before a time to come", bodies(page), []string{"23", "24"})
	page, _, err = s.Messages(ctx, "no~one", store.Position{}, 2)
	must(t, err)
	equal(t, "no conversation", len(page), 0)
}

func testConversations(t *testing.T, s store.Store) {
	ctx := context.Background()
	var want []string
	for i := range 7 {
		// pairs have the same last_at
		save(t, s, []delivery.Delivered{message("ada", fmt.Sprintf("p%d", i), t0+chat.Micros(i/2), "x")}, nil)
		want = append(want, fmt.Sprintf("ada~p%d", i))
	}
	slices.Reverse(want)
	// A conversation with read marks but without messages is not listed.
	save(t, s, nil, []delivery.Read{{Conversation: "ada~zed", By: "zed", At: t0}})
	for _, limit := range []int{1, 2, 3, 7, 50} {
		got := everything(t, func(c string) ([]store.Listed, string, error) { return s.Conversations(ctx, "ada", c, limit) })
		var ids []string
		for _, c := range got {
			ids = append(ids, c.ID)
		}
		equal(t, fmt.Sprintf("the list in pages of %d", limit), ids, want)
	}
	// Its first message makes it appear, with the read mark that came before.
	save(t, s, []delivery.Delivered{message("ada", "zed", t0+second, "x")}, nil)
	list, _, err := s.Conversations(ctx, "zed", "", 1)
	must(t, err)
	equal(t, "the mark that came first", list[0].Read["zed"], t0)
	// A new message moves an old conversation to the top.
	save(t, s, []delivery.Delivered{message("p0", "ada", t0+day, "x")}, nil)
	list, _, err = s.Conversations(ctx, "ada", "", 1)
	must(t, err)
	equal(t, "the newest", list[0].ID, "ada~p0")
	list, _, err = s.Conversations(ctx, "nobody", "", 1)
	must(t, err)
	equal(t, "the list of nobody", len(list), 0)
}

func testUnread(t *testing.T, s store.Store) {
	ctx := context.Background()
	unread := func(uid string) int {
		t.Helper()
		list, _, err := s.Conversations(ctx, uid, "", 1)
		must(t, err)
		return list[0].Unread
	}
	var all []delivery.Delivered
	for i := range 6 {
		all = append(all, message("ada", "bob", t0+chat.Micros(i)*second, "x"))
	}
	all = append(all, message("bob", "ada", t0+10*second, "own words are not unread"))
	save(t, s, all, nil)
	equal(t, "bob's unread", unread("bob"), 6)
	equal(t, "ada's unread", unread("ada"), 1)
	save(t, s, nil, []delivery.Read{{Conversation: "ada~bob", By: "bob", At: t0 + 3*second}})
	equal(t, "bob's unread", unread("bob"), 2)
	save(t, s, nil, []delivery.Read{{Conversation: "ada~bob", By: "bob", At: t0 + second}})
	equal(t, "bob's unread after an old mark", unread("bob"), 2)
	// A late message from before the read mark counts as read.
	save(t, s, []delivery.Delivered{message("ada", "bob", t0+2*second, "late")}, nil)
	equal(t, "bob's unread", unread("bob"), 2)
	save(t, s, nil, []delivery.Read{{Conversation: "ada~bob", By: "bob", At: t0 + 5*second}})
	equal(t, "bob's unread", unread("bob"), 0)
}

// The count is exact up to its limit, whatever the user has written meanwhile, and however the read mark moves.
func testUnreadLimit(t *testing.T, s store.Store) {
	ctx := context.Background()
	var flood []delivery.Delivered
	for i := range store.MaxUnread + 3 {
		at := t0 + 2*chat.Micros(i)
		flood = append(flood, message("ada", "bob", at, "x"))
		if i%3 == 0 {
			flood = append(flood, message("bob", "ada", at+1, "an answer"))
		}
	}
	for part := range slices.Chunk(flood, delivery.MaxMessages) {
		save(t, s, part, nil)
	}
	for _, read := range []int{0, 2, 3, 4, store.MaxUnread, store.MaxUnread + 2, store.MaxUnread + 3} {
		if read > 0 {
			save(t, s, nil, []delivery.Read{{Conversation: "ada~bob", By: "bob", At: t0 + 2*chat.Micros(read-1)}})
		}
		list, _, err := s.Conversations(ctx, "bob", "", 1)
		must(t, err)
		equal(t, fmt.Sprintf("bob's unread after %d read", read), list[0].Unread,
			min(store.MaxUnread+3-read, store.MaxUnread))
	}
	list, _, err := s.Conversations(ctx, "ada", "", 1)
	must(t, err)
	equal(t, "ada's unread", list[0].Unread, (store.MaxUnread+5)/3)
}
