package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

const alice, bob = "aliceUid0001", "bobUid0002"

// routes are the internal routes, as method and path.
var routes = [][2]string{{"POST", "/internal/gate"}, {"POST", "/internal/gone"}, {"POST", "/internal/purge"},
	{"POST", "/internal/profile"},
	{"POST", "/internal/corrected"},
	{"GET", "/internal/waiting"}, {"GET", "/internal/figures"}}

func bubble(t *testing.T, fn func(t *testing.T, rig *servertest.Rig, in *servertest.Instance)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob)
		fn(t, rig, rig.Start(nil))
	})
}

func TestInternalRoutesAreForOurServicesOnly(t *testing.T) {
	bubble(t, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		s := in.Join(t, alice)
		for _, route := range routes {
			for token, want := range map[string]int{
				"": 401, "sesame": 401, servertest.Token(alice, nil): 401, "other-account": 403,
			} {
				w := in.Call(t.Context(), route[0], route[1], token, map[string]any{"uid": alice})
				if w.Code != want {
					t.Errorf("%s with token %.12q: %d, want %d", route[1], token, w.Code, want)
				}
				if strings.Contains(w.Body.String(), "sockets") {
					t.Errorf("%s revealed %s", route[1], w.Body)
				}
			}
		}
		s.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.As[wire.Pong](s)
	})
}

func TestInvalidInternalCallsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		for name, body := range map[string]any{
			"not JSON": "{", "empty": "", "no uid": map[string]any{}, "invalid uid": map[string]any{"uid": "a/b"},
			"wrong type": map[string]any{"uid": 7}, "too large": `{"uid":"` + strings.Repeat("a", 2<<20) + `"}`,
		} {
			for _, path := range []string{"/internal/gate", "/internal/gone", "/internal/purge", "/internal/profile"} {
				w := in.Call(t.Context(), "POST", path, servertest.ServiceToken, body)
				if w.Code != 422 || !strings.Contains(w.Body.String(), "bad_request") {
					t.Errorf("%s to %s: %d %s", name, path, w.Code, w.Body)
				}
			}
		}
		for _, route := range [][2]string{
			{"GET", "/internal/gate"}, {"POST", "/internal/figures"}, {"POST", "/internal/other"},
		} {
			w := in.Call(t.Context(), route[0], route[1], servertest.ServiceToken, nil)
			if w.Code != 404 && w.Code != 405 {
				t.Errorf("%s %s: %d", route[0], route[1], w.Code)
			}
		}
	})
}

// A gate that the functions report applies to every message that is sent afterwards.
func TestGateChanged(t *testing.T) {
	bubble(t, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		a.Say(bob, "before")
		if err := in.ChangeGate(t.Context(), bob, gate.Gate{Exists: true, Blocked: []string{alice}}); err != nil {
			t.Fatal(err)
		}
		a.Send(servertest.Message(bob, "after"))
		a.Refused("recipient_unavailable")
		if err := in.ChangeGate(t.Context(), bob, gate.Gate{Exists: true}); err != nil {
			t.Fatal(err)
		}
		a.Say(bob, "again")
		if n := rig.Gates.Asked(); n > 2 {
			t.Errorf("the store was asked %d times for two users", n)
		}
	})
}

