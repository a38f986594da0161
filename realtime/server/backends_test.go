package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// peer is a raw client over a real network.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
}

func connect(t *testing.T, url, uid, cursor string) *peer {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http")+"/ws",
		http.Header{"Origin": {servertest.Origin}, "Sec-WebSocket-Protocol": {wire.Subprotocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &peer{t, conn}
	p.send(wire.ClientFrame{Type: wire.TypeHello, Token: servertest.Token(uid, nil), Device: "d", Cursor: cursor})
	if w := next[wire.Welcome](p); w.UID != uid {
		t.Fatalf("welcome %+v", w)
	}
	return p
}

func (p *peer) send(f wire.ClientFrame) {
	p.t.Helper()
	data, err := json.Marshal(f)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.conn.WriteMessage(websocket.TextMessage, data); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next frame of type T, passing over others.
func next[T wire.ServerFrame](p *peer) T {
	p.t.Helper()
	for {
		_ = p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, data, err := p.conn.ReadMessage()
		if err != nil {
			p.t.Fatal(err)
		}
		f, err := wire.DecodeServer(data)
		if err != nil {
			p.t.Fatal(err)
		}
		if got, ok := f.(T); ok {
			return got
		}
	}
}

// event returns the next event of type T, with its cursor.
func event[T any](p *peer) (T, string) {
	p.t.Helper()
	for {
		f := next[wire.EventFrame](p)
		e, err := wire.DecodeEvent(f.Event)
		if err != nil {
			p.t.Fatal(err)
		}
		if got, ok := e.(T); ok {
			return got, f.Cursor
		}
	}
}

// overNetwork starts an instance on a real port and a real client of Redis.
func overNetwork(t *testing.T, rdb redis.UniversalClient, people *servertest.People, published *servertest.Published) (*server.Server, string) {
	t.Helper()
	verifier, err := identity.NewEmulator(servertest.Project, func(n string) string {
		return map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "x"}[n]
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Deps{Redis: rdb, Gates: people, Publisher: published, Verifier: verifier,
		Origins: []string{servertest.Origin}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	web := httptest.NewServer(srv)
	t.Cleanup(func() {
		drain, stop := context.WithTimeout(context.Background(), 4*time.Second)
		defer stop()
		if err := srv.Drain(drain); err != nil {
			t.Errorf("Drain: %v", err)
		}
		web.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return srv, web.URL
}

// Sender and recipient on different instances, over each Redis that the code
// has to work on: accepted, delivered, resumed, read.
func TestChatOverEachRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r *redistest.Redis) {
		people, published := servertest.NewPeople(), &servertest.Published{}
		people.Set(alice, gate.Gate{Exists: true})
		people.Set(bob, gate.Gate{Exists: true})
		tune := func(o *redis.UniversalOptions) { inbox.Tune(o) }
		_, first := overNetwork(t, r.Client(t, tune), people, published)
		_, second := overNetwork(t, r.Client(t, tune), people, published)
		a, b := connect(t, first, alice, ""), connect(t, second, bob, "")
		next[wire.CaughtUp](a)
		next[wire.CaughtUp](b)
		var cursor string
		for i := range 10 {
			m := servertest.Message(bob, fmt.Sprint(i))
			a.send(m)
			next[wire.Sent](a)
			got, at := event[wire.MessageEvent](b)
			if got.ID != m.ID || got.Body != m.Body {
				t.Fatalf("bob got %+v", got)
			}
			cursor = at
		}
		if ids := published.Messages(t); len(ids) != 0 {
			t.Fatalf("saved before an ack: %v", ids)
		}
		b.send(wire.ClientFrame{Type: wire.TypeAck, Cursor: cursor})
		for told := 0; told < 10; {
			d, _ := event[wire.DeliveredEvent](a)
			told += len(d.Messages)
		}
		if ids := published.Messages(t); len(ids) != 10 {
			t.Errorf("%d published when the sender was told of 10", len(ids))
		}
		b.conn.Close()
		again := connect(t, first, bob, cursor) // on the other instance
		next[wire.CaughtUp](again)
		m := servertest.Message(bob, "after the move")
		a.send(m)
		if got, _ := event[wire.MessageEvent](again); got.ID != m.ID {
			t.Errorf("got %+v", got)
		}
	})
}
