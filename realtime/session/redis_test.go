package session_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Redis loses everything: open sockets get a welcome that says that events may be missing, and a goaway, so that
// outboxes are sent again. Messages that are sent afterwards are delivered.
func TestRedisIsWiped(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		before := a.Say(bob, "before")
		e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		if e.ID != before {
			t.Fatal("bob received a different message")
		}
		rig.Mini.FlushAll()
		after := servertest.Message(bob, "after")
		var goaway, welcome bool
		began := time.Now()
		for !goaway || !welcome {
			f, _ := b.Wait(time.Minute) // the comparison that finds out runs every 30 s
			switch f := f.(type) {
			case wire.Goaway:
				if f.Reason != wire.GoawayResync {
					t.Errorf("goaway %+v", f)
				}
				goaway = true
			case wire.Welcome:
				if f.Resumed {
					t.Error("the second welcome says resumed")
				}
				welcome = true
			}
			if time.Since(began) > time.Minute {
				t.Fatal("no goaway and welcome within a minute")
			}
		}
		a.Send(after)
		for {
			if e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage); e.ID == after.ID {
				break
			}
		}
		// A cursor of the old epoch does not resume, and does no harm.
		_, w, events := in.Hello(t, bob, "0123456789ab:5-5")
		if w.Resumed || len(events) != 1 {
			t.Errorf("resumed %v with %d events", w.Resumed, len(events))
		}
	})
}

// One user's inbox is lost while Redis has everything else, as when a node of a cluster loses its data. The next
// message reveals it: the socket gets a welcome and a goaway, so that the outboxes of its client are sent again. It
// does not wait for the comparison that runs every 30 s.
func TestInboxIsWiped(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		a.Say(bob, "before")
		servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		for _, key := range []string{"inbox", "meta", "pending"} {
			if !rig.Mini.Del(key + ":{" + bob + "}") {
				t.Fatalf("bob has no %s", key)
			}
		}
		began := time.Now()
		id := a.Say(bob, "after")
		if w := servertest.Until[wire.Welcome](b); w.Resumed {
			t.Error("the second welcome says resumed")
		}
		if e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage); e.ID != id {
			t.Errorf("message %s arrived, want %s", e.ID, id)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the message took %v", took)
		}
		if g := servertest.Until[wire.Goaway](b); g.Reason != wire.GoawayResync {
			t.Errorf("goaway %+v", g)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the goaway took %v", took)
		}
	})
}

// Messages that arrive during a hello are shown at once, whichever step of it they meet.
func TestMessagesDuringHello(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		a := in.Join(t, alice)
		const slow = 500 * time.Millisecond
		second.Redis.Slow(slow)
		var last time.Time
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 50 {
				a.Say(bob, fmt.Sprint(i))
				last = time.Now()
				<-time.After(100 * time.Millisecond)
			}
		}()
		b := second.Dial(t, servertest.DialOptions{})
		b.UID = bob
		b.Send(hello(servertest.Token(bob, nil), ""))
		for i := range 50 {
			if e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage); e.Body != fmt.Sprint(i) {
				t.Fatalf("message %d has the body %s", i, e.Body)
			}
		}
		<-done
		if late := time.Since(last); late > 4*slow {
			t.Errorf("the last message arrived %v after it was accepted", late)
		}
	})
}

// A single message that arrives at any moment of a hello is not missed, although nothing arrives after it.
func TestOneMessageDuringHello(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		a := in.Join(t, alice)
		const slow = 500 * time.Millisecond
		second.Redis.Slow(slow)
		for i := range 18 { // fewer than the people to whom alice may write in an hour
			uid := fmt.Sprintf("friendUid%04d", i)
			rig.Gates.Set(uid, gate.Gate{Exists: true})
			b := second.Dial(t, servertest.DialOptions{})
			b.UID = uid
			b.Send(hello(servertest.Token(uid, nil), ""))
			began := time.Now()
			testwait.Advance(time.Duration(i) * slow / 2)
			a.Say(uid, "hello")
			servertest.Event[wire.MessageEvent](b, wire.EventMessage)
			// A hello that has to fill the gate takes up to ten answers of Redis: some scripts ask for the epoch first.
			if took := time.Since(began); took > 20*slow {
				t.Errorf("a message %v after the hello arrived %v after the hello", time.Duration(i)*slow/2, took)
			}
			b.Close()
		}
	})
}

