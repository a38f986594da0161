package session_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// First bytes of frame headers (RFC 6455, section 5.2).
const (
	firstFragment = 0x01 // of a text message
	fragment      = 0x00
	lastFragment  = 0x80
	pingFrame     = 0x89
	pongFrame     = 0x8a
)

// bystander checks that the socket of somebody else is served without delay.
func bystander(t *testing.T, s *servertest.Socket) {
	t.Helper()
	began := time.Now()
	s.Send(wire.ClientFrame{Type: wire.TypePing})
	servertest.Until[wire.Pong](s)
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("a bystander waited %v", took)
	}
}

// Frames that carry no message are counted, although the WebSocket library handles them by itself.
func TestFloodsOutsideOfMessages(t *testing.T) {
	for name, tc := range map[string]struct{ begin, repeat []byte }{
		"pings":           {nil, servertest.RawFrame(pingFrame, "x")},
		"pongs":           {nil, servertest.RawFrame(pongFrame, "")},
		"empty fragments": {servertest.RawFrame(firstFragment, ""), servertest.RawFrame(fragment, "")},
		"tiny fragments":  {servertest.RawFrame(firstFragment, "{"), servertest.RawFrame(fragment, " ")},
		"fragments, pings in between": {servertest.RawFrame(firstFragment, ""),
			append(servertest.RawFrame(fragment, ""), servertest.RawFrame(pingFrame, "")...)},
	} {
		for _, when := range []string{"before hello", "after hello"} {
			t.Run(name+" "+when, func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
					b := in.Join(t, bob)
					s := in.Dial(t, servertest.DialOptions{})
					if when == "after hello" {
						s.Send(hello(servertest.Token(alice, nil), ""))
						servertest.Until[wire.CaughtUp](s)
					}
					var sent atomic.Int64
					go func() {
						if s.Raw(tc.begin) != nil {
							return
						}
						for range 100_000 {
							if s.Raw(tc.repeat) != nil {
								return
							}
							sent.Add(1)
						}
					}()
					wantError(t, s.Closed(websocket.ClosePolicyViolation), "rate_limited")
					testwait.Advance(5 * time.Second)
					if n := sent.Load(); n > 10_000 {
						t.Errorf("%d frames were read", n)
					}
					bystander(t, b)
				})
			})
		}
	}
}

// An ordinary number of pings and fragments is not a flood.
func TestPingsAndFragmentsOfAnHonestClient(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		s := in.Join(t, alice)
		for range 300 {
			must(t, s.Raw(servertest.RawFrame(pingFrame, "")))
			testwait.Advance(time.Second)
		}
		for range 50 {
			must(t, s.Raw(servertest.RawFrame(firstFragment, `{"type":`)))
			for range 20 {
				must(t, s.Raw(servertest.RawFrame(fragment, " ")))
			}
			must(t, s.Raw(servertest.RawFrame(pingFrame, "")))
			must(t, s.Raw(servertest.RawFrame(lastFragment, `"ping"}`)))
			servertest.As[wire.Pong](s)
			testwait.Advance(time.Second)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A fragmented message must be complete in time. Pings between the fragments do not extend the time.
func TestSlowFragments(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		s, b := in.Join(t, alice), in.Join(t, bob)
		began := time.Now()
		must(t, s.Raw(servertest.RawFrame(firstFragment, `{`)))
		go func() {
			for s.Raw(append(servertest.RawFrame(fragment, " "), servertest.RawFrame(pingFrame, "")...)) == nil {
				<-time.After(time.Second)
			}
		}()
		wantError(t, s.Closed(websocket.ClosePolicyViolation), "rate_limited")
		if took := time.Since(began); took < 15*time.Second || took > 16*time.Second {
			t.Errorf("closed after %v, want 15 s", took)
		}
		s.Break()
		bystander(t, b)
	})
}

// A client that sends too many bytes is slowed down, and not closed.
func TestBytesAreReadAtALimitedRate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		const n, size = 80, 60_000
		began := time.Now()
		go func() {
			for range n {
				a.Text(`{"type":"ping","pad":"` + strings.Repeat("x", size) + `"}`)
			}
		}()
		for range n {
			servertest.As[wire.Pong](a)
		}
		rate := session.Limits{}.WithDefaults().Bytes
		want := time.Duration(float64(n*size-rate.Burst) / rate.PerSecond * float64(time.Second))
		if took := time.Since(began); took < want || took > want*11/10 {
			t.Errorf("%d bytes took %v, want %v", n*size, took, want)
		}
		bystander(t, b)
	})
}

// The limit of bytes applies to all sockets of a user together.
func TestBytesOfAUserAreReadAtALimitedRate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		b := in.Join(t, bob)
		const sockets, n, size = 5, 30, 60_000
		began := time.Now()
		var wg sync.WaitGroup
		for range sockets {
			a := in.Join(t, alice)
			go func() {
				for range n {
					a.Text(`{"type":"ping","pad":"` + strings.Repeat("x", size) + `"}`)
				}
			}()
			wg.Go(func() {
				for range n {
					if _, ok := a.Wait(10 * time.Minute); !ok {
						t.Error("no answer")
						return
					}
				}
			})
		}
		wg.Wait()
		rate := session.Limits{}.WithDefaults().UserBytes
		want := time.Duration(float64(sockets*n*size-rate.Burst) / rate.PerSecond * float64(time.Second))
		if took := time.Since(began); took < want || took > want*12/10 {
			t.Errorf("%d bytes took %v, want %v", sockets*n*size, took, want)
		}
		bystander(t, b)
	})
}

