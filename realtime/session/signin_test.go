package session_test

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// The end of one sign-in closes its sockets within 5 s, and leaves the user's other sockets open. Its tokens are no
// longer accepted, neither in a hello nor on an open socket. A device that was signed out on purpose learns that.
func TestEndedSignIn(t *testing.T) {
	for code, signedOut := range map[string]bool{"token_ended": false, "signed_out": true} {
		t.Run(code, func(t *testing.T) { testEndedSignIn(t, code, signedOut) })
	}
}

func testEndedSignIn(t *testing.T, code string, signedOut bool) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		ended, other := time.Now(), time.Now().Add(-time.Hour)
		token := func(signIn time.Time) string {
			return servertest.Token(alice, map[string]any{"auth_time": signIn.Unix()})
		}
		join := func(signIn time.Time) *servertest.Socket {
			s := in.Dial(t, servertest.DialOptions{})
			s.Send(hello(token(signIn), ""))
			servertest.Until[wire.CaughtUp](s)
			return s
		}
		phone, laptop := join(ended), join(other)
		testwait.Advance(time.Minute)
		g := gate.Gate{Exists: true, Ended: []time.Time{ended.Truncate(time.Second)}}
		if signedOut {
			g.SignedOut = g.Ended
		}
		rig.Gates.Set(alice, g)
		if err := in.ChangeGate(t.Context(), alice, g); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		wantError(t, phone.Closed(4401), code)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("closed after %v", took)
		}
		again := in.Dial(t, servertest.DialOptions{})
		again.Send(hello(token(ended), ""))
		wantError(t, again.Closed(4401), code)
		laptop.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.Until[wire.Pong](laptop)
		laptop.Send(wire.ClientFrame{Type: wire.TypeToken, Token: token(ended)})
		wantError(t, laptop.Closed(4401), code)
	})
}