// One instance cannot reach Redis for a while. Its sockets stay open, their sends are answered with "unavailable", and
// they miss no event.
func TestRedisIsCutOff(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		a, b := in.Join(t, alice), second.Join(t, bob)
		second.Redis.Down(true)
		var want []string
		for i := range 5 {
			want = append(want, a.Say(bob, fmt.Sprint(i)))
		}
		m := servertest.Message(alice, "from the cut-off instance")
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

// After a resync all sockets of an instance are asked to reconnect, but not all at once.
func TestResyncIsSpread(t *testing.T) {
	many := func(d *server.Deps) { d.MaxSocketsPerUser = 20 }
	bubble(t, many, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
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
			t.Errorf("20 goaways were spread over %v, want about 5 s", over)
		}
	})
}

// Redis is slow, but not down: sends wait, and everything else works.
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
			t.Error("the messages arrived in a different order")
		}
	})
}

// Redis is slower than the deadline of a command: each send is answered with "unavailable" and its id, and sending it
// again is harmless.
func TestRedisIsTooSlow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		in.Redis.Slow(15 * time.Second)
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

// An instance is killed with unsettled acks and unsent events. Another one continues from the cursors.
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

// An entry that is not an event does not block the inbox.
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
		if n := in.Counters().Inbox.PoisonEntries.Load(); n != 3 {
			t.Errorf("%d poison entries were counted, want 3", n)
		}
	})
}

// Nor does an entry that is JSON, but that no client could decode: a client would close this socket and each that
// follows.
func TestEventThatNoClientCanDecode(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		first := a.Say(bob, "one")
		bad := []string{
			`{}`, `{"type":5}`, `{"type":"message","id":"x"}`,
			`{"type":"delivered","conversation":"c","messages":[{}],"delivered_at":1}`,
		}
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
			t.Errorf("%d poison events were counted, want %d", n, len(bad))
		}
	})
}

// A recipient is deleted while a message waits: the sender receives a refused event.
func TestRecipientIsDeleted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		id := a.Say(bob, "too late")
		rig.Gates.Set(bob, gate.Gate{})
		w := in.Call(t.Context(), "POST", internalapi.GonePath, servertest.ServiceToken, internalapi.Gone{UID: bob})
		if w.Code != 204 {
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

// A user whose clients never acknowledge fills one inbox, and affects no other.
func TestInboxFull(t *testing.T) {
	limit := func(d *server.Deps) { d.Inboxes.Limits.PairMessages = 20 }
	bubble(t, limit, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, c := in.Join(t, alice), in.Join(t, carol)
		for range 20 {
			a.Say(bob, "x")
		}
		m := servertest.Message(bob, "one too many")
		a.Send(m)
		if e := a.Refused("inbox_full"); e.ID != m.ID || e.RetryAfterMS <= 0 {
			t.Errorf("%+v", e)
		}
		c.Say(bob, "from another sender")
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

// queueSilently adds a message to the inbox of uid without a wake, as if the wake was lost.
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

// A wake is lost silently. The next wake names its predecessor, which this socket has not seen, so the stream is read
// first.
func TestLostWakeIsFoundByThePredecessor(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		first := a.Say(bob, "one")
		e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		if e.ID != first {
			t.Fatal("bob received a different message")
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

// If no other wake follows, the comparison that runs every 30 s finds the event.
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
				t.Fatal("the event did not arrive within a minute")
			}
			if _, ok := f.(wire.EventFrame); ok {
				break
			}
		}
		if took := time.Since(began); took > 45*time.Second {
			t.Errorf("the event arrived after %v", took)
		}
	})
}
