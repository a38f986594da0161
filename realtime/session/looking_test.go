package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// visit opens a socket with a hello that has the given fields, and acknowledges what waits.
func visit(t *testing.T, in *servertest.Instance, uid, device string, looking, background bool) *servertest.Socket {
	t.Helper()
	s := in.Dial(t, servertest.DialOptions{})
	s.UID = uid
	s.Send(wire.ClientFrame{Type: wire.TypeHello, Token: servertest.Token(uid, nil), Device: device, Looking: looking,
		Background: background})
	servertest.As[wire.Welcome](s)
	_, cursor := s.CaughtUp()
	s.Ack(cursor)
	return s
}

func look(s *servertest.Socket, looking bool) {
	s.Send(wire.ClientFrame{Type: wire.TypeLooking, Looking: looking})
	testwait.Advance(10 * time.Millisecond)
}

// notified checks what was published about messages to people who are away, a moment later.
func notified(t *testing.T, rig *servertest.Rig, what, want string) {
	t.Helper()
	testwait.Advance(1500 * time.Millisecond)
	if got := rig.Notified.Texts(); got != want {
		t.Errorf("%s: published %q, want %q", what, got, want)
	}
}

// registered gives users a device that is registered for push, and makes them acquainted with alice.
func registered(rig *servertest.Rig, uids ...string) {
	rig.Acquaint(append(uids, alice)...)
	for _, uid := range uids {
		rig.Gates.Set(uid, gate.Gate{Exists: true, Push: true})
	}
}

// ackMessage reads the next message and acknowledges it.
func ackMessage(s *servertest.Socket) {
	_, cursor := servertest.Event[wire.MessageEvent](s, wire.EventMessage)
	s.Ack(cursor)
}

// A recipient is notified if a device is registered for push, and nobody looks at any device.
func TestNotifiedUnlessSomebodyLooks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		registered(rig, bob)
		a := in.Join(t, alice)
		a.Say(carol, "hello")
		notified(t, rig, "nobody is registered", "")
		a.Say(bob, "one")
		notified(t, rig, "no socket", "bobUid0002: 1 one")

		hidden := visit(t, second, bob, "desktop", false, false)
		a.Say(bob, "two")
		ackMessage(hidden)
		testwait.Advance(3 * time.Second)
		notified(t, rig, "a hidden device acknowledges", "bobUid0002: 1 two")

		phone := visit(t, in, bob, "phone", true, false)
		a.Say(bob, "three")
		ackMessage(hidden)
		ackMessage(phone)
		notified(t, rig, "somebody looks", "")
		look(phone, false)
		a.Say(bob, "four")
		notified(t, rig, "nobody looks any more", "bobUid0002: 1 four")
		look(hidden, true)
		ackMessage(hidden)
		a.Say(bob, "five")
		ackMessage(hidden)
		testwait.Advance(15 * time.Second)
		notified(t, rig, "somebody looks at another device", "")
		hidden.Close()
		testwait.Advance(time.Second)
		a.Say(bob, "six")
		notified(t, rig, "the device was closed", "bobUid0002: 1 six")
	})
}

// Only messages are notified of.
func TestChangesAreNotNotifiedOf(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		registered(rig, bob)
		a := in.Join(t, alice)
		m := servertest.Message(bob, "hello")
		a.Send(m)
		servertest.Until[wire.Sent](a)
		notified(t, rig, "a message", "bobUid0002: 1 hello")
		of := chat.Target{ID: m.ID, From: alice, At: m.At}
		a.Send(servertest.Change(bob, of, chat.KindEdit, "better"))
		servertest.Until[wire.Sent](a)
		a.Send(servertest.Change(bob, of, chat.KindReact, "👍"))
		servertest.Until[wire.Sent](a)
		a.Send(m) // as a client does that has connected again
		servertest.Until[wire.Sent](a)
		testwait.Advance(5 * time.Second)
		notified(t, rig, "changes, and a repetition", "")
	})
}

// A device at which somebody looks, and which does not acknowledge, has lost its network.
func TestNotifiedOfWhatIsNotAcknowledged(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		registered(rig, bob)
		a := in.Join(t, alice)
		b := visit(t, in, bob, "phone", true, false)
		hidden := visit(t, in, bob, "desktop", false, false)
		a.Say(bob, "seen")
		ackMessage(b)
		testwait.Advance(7 * time.Second)
		a.Say(bob, "one")
		ackMessage(hidden)
		ackMessage(hidden)
		testwait.Advance(2 * time.Second)
		a.Say(bob, "two")
		ackMessage(hidden)
		testwait.Advance(7900 * time.Millisecond)
		if got := rig.Notified.Texts(); got != "" {
			t.Errorf("published %q before 10 s", got)
		}
		notified(t, rig, "10 s later", "bobUid0002: 2 two")
		testwait.Advance(30 * time.Second)
		notified(t, rig, "later", "")
		b.Break()
		testwait.Advance(5 * time.Second)
		notified(t, rig, "the connection broke", "")
	})
}

