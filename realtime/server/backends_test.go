package server_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// join opens a socket over a real network, and returns it when it is caught up.
func join(t *testing.T, url, uid, cursor string) *servertest.Socket {
	t.Helper()
	s := servertest.DialURL(t, url)
	if w, _ := s.Hello(uid, cursor); w.UID != uid {
		t.Fatalf("welcome %+v", w)
	}
	return s
}

// Sender and recipient are on different instances, on every kind of Redis that the service supports: a message is
// accepted and delivered, and a session resumes.
func TestChatOverEachRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r *redistest.Redis) {
		gates, published := servertest.NewGates(), &servertest.Published{}
		gates.Set(alice, gate.Gate{Exists: true})
		gates.Set(bob, gate.Gate{Exists: true})
		tune := func(o *redis.UniversalOptions) { inbox.Tune(o) }
		_, first := servertest.Listen(t, r.Client(t, tune), gates, published)
		_, second := servertest.Listen(t, r.Client(t, tune), gates, published)
		a, b := join(t, first, alice, ""), join(t, second, bob, "")
		var cursor string
		for i := range 10 {
			id := a.Say(bob, fmt.Sprint(i))
			got, at := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
			if got.ID != id || got.Body != fmt.Sprint(i) {
				t.Fatalf("bob got %+v", got)
			}
			cursor = at
		}
		if ids := published.Messages(t); len(ids) != 0 {
			t.Fatalf("published before an ack: %v", ids)
		}
		b.Ack(cursor)
		for delivered := 0; delivered < 10; {
			d, _ := servertest.Event[wire.DeliveredEvent](a, wire.EventDelivered)
			delivered += len(d.Messages)
		}
		if ids := published.Messages(t); len(ids) != 10 {
			t.Errorf("%d are published, but 10 are reported as delivered", len(ids))
		}
		b.Break()
		again := join(t, first, bob, cursor) // on the other instance
		id := a.Say(bob, "after the move")
		if got, _ := servertest.Event[wire.MessageEvent](again, wire.EventMessage); got.ID != id {
			t.Errorf("got %+v", got)
		}
	})
}
