package presence_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// peer stores what peers:{uid} holds of another user, and publishes what the script of package inbox does.
func (in *instance) peer(t *testing.T, uid, other, value string) {
	t.Helper()
	err := in.rdb.HSet(t.Context(), "peers:{"+uid+"}", other, value).Err()
	if err == nil {
		err = in.rdb.Publish(t.Context(), "seen:{"+uid+"}", "peer "+other).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Somebody who has written, and was not answered, sees the other one offline without a time. The answer shows them, and
// the watcher need not watch anew. Other watchers on the same instance see what concerns them.
func TestRequestHidesPresence(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		in := start(t, b, "x", presence.Tuned(presence.Tuning{Linger: 20 * time.Millisecond}))
		for uid, value := range map[string]string{"ann": "2", "bob": "1", "cat": "3"} {
			in.peer(t, uid, "zoe", value)
		}
		for _, uid := range []string{"ann", "bob", "cat", "dan", "eve"} {
			in.join(t, uid)
		}
		in.leave(t, "eve")
		b.AwaitForwarded(t)
		friend := in.Watch("yan")
		t.Cleanup(friend.Close)
		if err := friend.Set(t.Context(), []string{"ann", "dan"}); err != nil {
			t.Fatal(err)
		}
		learn(t, friend, "[ann on dan on]")
		w := in.watch(t, "ann", "bob", "cat", "dan", "eve")
		learn(t, w, "[ann off bob on cat on dan on eve seen]")
		in.leave(t, "ann")
		same(t, "another watcher", next(t, friend), "[ann seen]")
		in.join(t, "ann")
		same(t, "another watcher", next(t, friend), "[ann on]")
		quiet(t, w, 200*time.Millisecond) // the moments themselves are hidden, too

		in.peer(t, "ann", "zoe", "3")
		same(t, "ann has answered", next(t, w), "[ann on]")
		in.peer(t, "dan", "zoe", "2")
		same(t, "the watcher has written to dan", next(t, w), "[dan off]")
		in.peer(t, "eve", "zoe", "2")
		same(t, "the watcher has written to eve", next(t, w), "[eve off]")
		in.peer(t, "bob", "zoe", "3")
		same(t, "bob has written first", next(t, w), "[bob on]")
		in.leave(t, "dan")
		same(t, "another watcher", next(t, friend), "[dan seen]")
		in.peer(t, "dan", "yve", "2") // of somebody who does not watch
		quiet(t, w, 200*time.Millisecond)
		in.peer(t, "dan", "zoe", "3")
		same(t, "dan has answered", next(t, w), "[dan seen]")
		quiet(t, friend, 200*time.Millisecond)
	})
}

// The privacy of the watched user hides them from those whom they have not answered, or from everybody, until it
// changes.
func TestPrivacyHidesPresence(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		in := start(t, b, "x", presence.Tuned(presence.Tuning{Linger: 20 * time.Millisecond}))
		choose := func(uid, words string) {
			t.Helper()
			if err := in.rdb.HSet(t.Context(), "gate:{"+uid+"}", "blocked", "[]", "privacy", words).Err(); err != nil {
				t.Fatal(err)
			}
			in.GateChanged(uid)
		}
		for uid, words := range map[string]string{"ann": "chats known", "bob": "chats", "cat": "nobody no_receipts",
			"dan": "known no_receipts", "eve": "chats", "fay": ""} {
			choose(uid, words)
			in.join(t, uid)
		}
		for uid, value := range map[string]string{"bob": "1", "cat": "3", "eve": "3"} {
			in.peer(t, uid, "zoe", value)
		}
		b.AwaitForwarded(t)
		w := in.watch(t, "ann", "bob", "cat", "dan", "eve", "fay")
		learn(t, w, "[ann off bob on cat off dan on eve on fay on]")
		for _, uid := range []string{"ann", "cat"} {
			in.leave(t, uid)
			in.join(t, uid)
		}
		quiet(t, w, 200*time.Millisecond) // the moments themselves are hidden, too
		choose("cat", "chats")
		same(t, "cat shows it to chats", next(t, w), "[cat on]")
		choose("bob", "nobody")
		same(t, "bob shows it to nobody", next(t, w), "[bob off]")
		choose("bob", "")
		same(t, "bob shows it to everyone", next(t, w), "[bob on]")
		in.peer(t, "ann", "zoe", "2")
		quiet(t, w, 200*time.Millisecond)
		in.peer(t, "ann", "zoe", "3")
		same(t, "ann has answered", next(t, w), "[ann on]")
	})
}

// A notice of presence that arrives between a first message and its look-up neither shows the recipient nor puts off
// the look-up.
func TestRequestAndNoticeAtOnce(t *testing.T) {
	b := redistest.Mini(t)
	in := start(t, b, "x", presence.Tuned(presence.Tuning{Linger: 20 * time.Millisecond}))
	var uids []string
	for i := range 30 {
		uids = append(uids, fmt.Sprintf("ann%02d", i))
		in.join(t, uids[i])
		in.leave(t, uids[i])
	}
	w := in.watch(t, uids...)
	learn(t, w, "["+strings.Join(uids, " seen ")+" seen]")
	for _, value := range []string{"2", "3"} {
		for _, uid := range uids {
			in.peer(t, uid, "zoe", value)
			in.join(t, uid)
			in.join(t, uid)
			if err := in.rdb.Publish(t.Context(), "seen:{"+uid+"}", "on").Err(); err != nil {
				t.Fatal(err)
			}
		}
		state, seen := map[string]string{"2": "off", "3": "on"}[value], map[string]bool{}
		for len(seen) < len(uids) {
			fields := strings.Fields(strings.Trim(next(t, w), "[]"))
			for i := 0; i < len(fields); i += 2 {
				if fields[i+1] != state {
					t.Fatalf("%s is shown as %s, want %s", fields[i], fields[i+1], state)
				}
				seen[fields[i]] = true
			}
		}
	}
}
