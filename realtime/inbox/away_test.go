package inbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// The script that queues a message says whether its recipient should be notified: a device is registered for push, and
// no lease that is valid says that somebody looks.
//
// The instance then knows whether the recipient has answered the sender, if Redis does.
func TestAway(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		var away []string
		s := openGated(t, b, inbox.Options{Away: func(m chat.Message) { away = append(away, m.Body) }})
		check := func(what string, want bool) {
			t.Helper()
			away = nil
			s.send(t, "ann", "ben", "x")
			if got := len(away) == 1; got != want {
				t.Errorf("%s: notified: %v", what, got)
			}
		}
		push := func(value string) {
			t.Helper()
			if err := s.rdb.HSet(t.Context(), "gate:{ben}", "push", value).Err(); err != nil {
				t.Fatal(err)
			}
		}
		leases := func(list ...redis.Z) {
			t.Helper()
			err := s.rdb.Del(t.Context(), "presence:{ben}").Err()
			if err == nil && len(list) > 0 {
				err = s.rdb.ZAdd(t.Context(), "presence:{ben}", list...).Err()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		at := func(d time.Duration, half float64) float64 { return float64(time.Now().Add(d).UnixMilli()) + half }
		check("a gate of an older version", false)
		push("0")
		check("no device is registered", false)
		push("1")
		check("not connected", true)
		leases(redis.Z{Score: at(time.Minute, 0), Member: "x"}, redis.Z{Score: at(time.Minute, 0), Member: "y"})
		check("connected, and nobody looks", true)
		leases(redis.Z{Score: at(time.Minute, 0), Member: "x"}, redis.Z{Score: at(30*time.Second, 0.5), Member: "y"})
		check("somebody looks", false)
		leases(redis.Z{Score: at(time.Minute, 0), Member: "x"}, redis.Z{Score: at(-time.Second, 0.5), Member: "y"})
		check("the lease has expired", true)

		saved := &archive{}
		s.wipe(t, b)
		s.gate(t, "ben", "1", "0")
		push("1")
		fresh := openGated(t, b, inbox.Options{Archive: saved, Away: func(m chat.Message) { away = append(away, m.Body) }})
		for _, answered := range []bool{false, true} {
			if answered {
				s.rdb.HSet(t.Context(), "peers:{ben}", "ann", 3)
			}
			away = nil
			fresh.send(t, "ann", "ben", "request")
			same(t, "messages to notify of", len(away), 1)
			got, err := fresh.HasAnswered(t.Context(), "ben", "ann")
			if asked := saved.set(false); got != answered || err != nil || asked != 1 {
				t.Errorf("answered: %v, %v, and the archive was asked %d times", got, err, asked)
			}
		}

		// A repetition is not notified of again, a change is not notified of, and neither is what was refused.
		leases()
		m := s.send(t, "ann", "ben", "again")
		away = nil
		if _, err := s.Enqueue(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		c := chat.Change{ID: message("ann", "ben", "").ID, Conversation: m.Conversation, From: "ann", To: "ben",
			At: m.At + 1, Of: chat.Target{ID: m.ID, From: "ann", At: m.At}, Kind: chat.KindEdit, Body: "better"}
		if _, err := s.EnqueueItem(t.Context(), inbox.OfChange(c), ""); err != nil {
			t.Fatal(err)
		}
		s.gate(t, "ben", "1", "1")
		if _, err := s.Enqueue(t.Context(), message("ann", "ben", "x")); !errors.Is(err, inbox.ErrRecipientUnavailable) {
			t.Errorf("a disabled recipient: %v", err)
		}
		if len(away) > 0 {
			t.Errorf("notified of %v", away)
		}
	})
}
