package session_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// wantError checks the error that ended a socket.
func wantError(t *testing.T, got wire.ErrorFrame, code string) {
	t.Helper()
	if got.Code != code || got.Message == "" {
		t.Errorf("the last error is %+v, want code %q with a message", got, code)
	}
}

func hello(token, cursor string) wire.ClientFrame {
	return wire.ClientFrame{Type: wire.TypeHello, Token: token, Device: "d1", Cursor: cursor}
}

func TestHello(t *testing.T) {
	defaults := func(d *server.Deps) { d.Inboxes.Limits = inbox.Limits{} }
	bubble(t, defaults, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		s, w, events := in.Hello(t, alice, "")
		if w.UID != alice || w.Resumed || w.Limits != wire.DefaultLimits() || w.Now != chat.MicrosOf(time.Now()) ||
			len(events) != 0 {
			t.Errorf("welcome %+v, %d events", w, len(events))
		}
		s.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.As[wire.Pong](s)
		s.Close()
	})
}

func TestNoHello(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		began := time.Now()
		s := in.Dial(t, servertest.DialOptions{})
		wantError(t, s.Closed(websocket.ClosePolicyViolation), "hello_timeout")
		if took := time.Since(began); took != wire.HelloWithin {
			t.Errorf("closed after %v, want %v", took, wire.HelloWithin)
		}
	})
}

// Frames of unknown types do not extend the time for the hello.
func TestUnknownFramesDoNotDelayTheHelloTimeout(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		began := time.Now()
		s := in.Dial(t, servertest.DialOptions{})
		for range 5 {
			s.Text(`{"type":"wave"}`)
			testwait.Advance(time.Second)
		}
		wantError(t, s.Closed(websocket.ClosePolicyViolation), "hello_timeout")
		if took := time.Since(began); took != wire.HelloWithin {
			t.Errorf("closed after %v, want %v", took, wire.HelloWithin)
		}
	})
}

func TestFirstFrames(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		close int
		code  string
	}{
		"send before hello": {
			`{"type":"send","id":"019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e","to":"bobUid0002","body":"x","at":1}`,
			1008, "hello_expected",
		},
		"ping before hello":   {`{"type":"ping"}`, 1008, "hello_expected"},
		"ack before hello":    {`{"type":"ack","cursor":"e:1-0"}`, 1008, "hello_expected"},
		"not JSON":            {`hello`, 1008, "bad_frame"},
		"an array":            {`[]`, 1008, "bad_frame"},
		"empty":               {``, 1008, "bad_frame"},
		"invalid UTF-8":       {"{\"type\":\"hello\",\"token\":\"\xff\"}", 1008, "bad_frame"},
		"no type":             {`{}`, 1008, "bad_frame"},
		"hello without token": {`{"type":"hello","device":"d"}`, 1008, "bad_frame"},
		"malformed send":      {`{"type":"send","id":"m1"}`, 1008, "bad_frame"},
		"too large": {
			`{"type":"hello","token":"` + strings.Repeat("x", chat.MaxFrameSize) + `"}`, 1009, "frame_too_large",
		},
		"much too large": {strings.Repeat("x", 1<<20), 1009, "frame_too_large"},
		"bad token":      {`{"type":"hello","token":"sesame","device":"d"}`, 1008, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
				other := in.Join(t, bob)
				s := in.Dial(t, servertest.DialOptions{})
				s.Text(tc.text)
				wantError(t, s.Closed(tc.close), tc.code)
				other.Send(wire.ClientFrame{Type: wire.TypePing}) // other sockets are not affected
				servertest.As[wire.Pong](other)
			})
		})
	}
}

func TestBinaryFrame(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		s := in.Dial(t, servertest.DialOptions{})
		s.Binary([]byte(`{"type":"ping"}`))
		wantError(t, s.Closed(websocket.ClosePolicyViolation), "bad_frame")
	})
}

