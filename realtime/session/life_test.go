package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// waitFor waits for the next frame, which must be a T. It returns the frame and how long that took.
func waitFor[T wire.ServerFrame](t *testing.T, s *servertest.Socket, limit time.Duration) (T, time.Duration) {
	t.Helper()
	began := time.Now()
	f, ok := s.Wait(limit)
	if !ok {
		t.Fatalf("%s: no frame in %v", s.UID, limit)
	}
	got, ok := f.(T)
	if !ok {
		t.Fatalf("%s: got %T %+v", s.UID, f, f)
	}
	return got, time.Since(began)
}

func TestRotation(t *testing.T) {
	ages := func(d *server.Deps) { d.SocketAgeMin, d.SocketAgeMax = 20*time.Minute, 30*time.Minute }
	bubble(t, ages, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		g, took := waitFor[wire.Goaway](t, a, time.Hour)
		if g.Reason != wire.GoawayRotate || g.WithinMS != 60_000 {
			t.Errorf("goaway %+v", g)
		}
		if took < 20*time.Minute || took > 30*time.Minute {
			t.Errorf("asked to rotate after %v", took)
		}
		// It is served until it is closed.
		a.Say(bob, "still here")
		began := time.Now()
		a.Closed(websocket.CloseGoingAway)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestSocketsRotateAtDifferentAges(t *testing.T) {
	ages := func(d *server.Deps) { d.SocketAgeMin, d.SocketAgeMax = 20*time.Minute, 30*time.Minute }
	bubble(t, ages, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		seen := map[time.Duration]bool{}
		var sockets []*servertest.Socket
		for range 5 {
			sockets = append(sockets, in.Join(t, alice))
		}
		began := time.Now()
		for _, s := range sockets {
			if _, ok := s.Wait(time.Hour); !ok {
				t.Fatal("no goaway")
			}
			seen[s.Heard().Sub(began).Truncate(time.Second)] = true
		}
		if len(seen) < 3 {
			t.Errorf("five sockets were asked to rotate at only %d different times", len(seen))
		}
	})
}

func TestTokenEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		began := time.Now()
		s := in.Dial(t, servertest.DialOptions{})
		s.Send(hello(servertest.Token(alice, map[string]any{"exp": began.Add(10 * time.Minute).Unix()}), ""))
		servertest.Until[wire.CaughtUp](s)
		testwait.Advance(9 * time.Minute)
		s.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.Until[wire.Pong](s)
		wantError(t, s.Closed(4401), "token_ended")
		if took := time.Since(began); took > 10*time.Minute || took < 9*time.Minute+58*time.Second {
			t.Errorf("closed after %v", took)
		}
		a.Send(wire.ClientFrame{Type: wire.TypePing}) // a socket with a longer token stays open
		servertest.Until[wire.Pong](a)
	})
}

func TestTokenRenewal(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		s := in.Dial(t, servertest.DialOptions{})
		began := time.Now()
		s.Send(hello(servertest.Token(alice, map[string]any{"exp": began.Add(10 * time.Minute).Unix()}), ""))
		servertest.Until[wire.CaughtUp](s)
		testwait.Advance(9 * time.Minute)
		renew := func(token string) { s.Send(wire.ClientFrame{Type: wire.TypeToken, Token: token}) }
		renew(servertest.Token(alice,
			map[string]any{"exp": began.Add(20 * time.Minute).Unix(), "auth_time": began.Unix()}))
		// An expired token is refused, and changes nothing.
		renew(servertest.Token(alice, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}))
		if e := s.Refused("token_ended"); e.ID != "" {
			t.Errorf("%+v", e)
		}
		testwait.Advance(10 * time.Minute)
		s.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.Until[wire.Pong](s)
		wantError(t, s.Closed(4401), "token_ended")
		if took := time.Since(began); took.Round(time.Second) != 20*time.Minute {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestTokensThatEndTheSocket(t *testing.T) {
	for name, tc := range map[string]struct {
		token func() string
		close int
		code  string
	}{
		"of another user": {func() string { return servertest.Token(bob, nil) }, 1008, "token_other_user"},
		"forged":          {func() string { return "sesame" }, 1008, "unauthenticated"},
		"of another project": {func() string {
			return servertest.Token(alice, map[string]any{"aud": "other"})
		}, 1008, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
				s := in.Join(t, alice)
				s.Send(wire.ClientFrame{Type: wire.TypeToken, Token: tc.token()})
				wantError(t, s.Closed(tc.close), tc.code)
			})
		})
	}
}

