package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// sayAndRead sends a message to bob and reads all frames that it causes on the same socket. It returns the number of
// sent events among them, and the last cursor.
func sayAndRead(t *testing.T, s *servertest.Socket, body string) (events int, cursor string) {
	t.Helper()
	s.Send(servertest.Message(bob, body))
	for {
		switch f := s.Next().(type) {
		case wire.Sent:
			synctest.Wait() // for the sent event
			s.Send(wire.ClientFrame{Type: wire.TypePing})
		case wire.Pong:
			return events, cursor
		case wire.EventFrame:
			events, cursor = events+1, f.Cursor
		}
	}
}

// joinTablet opens a socket of alice on a second device.
func joinTablet(t *testing.T, in *servertest.Instance) *servertest.Socket {
	t.Helper()
	s := in.Dial(t, servertest.DialOptions{})
	s.HelloFrom(alice, "tablet", "")
	return s
}

// The socket that sends a message does not get its sent event, because the answer says the same. Its position moves
// past the event, so the next event follows without a read of the stream. Other devices of the user get it.
func TestSentEventsAreForOtherDevices(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		phone, tablet, b := in.Join(t, alice), joinTablet(t, second), second.Join(t, bob)
		for i := range 5 {
			id := phone.Say(bob, fmt.Sprint(i))
			if got, _ := servertest.Event[wire.MessageEvent](tablet, wire.EventSent); got.ID != id {
				t.Fatalf("the tablet got %+v, want %s", got, id)
			}
			synctest.Wait()
		}
		own := tablet.Say(bob, "from the tablet")
		if got, _ := servertest.Event[wire.MessageEvent](phone, wire.EventSent); got.ID != own {
			t.Errorf("the phone got %+v, want the message of the tablet", got)
		}
		if n := in.Counters().Session.Echoes.Load(); n != 5 {
			t.Errorf("%d sent events were kept from the phone, want 5", n)
		}
		if n := in.Counters().Inbox.FeedsLost.Load(); n != 0 {
			t.Errorf("the feed was lost %d times", n)
		}
		reply := b.Say(alice, "reply")
		got, cursor := servertest.Event[wire.MessageEvent](phone, wire.EventMessage)
		if got.ID != reply {
			t.Errorf("the phone got %+v", got)
		}
		// Nothing is missing after the cursor of the reply, and nothing comes twice.
		phone.Break()
		_, w, events := in.Hello(t, alice, cursor)
		if !w.Resumed || len(events) != 0 {
			t.Errorf("resumed %v with %d events", w.Resumed, len(events))
		}
	})
}

// The cursor of a client that only sends follows its messages: every sixteenth sent event comes, so a resume reads at
// most fifteen again, and skips nothing.
func TestCursorOfASenderMoves(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		joinTablet(t, in) // without another device there are no sent events
		const n = 40
		var cursor string
		got := 0
		for i := range n {
			events, c := sayAndRead(t, a, fmt.Sprint(i))
			if got += events; c != "" {
				cursor = c
			}
		}
		if got != 2 {
			t.Errorf("%d of %d sent events came, want 2", got, n)
		}
		a.Break()
		_, w, events := in.Hello(t, alice, cursor)
		if !w.Resumed || len(events) != n-32 {
			t.Errorf("resumed %v with %d events, want the 8 after the last cursor", w.Resumed, len(events))
		}
	})
}

// The message of another device with the same id, to somebody else, is no echo, even while an echo is expected: a
// repeated send has none.
func TestSameIDOfAnotherDeviceIsSent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		phone, tablet := in.Join(t, alice), in.Join(t, alice)
		m := servertest.Message(bob, "to bob")
		phone.Send(m)
		servertest.Event[wire.MessageEvent](tablet, wire.EventSent)
		servertest.Until[wire.Sent](phone)
		phone.Send(m)
		servertest.Until[wire.Sent](phone)
		m.To, m.Body = carol, "to carol"
		tablet.Send(m)
		if got, _ := servertest.Event[wire.MessageEvent](phone, wire.EventSent); got.To != carol {
			t.Errorf("the phone got %+v", got)
		}
	})
}
