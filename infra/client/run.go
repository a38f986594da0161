package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Bounds of what a Client does by itself.
const (
	dialWithin  = 15 * time.Second
	loadWithin  = 30 * time.Second
	writeWithin = 5 * time.Second
)

// Client is one life of the app on a device. Its methods may be called by
// several goroutines at once; after Kill or Close they do nothing.
type Client struct {
	store *Store
	opts  Options

	ctx    context.Context // of dials and loads; ends with the Client
	cancel context.CancelFunc
	wg     sync.WaitGroup // readers, dials, loads

	mu     sync.Mutex
	m      *machine     // guarded by mu
	conns  map[int]Conn // open sockets; guarded by mu
	failed []int        // sockets whose write failed during an input; guarded by mu
	ended  bool         // guarded by mu
	timer  *time.Timer  // runs tick; guarded by mu

	pause  sync.Mutex // guards paused
	paused chan struct{}
}

// New starts the app on a device and connects. It ends with Kill or Close.
// Two Clients must not share a Store at once.
func New(store *Store, opts Options) *Client {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Rand == nil {
		opts.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if opts.Note == nil {
		opts.Note = func(Note) {}
	}
	c := &Client{store: store, opts: opts, conns: map[int]Conn{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.m = newMachine(store, c, opts.Rand, opts.Pace.withDefaults(), opts.Misbehavior, opts.Note)
	c.timer = time.AfterFunc(time.Hour, func() { c.input(func(now time.Time) { c.m.tick(now) }) })
	c.input(func(now time.Time) { c.m.goOnline(now) })
	return c
}

// Store returns the device's store.
func (c *Client) Store() *Store { return c.store }

// input gives the machine one input, and plans its next tick.
func (c *Client) input(f func(now time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	now := c.opts.Now()
	f(now)
	for len(c.failed) > 0 { // a failed write may make the machine write elsewhere, and that fail as well
		failed := c.failed
		c.failed = nil
		for _, n := range failed {
			c.m.closed(now, n, websocket.CloseAbnormalClosure)
		}
	}
	if next := c.m.next(); next.IsZero() {
		c.timer.Stop()
	} else {
		c.timer.Reset(max(next.Sub(now), 0))
	}
}

// Write puts a message into the outbox, durably, and returns its id; "" after
// the Client has ended.
func (c *Client) Write(to, body, replyTo string) (id string) {
	c.input(func(now time.Time) { id = c.m.write(now, to, body, replyTo) })
	return id
}

// Seen marks what others wrote in a conversation up to at as seen by the person.
func (c *Client) Seen(conversation string, at chat.Micros) {
	c.input(func(now time.Time) { c.m.markSeen(now, conversation, at) })
}

// Offline takes the device's network away: sockets close without a farewell.
func (c *Client) Offline() { c.input(func(time.Time) { c.m.goOffline() }) }

// Online gives it back.
func (c *Client) Online() { c.input(func(now time.Time) { c.m.goOnline(now) }) }

// Drop breaks the open sockets, as a change of networks does.
func (c *Client) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
}

// Up reports whether a socket is caught up.
func (c *Client) Up() (up bool) {
	c.input(func(time.Time) { up = c.m.up() != nil })
	return up
}

// Open opens a conversation on the screen, and with whole scrolls to its
// beginning. It returns when what was asked for is stored, however long the
// history cannot be read, or with the error of ctx.
func (c *Client) Open(ctx context.Context, conversation string, whole bool) error {
	done := make(chan struct{})
	c.input(func(now time.Time) {
		c.m.openConversation(now, conversation, whole, func() { close(done) })
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// StopReading makes the device stop reading its sockets, or go on.
func (c *Client) StopReading(stop bool) {
	c.pause.Lock()
	defer c.pause.Unlock()
	switch {
	case stop && c.paused == nil:
		c.paused = make(chan struct{})
	case !stop && c.paused != nil:
		close(c.paused)
		c.paused = nil
	}
}

// Kill ends the app at once, as a crash does: nothing is said to the server,
// and what is not in the Store is gone. It returns when nothing of it runs.
func (c *Client) Kill() {
	c.mu.Lock()
	if !c.ended {
		c.ended = true
		c.timer.Stop()
		c.cancel()
		for _, conn := range c.conns {
			conn.Close()
		}
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// Close acknowledges what is stored and ends the app.
func (c *Client) Close() {
	c.input(func(now time.Time) {
		for _, s := range c.m.sockets {
			c.m.ack(now, s)
		}
	})
	c.Kill()
}

// The rest is what the machine asks for; mu is held.

func (c *Client) dial(n int) {
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, dialWithin)
		defer cancel()
		conn, err := c.connect(ctx)
		c.input(func(now time.Time) {
			if err == nil {
				c.conns[n] = conn
				c.wg.Go(func() { c.read(n, conn) })
			}
			c.m.dialed(now, n, err == nil)
		})
		if err == nil && c.ctx.Err() != nil {
			conn.Close() // the Client ended meanwhile
		}
	})
}

// connect opens a connection with a token for it at hand.
func (c *Client) connect(ctx context.Context) (Conn, error) {
	if err := c.freshToken(ctx); err != nil {
		return nil, err
	}
	return c.opts.Dial(ctx)
}

// freshToken gives the machine a token, unless the one it has will do.
func (c *Client) freshToken(ctx context.Context) error {
	var have bool
	c.input(func(now time.Time) { have = c.m.token != "" && (c.m.renewAt.IsZero() || now.Before(c.m.renewAt)) })
	if have {
		return nil
	}
	token, ends, err := c.opts.Token(ctx)
	if err != nil {
		return err
	}
	c.input(func(now time.Time) { c.m.tokenRenewed(now, token, ends) })
	return nil
}

func (c *Client) renewToken() {
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, dialWithin)
		defer cancel()
		if token, ends, err := c.opts.Token(ctx); err == nil {
			c.input(func(now time.Time) { c.m.tokenRenewed(now, token, ends) })
		} else {
			c.input(func(now time.Time) { c.m.renewAt = now.Add(5 * time.Second) })
		}
	})
}

// read hands the machine what a socket brings, until it ends.
func (c *Client) read(n int, conn Conn) {
	code := websocket.CloseAbnormalClosure
	for {
		c.pause.Lock()
		paused := c.paused
		c.pause.Unlock()
		if paused != nil {
			select {
			case <-paused:
			case <-c.ctx.Done():
			}
		}
		_, data, err := conn.ReadMessage()
		if err != nil {
			if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
				code = ce.Code
			}
			break
		}
		c.input(func(now time.Time) { c.m.frame(now, n, data) })
	}
	conn.Close()
	c.input(func(now time.Time) {
		delete(c.conns, n)
		c.m.closed(now, n, code)
	})
}

func (c *Client) write(n int, b []byte) {
	conn := c.conns[n]
	if conn == nil {
		return
	}
	err := conn.SetWriteDeadline(time.Now().Add(writeWithin))
	if err == nil {
		err = conn.WriteMessage(websocket.TextMessage, b)
	}
	if err != nil {
		conn.Close()
		c.failed = append(c.failed, n)
	}
}

func (c *Client) close(n int) {
	if conn := c.conns[n]; conn != nil {
		delete(c.conns, n)
		conn.Close()
	}
}

func (c *Client) load(job loadJob) {
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, loadWithin)
		defer cancel()
		r := fetch(ctx, c.opts.History, job, c.opts.Note)
		c.input(func(now time.Time) { c.m.loaded(now, job, r) })
	})
}