// A change that an administrator makes reaches open sockets on every instance within 5 s.
func TestGateChangesCloseOpenSockets(t *testing.T) {
	for name, tc := range map[string]struct {
		gate  func() gate.Gate
		close int
		code  string
	}{
		"disabled":   {func() gate.Gate { return gate.Gate{Exists: true, Disabled: true} }, 1008, "account_disabled"},
		"deleted":    {func() gate.Gate { return gate.Gate{} }, 1008, "account_deleted"},
		"signed out": {func() gate.Gate { return gate.Gate{Exists: true, ValidAfter: time.Now()} }, 4401, "token_ended"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
				second := rig.Start(nil)
				sockets := []*servertest.Socket{in.Join(t, alice), second.Join(t, alice)}
				b := second.Join(t, bob)
				testwait.Advance(time.Minute)
				rig.Gates.Set(alice, tc.gate())
				if err := in.ChangeGate(context.Background(), alice, tc.gate()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for _, s := range sockets {
					wantError(t, s.Closed(tc.close), tc.code)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("closed after %v", took)
				}
				b.Send(wire.ClientFrame{Type: wire.TypePing})
				servertest.Until[wire.Pong](b)
			})
		})
	}
}

// A socket that answers pings stays open. A silent one is dropped.
func TestSilentSocketIsDropped(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		b.Pause() // does not even answer pings
		b.Send(wire.ClientFrame{Type: wire.TypePing})
		began := time.Now()
		for in.Sockets() == 2 {
			testwait.Advance(time.Second)
			if time.Since(began) > 10*time.Minute {
				t.Fatal("a silent socket was not dropped")
			}
		}
		if took := time.Since(began); took < wire.DropAfter-time.Second || took > wire.DropAfter+10*time.Second {
			t.Errorf("dropped after %v", took)
		}
		testwait.Advance(10 * time.Minute)
		a.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.Until[wire.Pong](a)
	})
}

// At most 256 messages are unacknowledged. The rest is read from the stream as acks arrive. So it is whether the device
// is connected while the messages arrive or comes later.
func TestFlowControl(t *testing.T) {
	for name, later := range map[string]bool{"connected": false, "comes later": true} {
		t.Run(name, func(t *testing.T) { testFlowControl(t, later) })
	}
}

func testFlowControl(t *testing.T, later bool) {
	bubble(t, func(d *server.Deps) {
		d.Limits.Sends.Burst, d.Limits.Sends.PerSecond = 10_000, 10_000
		d.Limits.UserSends, d.Limits.Frames = d.Limits.Sends, d.Limits.Sends
	}, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		const n = 2*wire.MaxUnacked + 20
		a := in.Join(t, alice)
		var b *servertest.Socket
		if !later {
			b = in.Join(t, bob)
		}
		for i := range n {
			a.Say(bob, fmt.Sprint(i))
		}
		if later {
			b = in.Dial(t, servertest.DialOptions{})
			b.UID = bob
			b.Send(hello(servertest.Token(bob, nil), ""))
			servertest.As[wire.Welcome](b)
		}
		got := 0
		var cursor string
		receive := func(n int) {
			defer func(began time.Time) {
				if took := time.Since(began); took > time.Second {
					t.Errorf("%d messages took %v", n, took)
				}
			}(time.Now())
			for range n {
				e, c := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
				if e.Body != fmt.Sprint(got) {
					t.Fatalf("message %d is %q", got, e.Body)
				}
				got, cursor = got+1, c
			}
		}
		receive(wire.MaxUnacked)
		b.Quiet(2 * time.Second) // before a comparison notices that the device lacks events
		b.Ack(cursor)
		receive(wire.MaxUnacked)
		b.Quiet(time.Minute / 2)
		b.Ack(cursor)
		receive(n - 2*wire.MaxUnacked)
		b.Ack(cursor)
		a.Say(bob, fmt.Sprint(n)) // live again
		receive(1)
		b.Ack(cursor)
		testwait.Advance(5 * time.Second)
		if ids := rig.Published.Messages(t); len(ids) != n+1 {
			t.Errorf("published %d of %d", len(ids), n+1)
		}
	})
}

