package client

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe is a Conn whose other end is held by the test.
type pipe struct {
	toClient   chan []byte
	fromClient chan []byte
	once       sync.Once
	closed     chan struct{}
}

func newPipe() *pipe {
	return &pipe{toClient: make(chan []byte, 100), fromClient: make(chan []byte, 100), closed: make(chan struct{})}
}

func (p *pipe) ReadMessage() (int, []byte, error) {
	select {
	case b := <-p.toClient:
		return 1, b, nil
	case <-p.closed:
		return 0, nil, errors.New("closed")
	}
}

func (p *pipe) WriteMessage(_ int, b []byte) error {
	select {
	case <-p.closed:
		return errors.New("closed")
	default:
		p.fromClient <- b
		return nil
	}
}

func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
func (p *pipe) Close() error                     { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipe) send(t *testing.T, f frame) {
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	p.toClient <- b
	synctest.Wait()
}

// waitFor returns the next frame of a type that the client writes.
func (p *pipe) waitFor(t *testing.T, kind string) map[string]any {
	t.Helper()
	for {
		select {
		case b := <-p.fromClient:
			f := map[string]any{}
			if err := unmarshal(b, &f); err != nil {
				t.Fatal(err)
			}
			if f["type"] == kind {
				return f
			}
		case <-time.After(time.Minute):
			t.Fatalf("no %s frame within a minute", kind)
		}
	}
}

func options(dials chan *pipe) Options {
	return Options{
		Dial: func(ctx context.Context) (Conn, error) {
			p := newPipe()
			select {
			case dials <- p:
				return p, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		Token:   func(context.Context) (string, time.Time, error) { return "token", time.Now().Add(time.Hour), nil },
		History: &archive{},
		Rand:    rand.New(rand.NewPCG(3, 4)),
	}
}

func serve(t *testing.T, p *pipe, store *Store) {
	p.waitFor(t, wire.TypeHello)
	p.send(t, welcome(&world{store: store, now: time.Now()}, true))
	p.send(t, caughtUp("e:1-0"))
}

// A device that is killed between storing and acknowledging restarts with what it stored, sends that cursor in its
// hello, and renews its token in time.
func TestClientRestartsAfterAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, dials := NewStore(me, "device1"), make(chan *pipe)
		c := New(store, options(dials))
		p := <-dials
		serve(t, p, store)
		if !c.Up() {
			t.Fatal("not connected")
		}
		c.StopReading(true)
		p.send(t, frame{"type": "pong"}) // for the read that has begun
		p.send(t, event("e:2-0", incoming(1, 5)))
		if len(store.Conversation(conv)) != 0 {
			t.Error("read a frame although reading is stopped")
		}
		c.StopReading(false)
		synctest.Wait()
		id := c.Write(other, "hello", "")
		if f := p.waitFor(t, wire.TypeSend); f["id"] != id {
			t.Errorf("sent %v", f)
		}
		c.Kill()
		c.Kill()
		if c.Write(other, "after the end", "") != "" {
			t.Error("a killed app accepted a message")
		}
		if l := store.Conversation(conv); len(l) != 2 {
			t.Fatalf("stored %v", l)
		}

		c = New(store, options(dials))
		p = <-dials
		if f := p.waitFor(t, wire.TypeHello); f["cursor"] != "e:2-0" {
			t.Errorf("hello %v", f)
		}
		p.send(t, welcome(&world{store: store, now: time.Now()}, true))
		p.send(t, caughtUp("e:2-0"))
		if f := p.waitFor(t, wire.TypeSend); f["id"] != id {
			t.Errorf("sent %v", f)
		}
		p.send(t, frame{"type": "sent", "id": id, "accepted_at": 1})
		for range 75 { // an hour with nothing but pongs
			testwait.Advance(49 * time.Second)
			select {
			case <-p.closed:
				t.Fatal("dropped a socket that answers pings")
			default:
			}
			p.send(t, frame{"type": "pong"})
		}
		p.waitFor(t, wire.TypeToken)
		c.Close()
	})
}

func TestClientOfflineAndOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, dials := NewStore(me, "device1"), make(chan *pipe)
		opts := options(dials)
		arch := &archive{}
		arch.messages = append(arch.messages, incoming(1, 5).Message)
		opts.History = arch
		c := New(store, opts)
		serve(t, <-dials, store)
		if err := c.Open(t.Context(), conv, true); err != nil {
			t.Fatal(err)
		}
		if len(store.Conversation(conv)) != 1 {
			t.Error("the opened conversation has no messages")
		}
		c.Offline()
		if c.Up() {
			t.Error("connected while offline")
		}
		c.Write(other, "later", "")
		testwait.Advance(time.Hour)
		c.Online()
		p := <-dials
		serve(t, p, store)
		if f := p.waitFor(t, wire.TypeSend); f["body"] != "later" {
			t.Errorf("sent %v", f)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		arch.down = true
		if err := c.Open(ctx, conv, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("open while the archive is down: %v", err)
		}
		c.Kill()
	})
}

// Calls every method at once, for the race detector.
func TestClientUsedByManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, dials := NewStore(me, "device1"), make(chan *pipe)
		c := New(store, options(dials))
		p := <-dials
		serve(t, p, store)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					c.Write(other, "hello", "")
					c.Seen(conv, 1)
					c.Up()
					store.Conversation(conv)
					store.Unseen(conv)
					store.Snapshot()
				}
			})
		}
		wg.Wait()
		c.Kill()
		if got := len(store.Conversation(conv)); got != 20 || store.Outbox() != 20 {
			t.Errorf("%d messages, %d in the outbox, want 20", got, store.Outbox())
		}
	})
}
