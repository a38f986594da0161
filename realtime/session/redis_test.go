package session_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Redis loses everything: open sockets are told that something may be missing, and to reconnect, so that outboxes send
// again; what comes after is delivered.
func TestRedisIsWiped(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		before := a.Say(bob, "before")
		e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		if e.ID != before {
			t.Fatal("another message")
		}
		rig.Mini.FlushAll()
		after := servertest.Message(bob, "after")
		var asked, told bool
		began := time.Now()
		for !asked || !told {
			f, _ := b.Wait(time.Minute) // it may take a comparison, each 30 s
			switch f := f.(type) {
			case wire.Goaway:
				if f.Reason != wire.GoawayResync {
					t.Errorf("goaway %+v", f)
				}
				asked = true
			case wire.Welcome:
				if f.Resumed {
					t.Error("a second welcome that says resumed")
				}
				told = true
			}
			if time.Since(began) > time.Minute {
				t.Fatal("not told within a minute")
			}
		}
		a.Send(after)
		for {
			if e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage); e.ID == after.ID {
				break
			}
		}
		// The cursor of the old life resumes nothing, and costs nothing.
		_, w, events := in.Hello(t, bob, "0123456789ab:5-5")
		if w.Resumed || len(events) != 1 {
			t.Errorf("resumed %v with %d events", w.Resumed, len(events))
		}
	})
}

// The network between one instance and Redis is cut for a while: its sockets stay open, hear of "unavailable" for what
// they send, and miss nothing.
func TestRedisIsCutOff(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		a, b := in.Join(t, alice), second.Join(t, bob)
		second.Redis.Down(true)
		var want []string
		for i := range 5 {
			want = append(want, a.Say(bob, fmt.Sprint(i)))
		}
		m := servertest.Message(alice, "from the island")
		b.Send(m)
		if e := b.Refused("unavailable"); e.ID != m.ID || e.RetryAfterMS <= 0 {
			t.Errorf("%+v", e)
		}
		b.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.Until[wire.Pong](b)
		testwait.Advance(20 * time.Second)
		second.Redis.Down(false)
		var got []string
		resync := false
		for len(got) < len(want) || !resync {
			switch f := b.Next().(type) {
			case wire.Goaway:
				resync = f.Reason == wire.GoawayResync
			case wire.EventFrame:
				e, err := wire.DecodeEvent(f.Event)
				if err != nil {
					t.Fatal(err)
				}
				if e, ok := e.(wire.MessageEvent); ok && e.Type == wire.EventMessage {
					got = append(got, e.ID)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		b.Send(m)
		if s := servertest.Until[wire.Sent](b); s.ID != m.ID {
			t.Errorf("%+v", s)
		}
	})
}

// All sockets of an instance are asked to reconnect after a resync, not all at once.
func TestResyncIsSpread(t *testing.T) {
	bubble(t, func(d *server.Deps) { d.ResyncOver = 5 * time.Second }, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		var sockets []*servertest.Socket
		for range 20 {
			sockets = append(sockets, in.Join(t, alice))
		}
		in.Redis.Down(true)
		testwait.Advance(10 * time.Second)
		in.Redis.Down(false)
		var times []time.Time
		for _, s := range sockets {
			if g := servertest.Until[wire.Goaway](s); g.Reason != wire.GoawayResync {
				t.Errorf("%+v", g)
			}
			times = append(times, s.Heard())
		}
		slices.SortFunc(times, time.Time.Compare)
		if over := times[len(times)-1].Sub(times[0]); over < 3*time.Second || over > 10*time.Second {
			t.Errorf("20 sockets were asked over %v, want about 5 s", over)
		}
	})
}

// Redis is slow, not dead: sends wait, everything else goes on.
func TestRedisIsSlow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		in.Redis.Slow(800 * time.Millisecond)
		var ids []string
		for i := range 10 {
			m := servertest.Message(bob, fmt.Sprint(i))
			ids = append(ids, m.ID)
			a.Send(m)
		}
		began := time.Now()
		a.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.Until[wire.Pong](a)
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the pong took %v", took)
		}
		var got []string
		for range ids {
			e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
			got = append(got, e.ID)
		}
		if !slices.Equal(got, ids) {
			t.Error("another order")
		}
	})
}

// Slower than its deadline: each send is answered "unavailable", by its id, and sending it again is harmless.
func TestRedisIsTooSlow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		in.Redis.Slow(10 * time.Second)
		m := servertest.Message(bob, "x")
		a.Send(m)
		if e := a.Refused("unavailable"); e.ID != m.ID || e.RetryAfterMS <= 0 {
			t.Errorf("%+v", e)
		}
		in.Redis.Slow(0)
		testwait.Advance(30 * time.Second)
		a.Send(m)
		if s := servertest.Until[wire.Sent](a); s.ID != m.ID {
			t.Errorf("%+v", s)
		}
		b, _, events := in.Hello(t, bob, "")
		if len(events) != 1 {
			t.Errorf("%d events, want one", len(events))
		}
		b.Close()
	})
}

// An instance dies with acks unsettled and events unsent: another one carries on from the cursors.
func TestInstanceIsKilled(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		a, b := second.Join(t, alice), in.Join(t, bob)
		first := a.Say(bob, "one")
		_, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		b.Ack(cursor)
		in.Kill()
		then := a.Say(bob, "two")
		if ids := rig.Published.Messages(t); len(ids) != 0 {
			t.Fatalf("a killed instance published %v", ids)
		}
		b, w, events := second.Hello(t, bob, cursor)
		if !w.Resumed || len(events) != 1 {
			t.Fatalf("resumed %v with %d events", w.Resumed, len(events))
		}
		b.Ack(events[0].Cursor)
		testwait.Advance(5 * time.Second)
		if ids := rig.Published.Messages(t); !slices.Equal(ids, []string{first, then}) {
			t.Errorf("published %v, want both", ids)
		}
	})
}

