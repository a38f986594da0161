package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// The handler of a socket returns after the upgrade, and the socket works afterwards.
func TestHandlerReturnsAfterTheUpgrade(t *testing.T) {
	gates := servertest.NewGates()
	gates.Set(alice, gate.Gate{Exists: true})
	rdb := redistest.Mini(t).Client(t, func(o *redis.UniversalOptions) { inbox.Tune(o) })
	srv, _ := servertest.Listen(t, rdb, gates, &servertest.Published{})
	var handlers atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Add(-1)
		srv.ServeHTTP(w, r)
	}))
	defer web.Close()
	conn := servertest.Greet(t, servertest.SmallDialer(nil), web.URL, alice)
	testwait.Until(t, "the handler returns", func() bool { return handlers.Load() == 0 })
	if err := conn.WriteJSON(wire.ClientFrame{Type: wire.TypePing}); err != nil {
		t.Fatal(err)
	}
	servertest.ReadUntil[wire.Pong](t, conn)
	if n := srv.Sockets(); n != 1 {
		t.Errorf("%d sockets are open", n)
	}
}

// Until the acks of a socket that has ended are settled, the socket keeps its place among MaxSockets, our end of the
// connection stays open, and Drain waits.
func TestEndedSocketWaitsForItsAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob)
		in := rig.Start(func(d *server.Deps) { d.MaxSockets = 2 })
		a := in.Join(t, alice)
		conn := servertest.Greet(t, servertest.SmallDialer(in.Connect), "http://pipe", bob)
		a.Say(bob, "x")
		rig.Published.Fail(errors.New("pub/sub is down"))
		event := servertest.ReadUntil[wire.EventFrame](t, conn)
		if err := conn.WriteJSON(wire.ClientFrame{Type: wire.TypeAck, Cursor: event.Cursor}); err != nil {
			t.Fatal(err)
		}
		goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		if err := conn.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Fatalf("want the server's close frame, got %v", err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := conn.NetConn().Read(make([]byte, 1))
			ended <- err
		}()
		testwait.Advance(time.Second)
		if s, status := in.TryDial(t, servertest.DialOptions{}); s != nil || status != http.StatusServiceUnavailable {
			t.Errorf("the place was given to another socket: status %d", status)
		}
		select {
		case err := <-ended:
			t.Errorf("the connection was closed before the acks were settled: %v", err)
		default:
		}
		a.Close()
		drained := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
			defer cancel()
			drained <- in.Drain(ctx)
		}()
		synctest.Wait()
		select {
		case err := <-drained:
			t.Errorf("Drain returned before the acks were settled: %v", err)
		default:
		}
		rig.Published.Fail(nil)
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if ids := rig.Published.Messages(t); len(ids) != 1 {
			t.Errorf("published %v when Drain returned", ids)
		}
		<-ended
	})
}

// A client that does not read holds up the frames of its own socket only: the pings of others come in time.
func TestSlowSocketDoesNotDelayPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, alice, bob)
		in := rig.Start(nil)
		conn := servertest.Greet(t, servertest.SmallDialer(in.Connect), "http://pipe", alice)
		began := time.Now()
		pings := make(chan time.Duration, 100)
		conn.SetPingHandler(func(string) error {
			pings <- time.Since(began)
			return conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		})
		go func() {
			for {
				if _, _, err := conn.ReadMessage(); err != nil {
					return
				}
			}
		}()
		for range 5 { // they fill the buffers of their connections, and their writers wait
			slow := servertest.Greet(t, servertest.SmallDialer(in.Connect), "http://pipe", bob)
			go func() {
				for range 400 {
					if slow.WriteJSON(wire.ClientFrame{Type: wire.TypePing}) != nil {
						return
					}
				}
			}()
		}
		for i := range 4 {
			want := time.Duration(i+1) * wire.PingEvery
			if at := <-pings; at < want-time.Second || at > want+time.Second {
				t.Errorf("ping %d came after %v", i, at)
			}
		}
	})
}