// A new profile is reported to the own devices and to people who watch, but not where one has blocked the other.
func TestProfileChanged(t *testing.T) {
	const carl, dora = "carlUid0003", "doraUid0004"
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob, carl, dora)
		one, two := rig.Start(nil), rig.Start(nil)
		ctx := t.Context()
		if err := one.ChangeGate(ctx, alice, gate.Gate{Exists: true, Blocked: []string{carl}}); err != nil {
			t.Fatal(err)
		}
		if err := one.ChangeGate(ctx, dora, gate.Gate{Exists: true, Blocked: []string{alice}}); err != nil {
			t.Fatal(err)
		}
		own := one.Join(t, alice)
		b, c, d := two.Join(t, bob), one.Join(t, carl), two.Join(t, dora)
		for _, s := range []*servertest.Socket{b, c, d} {
			s.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{alice}})
			servertest.As[wire.Presence](s)
		}
		body := map[string]any{"uid": alice}
		if w := one.Call(ctx, "POST", "/internal/profile", servertest.ServiceToken, body); w.Code != 204 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, s := range []*servertest.Socket{own, b} {
			if got := servertest.As[wire.Profile](s); got.User != alice {
				t.Errorf("profile of %q", got.User)
			}
		}
		for _, s := range []*servertest.Socket{c, d} { // the pong would come after a hint
			testwait.Advance(10 * time.Second)
			s.Send(wire.ClientFrame{Type: wire.TypePing})
			servertest.As[wire.Pong](s)
		}
	})
}

func TestFigures(t *testing.T) {
	bubble(t, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		a := in.Join(t, alice)
		second.Join(t, alice)
		second.Join(t, alice)
		a.Say(bob, "one")
		testwait.Advance(90 * time.Second)
		a.Say(bob, "two")
		w := in.Call(t.Context(), "GET", "/internal/figures", servertest.ServiceToken, nil)
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		var f server.FiguresResponse
		if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		if f.Instance != in.Name() || len(f.Sockets) != 2 || f.Sockets[in.Name()] != 1 || f.Sockets[second.Name()] != 2 {
			t.Errorf("sockets %v", f.Sockets)
		}
		if f.Queued != 2 || f.Inboxes != 1 || !f.Complete || f.OldestAge < 89_000 || f.OldestAge > 95_000 {
			t.Errorf("%+v", f)
		}
		c := f.Counters
		if c.Session.Sends.Load() != 2 || c.Session.Open.Load() != 1 || c.Inbox.Enqueued.Load() != 2 {
			t.Errorf("counters: %s", w.Body)
		}
	})
}

func TestInternalCallsWithoutRedis(t *testing.T) {
	bubble(t, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		in.Redis.Down(true)
		for _, route := range routes {
			w := in.Call(t.Context(), route[0], route[1], servertest.ServiceToken,
				map[string]any{"uid": alice, "from": alice, "reason": "withdrawn", "messages": []any{savedMessage()}})
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %d %s", route[1], w.Code, w.Body)
			}
		}
		if w := in.Call(t.Context(), "GET", "/health/live", "", nil); w.Code != 200 {
			t.Errorf("live: %d", w.Code)
		}
	})
}

// An instance waits at most 10 s for Redis before it is ready, and stays ready if Redis goes away later.
func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice)
		ready := func(in *servertest.Instance) bool {
			return in.Call(context.Background(), "GET", "/health/ready", "", nil).Code == http.StatusOK
		}
		in := rig.Start(nil)
		testwait.Advance(time.Second)
		if !ready(in) {
			t.Error("not ready although Redis answers")
		}
		in.Redis.Down(true)
		testwait.Advance(time.Minute)
		if !ready(in) {
			t.Error("no longer ready after Redis went away")
		}

		began := time.Now()
		alone := rig.StartCut(nil)
		for !ready(alone) {
			testwait.Advance(100 * time.Millisecond)
		}
		if took := time.Since(began).Round(time.Second); took != 10*time.Second {
			t.Errorf("ready without Redis after %v, want 10 s", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := in.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if ready(in) {
			t.Error("ready while draining")
		}
	})
}

// tryFrom opens a socket from an address, and says nothing. It reports whether that was accepted.
func tryFrom(t *testing.T, in *servertest.Instance, address string) bool {
	t.Helper()
	s, status := in.TryDial(t, servertest.DialOptions{From: address})
	if s == nil && status != http.StatusServiceUnavailable {
		t.Errorf("from %s: status %d", address, status)
	}
	return s != nil
}