// A device that acknowledges in time is not late, however long it is open.
func TestAcknowledgedInTime(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		registered(rig, bob)
		a := in.Join(t, alice)
		b := visit(t, in, bob, "phone", true, false)
		for n := range 12 {
			a.Say(bob, fmt.Sprint(n))
			testwait.Advance(3 * time.Second)
			ackMessage(b)
		}
		testwait.Advance(30 * time.Second)
		notified(t, rig, "every message was acknowledged", "")
	})
}

// Another device at which somebody looks shows what the first one does not.
func TestNotNotifiedWhileAnotherDeviceShowsIt(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		registered(rig, bob, carol)
		a := in.Join(t, alice)
		visit(t, in, bob, "lost", true, false)
		here := visit(t, in, bob, "here", true, false)
		visit(t, in, carol, "lost", true, false)
		there := visit(t, second, carol, "there", true, false)
		a.Say(bob, "x")
		a.Say(carol, "x")
		ackMessage(here)
		ackMessage(there)
		testwait.Advance(40 * time.Second)
		notified(t, rig, "another device shows it", "")
	})
}

// When the last device that somebody looked at leaves, the user is notified at once of the messages that wait.
func TestNotifiedOfWhatIsLeft(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		registered(rig, bob)
		a := in.Join(t, alice)
		b := visit(t, in, bob, "phone", true, false)
		a.Say(bob, "seen")
		ackMessage(b)
		testwait.Advance(time.Second)
		a.Say(bob, "left")
		b.Break()
		notified(t, rig, "the socket ended", "bobUid0002: 1 left")

		b = visit(t, in, bob, "phone", true, false)
		testwait.Advance(time.Second)
		b.Close()
		notified(t, rig, "everything was acknowledged", "")

		hidden := visit(t, in, bob, "desktop", false, false)
		a.Say(bob, "away")
		notified(t, rig, "nobody looks", "bobUid0002: 1 away")
		hidden.Break()
		notified(t, rig, "nobody looked", "")
	})
}

// A background socket gets and acknowledges messages, and is otherwise invisible.
func TestBackgroundSocket(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		registered(rig, bob)
		a := in.Join(t, alice)
		a.Say(bob, "one")
		notified(t, rig, "no socket", "bobUid0002: 1 one")
		a.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{bob}})
		if p := servertest.As[wire.Presence](a); p.Online || p.LastSeen != 0 {
			t.Errorf("at first: %+v", p)
		}
		began := time.Now()
		b := visit(t, in, bob, "phone", true, true)
		b.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{alice}})
		b.Send(wire.ClientFrame{Type: wire.TypeTyping, To: alice})
		a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: bob})
		a.Say(bob, "two")
		_, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		b.Ack(cursor)
		testwait.Advance(2 * time.Second)
		notified(t, rig, "a background socket does not look", "bobUid0002: 1 two")
		if got := rig.Published.Messages(t); len(got) != 2 {
			t.Errorf("%d messages were saved, want 2", len(got))
		}
		b.Send(wire.ClientFrame{Type: wire.TypeLooking, Looking: true})
		b.Refused("forbidden")
		b.Say(alice, "an answer")
		b.Closed(websocket.CloseGoingAway)
		if took := time.Since(began); took > wire.BackgroundFor+time.Second || took < wire.BackgroundFor-time.Second {
			t.Errorf("closed after %v", took)
		}
		testwait.Advance(6 * time.Minute) // watchers look again
		for _, key := range rig.Mini.Keys() {
			if strings.HasPrefix(key, "presence:{"+bob) || strings.HasPrefix(key, "lastseen:{"+bob) {
				t.Errorf("a background socket left %s", key)
			}
		}
		for {
			f, _, ok := a.TryNext()
			if !ok {
				break
			}
			switch f := f.(type) {
			case wire.Presence, wire.Typing:
				t.Errorf("a background socket caused %+v", f)
			}
		}
	})
}

// Background sockets count toward the limit of a user's sockets.
func TestBackgroundSocketsCount(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		first := visit(t, in, bob, "d0", false, true)
		for n := range 10 {
			visit(t, in, bob, fmt.Sprint("d", n+1), false, true)
		}
		first.Closed(4409)
	})
}

// Changes of looking beyond the rate wait; the newest one counts.
func TestLookingIsLimited(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		registered(rig, bob)
		a := in.Join(t, alice)
		b := visit(t, in, bob, "phone", false, false)
		before := rig.Mini.CommandCount()
		for n := range 200 {
			b.Send(wire.ClientFrame{Type: wire.TypeLooking, Looking: n%2 == 0})
		}
		testwait.Advance(10 * time.Millisecond)
		if n := rig.Mini.CommandCount() - before; n > 100 {
			t.Errorf("200 frames caused %d commands", n)
		}
		testwait.Advance(5 * time.Second)
		a.Say(bob, "x")
		notified(t, rig, "nobody looks in the end", "bobUid0002: 1 x")
	})
}