func TestTokensAtHello(t *testing.T) {
	now := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, tc := range map[string]struct {
		change func() map[string]any
		close  int
		code   string
	}{
		"expired": {func() map[string]any { return map[string]any{"exp": now(-time.Second)} }, 4401, "token_ended"},
		"of another project": {func() map[string]any {
			return map[string]any{"aud": "other", "iss": "https://securetoken.google.com/other"}
		}, 1008, "unauthenticated"},
		"from the future": {func() map[string]any {
			return map[string]any{"iat": now(time.Minute)}
		}, 1008, "unauthenticated"},
		"of an unknown user": {func() map[string]any {
			return map[string]any{"sub": "nobodyUid0009"}
		}, 1008, "account_deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
				s := in.Dial(t, servertest.DialOptions{})
				s.Send(hello(servertest.Token(alice, tc.change()), ""))
				wantError(t, s.Closed(tc.close), tc.code)
			})
		})
	}
}

func TestGateAtHello(t *testing.T) {
	for name, tc := range map[string]struct {
		gate  func() gate.Gate
		close int
		code  string
	}{
		"disabled": {func() gate.Gate {
			return gate.Gate{Exists: true, Disabled: true}
		}, 1008, "account_disabled"},
		"deleted": {func() gate.Gate { return gate.Gate{} }, 1008, "account_deleted"},
		"signed out elsewhere": {func() gate.Gate {
			return gate.Gate{Exists: true, ValidAfter: time.Now().Add(time.Second)}
		}, 4401, "token_ended"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
				rig.Gates.Set(alice, tc.gate())
				s := in.Dial(t, servertest.DialOptions{})
				s.Send(hello(servertest.Token(alice, nil), ""))
				wantError(t, s.Closed(tc.close), tc.code)
			})
		})
	}
}

// The handshake of a page of another origin is refused.
func TestOriginsAreCheckedInTheHandshake(t *testing.T) {
	for name, origin := range map[string]string{
		"another host":     "https://evil.example.org",
		"another scheme":   "http://chat.example.org",
		"another port":     "https://chat.example.org:8443",
		"a longer host":    "https://chat.example.org.evil.org",
		"a sandboxed page": "null",
		"no origin":        "-",
		"in upper case":    "HTTPS://chat.example.org",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
				s, status := in.TryDial(t, servertest.DialOptions{Origin: origin})
				if s != nil || status != 403 {
					t.Errorf("socket %v, status %d", s != nil, status)
				}
			})
		})
	}
}

func TestProtocols(t *testing.T) {
	for name, protocol := range map[string]string{"no protocol": "-", "a later protocol": "chat.v2"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
				s := in.Dial(t, servertest.DialOptions{Subprotocol: protocol})
				s.Send(hello(servertest.Token(alice, nil), ""))
				wantError(t, s.Closed(websocket.ClosePolicyViolation), "protocol_unknown")
			})
		})
	}
}

func TestTwoHellos(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		s := in.Join(t, alice)
		s.Send(hello(servertest.Token(alice, nil), ""))
		wantError(t, s.Closed(websocket.ClosePolicyViolation), "hello_repeated")
	})
}

func TestRedisUnreachableAtHello(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		in.Join(t, bob)
		in.Redis.Down(true)
		s := in.Dial(t, servertest.DialOptions{})
		s.Send(hello(servertest.Token(alice, nil), ""))
		e := s.Closed(websocket.CloseTryAgainLater)
		wantError(t, e, "unavailable")
		if e.RetryAfterMS <= 0 {
			t.Error("the error has no retry_after_ms")
		}
		in.Redis.Down(false)
		testwait.Advance(5 * time.Second) // clients wait before they try again, too
		in.Join(t, alice)
	})
}

func TestStoreIsDownAtHello(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Gates.Down(true)
		s := in.Dial(t, servertest.DialOptions{})
		s.Send(hello(servertest.Token(alice, nil), ""))
		wantError(t, s.Closed(websocket.CloseTryAgainLater), "unavailable")
	})
}

// A slow store is reported with the same code as a store that is down.
func TestStoreIsSlowAtHello(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Gates.Slow(time.Hour)
		s := in.Dial(t, servertest.DialOptions{})
		began := time.Now()
		s.Send(hello(servertest.Token(alice, nil), ""))
		wantError(t, s.Closed(websocket.CloseTryAgainLater), "unavailable")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the error came after %v", took)
		}
	})
}