// A client that does not read delays nobody else, and loses nothing.
func TestSlowReader(t *testing.T) {
	bubble(t, func(d *server.Deps) {
		d.Limits.Sends.Burst, d.Limits.Sends.PerSecond = 10_000, 10_000
		d.Limits.UserSends, d.Limits.Frames = d.Limits.Sends, d.Limits.Sends
	}, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b, tablet := in.Join(t, alice), in.Join(t, bob), in.Join(t, bob)
		b.Pause()
		b.Send(wire.ClientFrame{Type: wire.TypePing})
		const n = 75
		body := strings.Repeat("x", chat.MaxBody)
		for range n {
			a.Say(bob, body)
			_, c := servertest.Event[wire.MessageEvent](tablet, wire.EventMessage)
			tablet.Ack(c)
		}
		b.Resume()
		seen := map[string]bool{}
		for len(seen) < n {
			e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
			if seen[e.ID] {
				t.Fatalf("%s arrived twice", e.ID)
			}
			seen[e.ID] = true
		}
	})
}

func TestDrain(t *testing.T) {
	many := func(d *server.Deps) { d.MaxSocketsPerUser = 20 }
	bubble(t, many, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		var sockets []*servertest.Socket
		for range 20 {
			sockets = append(sockets, in.Join(t, alice))
		}
		b := in.Join(t, bob)
		id := sockets[0].Say(bob, "just before")
		_, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)

		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- in.Drain(ctx) }()
		times := map[time.Duration]bool{}
		for _, s := range sockets {
			g := servertest.Until[wire.Goaway](s)
			if g.Reason != wire.GoawayDrain || g.WithinMS <= 0 || g.WithinMS > 8000 {
				t.Errorf("goaway %+v", g)
			}
			times[s.Heard().Sub(began).Truncate(100*time.Millisecond)] = true
		}
		if len(times) < 8 {
			t.Errorf("20 goaways at only %d different times", len(times))
		}
		if s, status := in.TryDial(t, servertest.DialOptions{}); s != nil || status != 503 {
			t.Errorf("a new socket while draining: %d", status)
		}
		// Sockets are served to the end: the ack of an earlier message is settled.
		b.Ack(cursor)
		servertest.Until[wire.Goaway](b)
		nb, w, _ := second.Hello(t, bob, cursor)
		if !w.Resumed {
			t.Error("the session did not resume on the other instance")
		}
		b.Close()
		for _, s := range sockets[:10] {
			s.Close()
		}
		for _, s := range sockets[10:] { // these do not move
			s.Closed(websocket.CloseGoingAway)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("drained after %v", took)
		}
		if ids := rig.Published.Messages(t); len(ids) != 1 || ids[0] != id {
			t.Errorf("published %v, want %s", ids, id)
		}
		nb.Quiet(time.Second)
	})
}

func TestDrainWithoutSocketsIsQuick(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		in.Join(t, alice).Close()
		testwait.Advance(time.Second)
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		if err := in.Drain(ctx); err != nil || time.Since(began) > 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// Pub/Sub is down: the handler of a socket waits for its acks for 5 s at most, and messages that were not published are
// settled when the device comes back.
func TestEndWithoutPubSub(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Published.Fail(errors.New("pub/sub is down"))
		a, b := in.Join(t, alice), in.Join(t, bob)
		a.Say(bob, "x")
		_, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		b.Ack(cursor)
		testwait.Advance(time.Minute)
		began := time.Now()
		b.Break()
		for in.Sockets() == 2 {
			testwait.Advance(100 * time.Millisecond)
			if time.Since(began) > time.Minute {
				t.Fatal("the handler did not return")
			}
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("the handler returned after %v", took)
		}
		rig.Published.Fail(nil)
		_, w, _ := in.Hello(t, bob, cursor)
		if !w.Resumed {
			t.Error("the session did not resume")
		}
		d, _ := servertest.Event[wire.DeliveredEvent](a, wire.EventDelivered)
		if len(d.Messages) != 1 {
			t.Errorf("delivered %+v", d)
		}
	})
}

// Messages that were read before the client closed the socket are sent.
func TestSendsBeforeCloseAreSent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		b := in.Join(t, bob)
		in.Redis.Slow(300 * time.Millisecond)
		a := in.Join(t, alice)
		for range 3 {
			a.Send(servertest.Message(bob, "x"))
		}
		a.Close()
		in.Redis.Slow(0)
		for range 3 {
			servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		}
	})
}