// An entry that is no event stands in nobody's way.
func TestPoisonInTheStream(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		first := a.Say(bob, "one")
		for _, bad := range [][]string{{"t", "message", "e", "{"}, {"x", "y"}, {"t", "", "e", "{}"}} {
			if _, err := rig.Mini.XAdd("inbox:{"+bob+"}", "*", bad); err != nil {
				t.Fatal(err)
			}
		}
		second := a.Say(bob, "two")
		_, _, events := in.Hello(t, bob, "")
		if len(events) != 2 {
			t.Fatalf("%d events, want %s and %s", len(events), first, second)
		}
		if n := in.Counters().Inbox.PoisonEntries; n != 3 {
			t.Errorf("%d poison entries counted, want 3", n)
		}
	})
}

// Nor does one that is JSON and that no client can read: a client would give up its socket at it, and each that
// follows.
func TestEventThatNoClientCanRead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		first := a.Say(bob, "one")
		bad := []string{`{}`, `{"type":5}`, `{"type":"message","id":"x"}`, `{"type":"delivered","conversation":"c","messages":[{}],"delivered_at":1}`}
		for _, e := range bad {
			if _, err := rig.Mini.XAdd("inbox:{"+bob+"}", "*", []string{"t", wire.EventMessage, "e", e}); err != nil {
				t.Fatal(err)
			}
		}
		second := a.Say(bob, "two")
		_, _, events := in.Hello(t, bob, "")
		if len(events) != 2 {
			t.Fatalf("%d events, want %s and %s", len(events), first, second)
		}
		for _, e := range events {
			if _, err := wire.DecodeEvent(e.Event); err != nil {
				t.Error(err)
			}
		}
		if n := in.Counters().Session.Poison.Load(); n != int64(len(bad)) {
			t.Errorf("%d counted, want %d", n, len(bad))
		}
	})
}

// A recipient who is deleted while a message waits: the sender is told.
func TestRecipientIsDeleted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		id := a.Say(bob, "too late")
		rig.Gates.Set(bob, gate.Gate{})
		if w := in.Call(t.Context(), "POST", "/internal/gone", servertest.ServiceToken, map[string]string{"uid": bob}); w.Code != 204 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		e, _ := servertest.Event[wire.RefusedEvent](a, wire.EventRefused)
		if len(e.Messages) != 1 || e.Messages[0].ID != id || e.Code == "" || e.Message == "" {
			t.Errorf("%+v", e)
		}
		m := servertest.Message(bob, "again")
		a.Send(m)
		if e := a.Refused("recipient_unknown"); e.ID != m.ID {
			t.Errorf("%+v", e)
		}
	})
}

// A client that never acknowledges fills its own inbox and nothing else.
func TestInboxFull(t *testing.T) {
	bubble(t, func(d *server.Deps) { d.Inboxes.MaxUnackedSender = 20 }, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, c := in.Join(t, alice), in.Join(t, carol)
		for range 20 {
			a.Say(bob, "x")
		}
		m := servertest.Message(bob, "one too many")
		a.Send(m)
		if e := a.Refused("inbox_full"); e.ID != m.ID || e.RetryAfterMS <= 0 {
			t.Errorf("%+v", e)
		}
		c.Say(bob, "of someone else")
		b, _, events := in.Hello(t, bob, "")
		if len(events) != 21 {
			t.Errorf("%d events", len(events))
		}
		b.Ack(events[20].Cursor)
		testwait.Advance(5 * time.Second)
		a.Send(m)
		if s := servertest.Until[wire.Sent](a); s.ID != m.ID {
			t.Errorf("%+v", s)
		}
	})
}

// queueSilently puts a message into uid's inbox as if its wake had been lost.
func queueSilently(t *testing.T, rig *servertest.Rig, uid string, e wire.MessageEvent) {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	id, err := rig.Mini.XAdd("inbox:{"+uid+"}", "*", []string{"t", wire.EventMessage, "e", string(data)})
	if err != nil {
		t.Fatal(err)
	}
	rig.Mini.HSet("meta:{"+uid+"}", "last", id)
}

// A wake is lost without a trace: the next one names the event before it, which this socket has not seen, and the
// stream is read before anything goes on.
func TestGapIsFoundByThePredecessor(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		first := a.Say(bob, "one")
		e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		if e.ID != first {
			t.Fatal("another message")
		}
		silent := servertest.Message(bob, "nobody was woken")
		e.ID, e.Body = silent.ID, silent.Body
		queueSilently(t, rig, bob, e)
		b.Quiet(2 * time.Second)
		second := a.Say(bob, "two")
		for _, want := range []string{silent.ID, second} {
			if got, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage); got.ID != want {
				t.Fatalf("bob got %q, want %s", got.Body, want)
			}
		}
	})
}

// And if nothing more comes, the comparison every 30 s finds it.
func TestLostWakeIsFoundByComparison(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		a.Say(bob, "one")
		e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		e.ID = servertest.Message(bob, "").ID
		queueSilently(t, rig, bob, e)
		began := time.Now()
		for {
			f, ok := b.Wait(time.Minute)
			if !ok {
				t.Fatal("not found within a minute")
			}
			if _, ok := f.(wire.EventFrame); ok {
				break
			}
		}
		if took := time.Since(began); took > 45*time.Second {
			t.Errorf("found after %v", took)
		}
	})
}