// A client that opens sockets and says nothing uses up the capacity of its own network only, and not for long.
func TestSocketsWithoutHelloAreLimitedPerNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob)
		in := rig.Start(func(d *server.Deps) { d.Greetings, d.Proxies = server.Greetings{Near: 3, Far: 5}, 1 })
		var idle []*servertest.Socket
		for range 3 {
			idle = append(idle, in.Dial(t, servertest.DialOptions{From: "1.1.1.1, 203.0.113.7"}))
		}
		if tryFrom(t, in, "2.2.2.2, 203.0.113.7") {
			t.Error("a fourth socket of the address was accepted")
		}
		if !tryFrom(t, in, "198.51.100.8") {
			t.Error("another address was refused")
		}
		idle[0].Send(wire.ClientFrame{Type: wire.TypeHello, Token: servertest.Token(alice, nil), Device: "d"})
		servertest.As[wire.Welcome](idle[0])
		testwait.Advance(time.Millisecond)
		if !tryFrom(t, in, "203.0.113.7") {
			t.Error("refused after one socket has said hello")
		}
		testwait.Advance(wire.HelloWithin + 5*time.Second)
		for range 3 {
			if !tryFrom(t, in, "203.0.113.7") {
				t.Error("refused after the silent sockets were closed")
			}
		}
	})
}

// One IPv6 network does not get around the limit with its many addresses, and neither do the networks of one site.
func TestSocketsWithoutHelloOfOneIPv6Network(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob)
		in := rig.Start(func(d *server.Deps) { d.Greetings, d.Proxies = server.Greetings{Near: 3, Far: 5}, 1 })
		accepted := 0
		for i := range 20 {
			if tryFrom(t, in, fmt.Sprintf("2001:db8:1:2::%x", i)) {
				accepted++
			}
		}
		if accepted != 3 {
			t.Errorf("%d sockets of one /64 were accepted, want 3", accepted)
		}
		for i := range 20 {
			if tryFrom(t, in, fmt.Sprintf("2001:db8:1:1%x::1", i)) {
				accepted++
			}
		}
		if accepted != 5 {
			t.Errorf("%d sockets of one /48 were accepted, want 5", accepted)
		}
		if !tryFrom(t, in, "2001:db8:2::1") || !tryFrom(t, in, "203.0.113.7") {
			t.Error("another network was refused")
		}
	})
}

// Sockets that have not said hello leave two thirds of the places to those that have, wherever they come from.
func TestSocketsWithoutHelloGetAThirdOfThePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob)
		in := rig.Start(func(d *server.Deps) { d.MaxSockets, d.Proxies = 12, 1 })
		for range 5 {
			in.Join(t, alice)
		}
		accepted := 0
		for i := range 20 {
			if tryFrom(t, in, fmt.Sprintf("203.0.%d.7", i)) {
				accepted++
			}
		}
		if accepted != 4 {
			t.Errorf("%d sockets without a hello were accepted, want 4", accepted)
		}
		testwait.Advance(wire.HelloWithin + 5*time.Second)
		for range 5 {
			in.Join(t, bob)
		}
	})
}

// With two proxies, such as an external load balancer in front of Cloud Run, the clients have addresses of their own.
func TestTwoProxies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob)
		in := rig.Start(func(d *server.Deps) { d.Greetings, d.Proxies = server.Greetings{Near: 1}, 2 })
		for i := range 3 {
			if !tryFrom(t, in, fmt.Sprintf("203.0.113.%d, 198.51.100.1", i)) {
				t.Error("a client was counted by the address of the load balancer")
			}
		}
		if tryFrom(t, in, "203.0.113.2, 198.51.100.9") {
			t.Error("a client was counted by the address of the front end")
		}
		if tryFrom(t, in, "192.0.2.9, 203.0.113.2, 198.51.100.1") {
			t.Error("a client was counted by the address that it wrote into the header itself")
		}
	})
}
