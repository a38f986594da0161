package servertest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Listen starts an instance on a real port, with a real client of Redis, and returns it with its URL.
func Listen(t *testing.T, rdb redis.UniversalClient, gates *Gates, published *Published) (
	*server.Server, string,
) {
	t.Helper()
	verifier, err := identity.NewEmulator(Project, func(n string) string {
		return map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "x"}[n]
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Deps{Redis: rdb, Gates: gates, Publisher: published, Verifier: verifier,
		Origins: []string{Origin}, Log: slog.New(slog.DiscardHandler),
		Inboxes: inbox.Options{Limits: inbox.Generous()}})
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

// SmallDialer opens sockets whose client has small buffers and no goroutine. dial opens the connection; nil: over the
// network.
func SmallDialer(dial func() (net.Conn, error)) websocket.Dialer {
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, ReadBufferSize: 256, WriteBufferSize: 256,
		WriteBufferPool: &sync.Pool{}}
	if dial != nil {
		d.NetDialContext = func(context.Context, string, string) (net.Conn, error) { return dial() }
	}
	return d
}

// Greet opens a socket, says hello as uid, and reads until caught_up.
func Greet(t *testing.T, d websocket.Dialer, url, uid string) *websocket.Conn {
	t.Helper()
	conn, _, err := d.Dial("ws"+strings.TrimPrefix(url, "http")+"/ws", http.Header{"Origin": {Origin}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	hello := wire.ClientFrame{Type: wire.TypeHello, Token: Token(uid, nil), Device: "d"}
	if err := conn.WriteJSON(hello); err != nil {
		t.Fatal(err)
	}
	ReadUntil[wire.CaughtUp](t, conn)
	return conn
}

// ReadUntil reads until a frame of type T.
func ReadUntil[T wire.ServerFrame](t *testing.T, conn *websocket.Conn) T {
	t.Helper()
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		f, err := wire.DecodeServer(data)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := f.(T); ok {
			return f
		}
	}
}