// The oldest socket makes room for a new one. Its close code keeps the client from coming back at once.
func TestOldestSocketOfAUserIsReplaced(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		var sockets []*servertest.Socket
		for range 11 {
			sockets = append(sockets, in.Join(t, alice))
		}
		b := in.Join(t, bob)
		wantError(t, sockets[0].Closed(4409), "socket_replaced")
		for _, s := range append(sockets[1:], b) {
			s.Send(wire.ClientFrame{Type: wire.TypePing})
			servertest.As[wire.Pong](s)
		}
		sockets[5].Close()
		testwait.Advance(time.Second)
		in.Join(t, alice) // there is room
		sockets[1].Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.As[wire.Pong](sockets[1])
	})
}

// A client whose token is verified is no stranger anymore, however long the rest of its hello takes. Instead, the
// limit of its user applies, so that one user cannot occupy the instance while the store is slow. Other users are not
// affected, and the user may connect again once the hellos are done.
func TestSlowHellosCountForTheirUser(t *testing.T) {
	const limit = 3
	change := func(d *server.Deps) { d.Greetings, d.MaxSocketsPerUser = server.Greetings{Near: 1}, limit }
	bubble(t, change, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Gates.Slow(time.Second)
		greet := func(uid string) *servertest.Socket {
			s := in.Dial(t, servertest.DialOptions{}) // would be refused if the one before still counted as a stranger
			s.Send(hello(servertest.Token(uid, nil), ""))
			testwait.Advance(time.Millisecond)
			return s
		}
		var sockets []*servertest.Socket
		for range limit {
			sockets = append(sockets, greet(alice))
		}
		refused := greet(alice).Closed(websocket.ClosePolicyViolation)
		wantError(t, refused, "rate_limited")
		if refused.RetryAfterMS == 0 {
			t.Error("the refusal does not say when to try again")
		}
		testwait.Advance(time.Millisecond) // the refused one was a stranger until its end
		for _, s := range append(sockets, greet(bob)) {
			servertest.Until[wire.Welcome](s)
		}
		rig.Gates.Slow(0)
		testwait.Advance(5 * time.Second)
		in.Join(t, alice)
	})
}

// A hello that fails replaces no socket.
func TestFailedHelloReplacesNothing(t *testing.T) {
	limit := func(d *server.Deps) { d.MaxSocketsPerUser = 1 }
	bubble(t, limit, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		first := in.Join(t, alice)
		synctest.Wait() // the hello ends after the welcome, and one more would be too many
		s := in.Dial(t, servertest.DialOptions{})
		in.Redis.Down(true)
		s.Send(hello(servertest.Token(alice, nil), ""))
		wantError(t, s.Closed(websocket.CloseTryAgainLater), "unavailable")
		in.Redis.Down(false)
		first.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.Until[wire.Pong](first)
	})
}

// Sockets that were sent a goaway do not count: the client is moving to others.
func TestMovingSocketsAreNotCounted(t *testing.T) {
	change := func(d *server.Deps) {
		d.MaxSocketsPerUser, d.SocketAgeMin, d.SocketAgeMax = 2, 20*time.Minute, 20*time.Minute
	}
	bubble(t, change, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		old := []*servertest.Socket{in.Join(t, alice), in.Join(t, alice)}
		for _, s := range old {
			waitFor[wire.Goaway](t, s, time.Hour)
		}
		young := []*servertest.Socket{in.Join(t, alice), in.Join(t, alice)}
		for _, s := range append(old, young...) {
			s.Send(wire.ClientFrame{Type: wire.TypePing})
			servertest.Until[wire.Pong](s)
		}
		in.Join(t, alice)
		wantError(t, young[0].Closed(4409), "socket_replaced")
	})
}

