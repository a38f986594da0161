package client

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Timeouts of a Client.
const (
	dialWithin  = 15 * time.Second
	loadWithin  = 30 * time.Second
	writeWithin = 5 * time.Second
)

// Client is one run of the app on a device. Its methods are safe for concurrent use. After Kill or Close they do
// nothing.
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

// New starts the app on a device and connects. Kill or Close ends it. Two Clients must not use one Store at the same
// time.
func New(store *Store, opts Options) *Client {
	if opts.Wall == nil {
		opts.Wall = time.Now
	}
	if opts.Rand == nil {
		opts.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if opts.Note == nil {
		opts.Note = func(Note) {}
	}
	opts.Pace = opts.Pace.withDefaults()
	c := &Client{store: store, opts: opts, conns: map[int]Conn{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.m = newMachine(store, c, opts)
	c.timer = time.AfterFunc(time.Hour, func() { c.input(func(now time.Time) { c.m.tick(now) }) })
	c.input(func(now time.Time) { c.m.goOnline(now) })
	return c
}

// Store returns the device's store.
func (c *Client) Store() *Store { return c.store }

// input passes one input to the machine, and schedules its next tick.
func (c *Client) input(f func(now time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	now := time.Now()
	f(now)
	for len(c.failed) > 0 { // the machine may write elsewhere after a failed write, and that may fail as well
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

// Write puts a message into the outbox, durably, and returns its id, or "" after the Client has ended. ReplyTo is the
// key of the message that it answers, or "".
func (c *Client) Write(to, body, replyTo string) (id string) {
	c.input(func(now time.Time) { id = c.m.write(now, to, body, replyTo) })
	return id
}

// Change changes a message, which the device shows, as the user wants it: content is the body of an edit, or the emoji
// of a reaction, where "" withdraws it. It does nothing if the user may not make the change, or after the Client has
// ended.
func (c *Client) Change(conversation, key string, kind chat.ChangeKind, content string) {
	c.input(func(now time.Time) { c.m.change(now, conversation, key, kind, content) })
}

// Seen records that the user has seen what others wrote in a conversation up to at.
func (c *Client) Seen(conversation string, at chat.Micros) {
	c.input(func(now time.Time) { c.m.markSeen(now, conversation, at) })
}

// Offline disconnects the device from its network: sockets end without a close frame.
func (c *Client) Offline() { c.input(func(time.Time) { c.m.goOffline() }) }

// Online connects the device to its network again.
func (c *Client) Online() { c.input(func(now time.Time) { c.m.goOnline(now) }) }

// Reconnect connects at once if no socket is open, as when the user asks for it.
func (c *Client) Reconnect() { c.input(func(now time.Time) { c.m.reconnect(now) }) }

// Drop closes the open sockets, as a change of networks does.
func (c *Client) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeConns()
}

// closeConns closes the open sockets, oldest first. mu is held.
func (c *Client) closeConns() {
	for _, n := range slices.Sorted(maps.Keys(c.conns)) {
		c.conns[n].Close()
	}
}

// Up reports whether a socket is caught up.
func (c *Client) Up() (up bool) {
	c.input(func(time.Time) { up = c.m.up() != nil })
	return up
}

// Open opens a conversation on the screen. With whole it scrolls to the beginning. It returns when the messages are
// stored, and retries failed loads until ctx ends.
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

// StopReading makes the device stop reading its sockets, or continue.
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

// Kill ends the app immediately, as a crash does: it sends nothing to the server, and only the Store remains. It
// returns when all goroutines have ended.
func (c *Client) Kill() {
	c.mu.Lock()
	if !c.ended {
		c.ended = true
		c.timer.Stop()
		c.cancel()
		c.closeConns()
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

// The methods below implement effects; mu is held.

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
			conn.Close() // the Client has ended during the dial
		}
	})
}

// connect opens a connection, and before that requests a token if needed.
func (c *Client) connect(ctx context.Context) (Conn, error) {
	if err := c.freshToken(ctx); err != nil {
		return nil, err
	}
	return c.opts.Dial(ctx)
}

// freshToken gives the machine a new token, unless the present one is still good.
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

// read passes the frames of a socket to the machine until the socket ends.
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