// Frames of a later version are ignored, but only a few of them in a second.
func TestFloodOfUnknownFrames(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		for range 100 {
			a.Text(`{"type":"react","emoji":"👍"}`)
			testwait.Advance(time.Second / 2)
		}
		a.Quiet(time.Second)
		go func() {
			for range 300 {
				a.Text(`{"type":"react","emoji":"👍"}`)
			}
		}()
		wantError(t, a.Closed(websocket.ClosePolicyViolation), "rate_limited")
		bystander(t, b)
	})
}

// slowSends lets the first send of a user pass, and the next ones only every 1,000 s.
func slowSends(d *server.Deps) { d.Limits.UserSends = session.Rate{PerSecond: 0.001, Burst: 1} }

// sendUntilBlocked sends large messages until the server has not read for a minute, and returns how many it has read.
// The rest is sent when the server reads again, until the socket ends.
func sendUntilBlocked(t *testing.T, s *servertest.Socket, body string) int {
	t.Helper()
	var sent atomic.Int64
	go func() {
		for range 500 {
			if s.SendWhenRead(servertest.Message(bob, body)) != nil {
				return
			}
			sent.Add(1)
		}
	}()
	synctest.Wait()
	for before := int64(-1); before != sent.Load(); {
		before = sent.Load()
		testwait.Advance(time.Minute)
	}
	return int(sent.Load())
}

// The messages that wait for the worker are bounded in bytes, for each socket and each user. Each socket can always
// queue one message. Beyond that the server stops reading. It refuses nothing and closes no socket, not even for the
// silence that follows.
func TestQueueOfSendsIsBoundedInBytes(t *testing.T) {
	bubble(t, slowSends, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		b := in.Join(t, bob)
		body := strings.Repeat("x", chat.MaxBody)
		total := 0
		var sockets []*servertest.Socket
		for i := range 10 {
			s := in.Join(t, alice)
			n := sendUntilBlocked(t, s, body)
			sockets = append(sockets, s)
			total += n
			if n*len(body) > 300<<10 || n < 1 {
				t.Errorf("socket %d: %d messages of %d bytes were read", i, n, len(body))
			}
		}
		if total*len(body) > 1500<<10 {
			t.Errorf("%d messages of %d bytes were read from one user", total, len(body))
		}
		testwait.Advance(2 * wire.DropAfter)
		if n := in.Sockets(); n != 11 {
			t.Errorf("%d sockets are open, want 11", n)
		}
		for _, s := range sockets {
			for {
				f, ok := s.Wait(0)
				if !ok {
					break
				}
				if e, ok := f.(wire.ErrorFrame); ok {
					t.Errorf("refused: %+v", e)
				}
			}
		}
		bystander(t, b)
	})
}

// A socket that the server does not read ends like any other one: with the account, and when the client goes away.
func TestSocketThatIsNotReadCanEnd(t *testing.T) {
	bubble(t, slowSends, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		s := in.Join(t, alice)
		sendUntilBlocked(t, s, strings.Repeat("x", chat.MaxBody))
		rig.Gates.Set(alice, gate.Gate{Exists: true, Disabled: true})
		if err := in.ChangeGate(context.Background(), alice, gate.Gate{Exists: true, Disabled: true}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		wantError(t, s.Closed(websocket.ClosePolicyViolation), "account_disabled")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("closed after %v", took)
		}
		testwait.Advance(10 * time.Second)
		if n := in.Sockets(); n != 0 {
			t.Errorf("%d sockets are open", n)
		}
		rig.Gates.Set(alice, gate.Gate{Exists: true})
		if err := in.ChangeGate(context.Background(), alice, gate.Gate{Exists: true}); err != nil {
			t.Fatal(err)
		}
		s = in.Join(t, alice)
		sendUntilBlocked(t, s, strings.Repeat("x", chat.MaxBody))
		s.Break()
		testwait.Advance(time.Minute)
		if n := in.Sockets(); n != 0 {
			t.Errorf("%d sockets are open after the client has gone", n)
		}
	})
}

// The largest messages pass at the rate of sends.
func TestLargeOutboxIsNotAFlood(t *testing.T) {
	noBurst := func(d *server.Deps) {
		d.Limits = session.Limits{}.WithDefaults()
		d.Limits.Sends.Burst = 1
		d.Limits.Bytes.Burst, d.Limits.UserBytes.Burst = 128<<10, 128<<10
	}
	bubble(t, noBurst, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		const n = 40 // ten times the burst of bytes
		body := strings.Repeat("👋", chat.MaxBody)
		go func() {
			for range n {
				a.Send(servertest.Message(bob, body))
			}
		}()
		began := time.Now()
		for range n {
			f, ok := a.Wait(time.Minute)
			for ok {
				if _, sent := f.(wire.Sent); sent {
					break
				}
				if e, refused := f.(wire.ErrorFrame); refused {
					t.Fatalf("refused: %+v", e)
				}
				f, ok = a.Wait(time.Minute)
			}
			_, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
			b.Ack(cursor)
		}
		if took := time.Since(began); took > n*time.Second/20+time.Second/10 {
			t.Errorf("%d messages took %v, want 20 a second", n, took)
		}
	})
}