func TestTooManySocketsOfAnInstance(t *testing.T) {
	bubble(t, func(d *server.Deps) { d.MaxSockets = 2 }, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		in.Join(t, alice)
		first := in.Join(t, bob)
		if s, status := in.TryDial(t, servertest.DialOptions{}); s != nil || status != 503 {
			t.Errorf("a third socket with a limit of two: %v, %d", s, status)
		}
		first.Close()
		testwait.Advance(time.Second)
		in.Join(t, carol)
	})
}

// A cursor that this inbox never issued is not an error, and acknowledges nothing. The welcome says that events may be
// missing, and the device receives everything that is retained.
func TestForgedCursors(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		id := a.Say(bob, "one")
		b, _, events := in.Hello(t, bob, "")
		if len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		own := events[0].Cursor
		epoch, _, _ := strings.Cut(own, ":")
		b.Break()
		_, _, mine := in.Hello(t, alice, "")
		for name, cursor := range map[string]string{
			"from the future":   epoch + ":99999999999999-0",
			"another user's":    mine[len(mine)-1].Cursor,
			"of another epoch":  "0123456789abcdef:1-0",
			"nonsense":          "newest",
			"negative":          epoch + ":-5-0",
			"with a long epoch": strings.Repeat("e", 150) + ":1-0",
		} {
			s, w, events := in.Hello(t, bob, cursor)
			if name == "another user's" && w.Resumed {
				continue // both inboxes are on the same clock, so the cursor is a place between their events
			}
			if w.Resumed || len(events) != 1 {
				t.Errorf("%s: resumed %v with %d events, want all events again", name, w.Resumed, len(events))
			}
			s.Break()
		}
		testwait.Advance(5 * time.Second)
		if got := rig.Published.Messages(t); len(got) != 0 {
			t.Errorf("a forged cursor acknowledged %v (%s was sent)", got, id)
		}
	})
}

// delayedReply is a redis.Hook that calls a function once, after Redis has answered a pipeline that names a key, and
// before the caller gets the answer.
type delayedReply struct {
	key  string
	then func()
	once sync.Once
}

func (h *delayedReply) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *delayedReply) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *delayedReply) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return slices.Contains(redistest.Args(c), any(h.key)) }) {
			h.once.Do(h.then)
		}
		return err
	}
}

// The user's gate changes while a hello is under way. The socket does not keep the gate from before.
func TestGateChangesDuringHello(t *testing.T) {
	for name, changed := range map[string]gate.Gate{
		"nothing":  {Exists: true},
		"blocks":   {Exists: true, Blocked: []string{bob}},
		"disabled": {Exists: true, Disabled: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, rig *servertest.Rig, other *servertest.Instance) {
				reply := &delayedReply{key: "devices:{" + alice + "}"}
				in := rig.Start(func(d *server.Deps) { d.Redis.AddHook(reply) })
				a, b := other.Join(t, alice), other.Join(t, bob)
				a.Say(bob, "hello")
				servertest.Event[wire.MessageEvent](b, wire.EventMessage)
				b.Say(alice, "hello")
				servertest.Event[wire.MessageEvent](a, wire.EventMessage)
				a.Close()
				noticed := make(chan struct{})
				reply.then = func() {
					defer close(noticed)
					rig.Gates.Set(alice, changed)
					if err := other.ChangeGate(t.Context(), alice, changed); err != nil {
						t.Error(err)
					}
					time.Sleep(2 * time.Second) // in which the notice arrives
				}
				a = in.Dial(t, servertest.DialOptions{})
				a.Send(hello(servertest.Token(alice, nil), ""))
				if changed.Disabled {
					wantError(t, a.Closed(websocket.ClosePolicyViolation), "account_disabled")
					<-noticed // the socket closes before the answer to the change has been written
					return
				}
				servertest.As[wire.Welcome](a)
				a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: bob})
				got := 0
				for {
					f, ok := b.Wait(5 * time.Second)
					if !ok {
						break
					}
					if f, ok := f.(wire.Typing); ok && f.From == alice {
						got++
					}
				}
				if want := 1 - len(changed.Blocked); got != want {
					t.Errorf("%d hints that alice is typing, want %d", got, want)
				}
			})
		})
	}
}
