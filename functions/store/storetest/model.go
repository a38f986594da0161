package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// archiveModel is one conversation, as the contract describes it.
type archiveModel struct {
	saved map[string]delivery.Delivered // by key
	read  map[string]chat.Micros
}

func (m *archiveModel) save(ds []delivery.Delivered, rs []delivery.Read) {
	for _, d := range ds {
		if _, have := m.saved[d.Key()]; !have {
			m.saved[d.Key()] = d
		}
	}
	for _, r := range rs {
		m.read[r.By] = max(m.read[r.By], r.At)
	}
}

func (m *archiveModel) erase(uid string) {
	maps.DeleteFunc(m.saved, func(_ string, d delivery.Delivered) bool { return d.From == uid })
	if delete(m.read, uid); len(m.saved) == 0 {
		clear(m.read)
	}
}

func (m *archiveModel) unread(uid string) (n int) {
	for _, d := range m.saved {
		if d.To == uid && d.At > m.read[uid] {
			n++
		}
	}
	return n
}

// testUnreadModel compares the counts of unread messages with those of a simple model, in a random order of saves.
// Messages come late, again, or with other content. Marks come before their messages, again, or fall back. Members are
// erased and write again.
func testUnreadModel(t *testing.T, s store.Store) {
	ctx := context.Background()
	const seed, rounds = 11, 60
	r := rand.New(rand.NewPCG(seed, seed))
	m := archiveModel{saved: map[string]delivery.Delivered{}, read: map[string]chat.Micros{}}
	members := []string{"ada", "bob"}
	at := func() chat.Micros { return t0 + chat.Micros(r.IntN(40)) }
	var sent []delivery.Delivered
	for round := range rounds {
		var ds []delivery.Delivered
		var rs []delivery.Read
		for range r.IntN(4) {
			from := r.IntN(2)
			d := message(members[from], members[1-from], at(), "x")
			switch old := r.IntN(4); {
			case old == 0 && len(sent) > 0:
				d = sent[r.IntN(len(sent))]
			case old == 1 && len(sent) > 0: // the other member may use the id, too
				d = withID(sent[r.IntN(len(sent))].ID, d.From, d.To, d.At, "other content")
			}
			ds, sent = append(ds, d), append(sent, d)
		}
		for range r.IntN(2) {
			rs = append(rs, delivery.Read{Conversation: "ada~bob", By: members[r.IntN(2)], At: at()})
		}
		what := fmt.Sprintf("seed %d, round %d", seed, round)
		if r.IntN(12) == 0 {
			uid := members[r.IntN(2)]
			must(t, s.EraseContent(ctx, uid))
			m.erase(uid)
		} else {
			save(t, s, ds, rs)
			m.save(ds, rs)
		}
		for _, uid := range members {
			list, _, err := s.Conversations(ctx, uid, "", 5)
			must(t, err)
			if len(m.saved) == 0 {
				equal(t, what+": conversations", len(list), 0)
				continue
			}
			equal(t, what+": unread of "+uid, list[0].Unread, m.unread(uid))
			equal(t, what+": read marks", list[0].Read, m.read)
		}
	}
}

// Searches of one to three short words find, over all pages, whom a simple model finds, in the order of their names.
func testSearchModel(t *testing.T, s store.Store) {
	ctx := context.Background()
	const seed = 5
	r := rand.New(rand.NewPCG(seed, seed))
	word := func(most int) string {
		w := make([]byte, 1+r.IntN(most))
		for i := range w {
			w[i] = "abc"[r.IntN(3)]
		}
		return string(w)
	}
	var people []store.User
	for i := range 40 {
		names := []string{word(4), word(20), strings.ToUpper(word(2))}[:1+r.IntN(3)]
		u := addUser(t, s, fmt.Sprintf("%s.%02d", word(3), i), strings.Join(names, " "), t0)
		if u.Disabled = r.IntN(6) == 0; u.Disabled {
			_, err := s.SetDisabled(ctx, u.UID, true)
			must(t, err)
		}
		people = append(people, u)
	}
	slices.SortFunc(people, func(a, b store.User) int {
		return cmp.Or(strings.Compare(store.Fold(a.DisplayName), store.Fold(b.DisplayName)), strings.Compare(a.UID, b.UID))
	})
	begins := func(u store.User, word string) bool {
		all := strings.FieldsFunc(strings.ToLower(u.Username+" "+u.DisplayName), func(r rune) bool {
			return r == ' ' || r == '.'
		})
		return slices.ContainsFunc(all, func(have string) bool { return strings.HasPrefix(have, word) })
	}
	for range 60 {
		words := []string{word(2), word(1), word(18)}[:1+r.IntN(3)]
		q := store.Search{Prefix: strings.Join(words, " "), Limit: []int{1, 2, 7, 50}[r.IntN(4)], All: r.IntN(3) == 0}
		if hidden := word(1); r.IntN(3) == 0 {
			q.Hide = func(u store.User) bool { return strings.HasPrefix(u.Username, hidden) }
		}
		var want []string
		for _, u := range people {
			if (q.All || !u.Disabled) && (q.Hide == nil || !q.Hide(u)) &&
				!slices.ContainsFunc(words, func(w string) bool { return !begins(u, w) }) {
				want = append(want, u.UID)
			}
		}
		got := everything(t, func(c string) ([]store.User, string, error) {
			q.Cursor = c
			page, next, err := s.Search(ctx, q)
			if len(page) > q.Limit {
				t.Errorf("%d users on a page of at most %d", len(page), q.Limit)
			}
			return page, next, err
		})
		equal(t, fmt.Sprintf("seed %d: %q of %v in pages of %d", seed, q.Prefix, q.All, q.Limit), uids(got), want)
	}
	for _, q := range []string{"a\x00b", "\x00", "a \x00", "a\x00"} { // no name has these
		page, next, err := s.Search(ctx, store.Search{Prefix: q, Limit: 5})
		must(t, err)
		equal(t, fmt.Sprintf("who is found by %q", q), len(page), 0)
		equal(t, "the end", next, "")
	}
}
