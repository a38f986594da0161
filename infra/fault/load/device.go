package load

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

// Device is one device of a simulated person: its store, and the app on it
// while that runs. Methods may be called by several goroutines at once.
type Device struct {
	crowd *Crowd
	user  string
	name  string
	skew  time.Duration // its clock is this much ahead

	mu          sync.Mutex
	store       *client.Store
	app         *client.Client // nil while the app is not running
	misbehavior client.Misbehavior
	starts      uint64
	away        bool // offline or not running, by its own fault
	left        bool // for ever

	dials atomic.Int64

	connsMu sync.Mutex    // of its own: dials go on while mu is held by who waits for their end
	conns   []*deviceConn // the newest two connections; guarded by linesMu
}

// Name returns the name under which the record knows the device.
func (d *Device) Name() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.name
}

// Person returns whose device it is.
func (d *Device) User() string { return d.user }

// Behave gives the device bad manners from its next start on.
func (d *Device) SetMisbehavior(misbehavior client.Misbehavior) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.misbehavior = misbehavior
	e := record.Entry{Kind: record.Device, Device: d.name, User: d.user}
	if misbehavior.AckAhead > 0 {
		e.Name = verdict.AcksAhead
	}
	d.crowd.log.Add(e)
}

// Start starts the app, unless it runs or the device is gone for ever.
func (d *Device) Start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.app != nil || d.left {
		return
	}
	d.starts++
	if d.starts == 1 {
		d.crowd.log.Add(record.Entry{Kind: record.Device, Device: d.name, User: d.user})
	}
	d.recordOnline()
	name := d.name
	d.app = client.New(d.store, client.Options{
		Dial:        d.dial,
		Token:       func(context.Context) (string, time.Time, error) { return d.crowd.testbed.Token(d.user) },
		History:     d.crowd.testbed.History(d.user),
		Now:         func() time.Time { return time.Now().Add(d.skew) },
		Rand:        rand.New(rand.NewPCG(d.crowd.opts.Seed^hash(name), d.starts)),
		Note:        func(n client.Note) { d.crowd.recordNote(name, n) },
		Pace:        d.crowd.opts.Pace,
		Misbehavior: d.misbehavior,
	})
}

// back enters that the device has its network and its app again.
func (d *Device) recordOnline() {
	if d.away {
		d.away = false
		d.crowd.log.Add(record.Entry{Kind: record.Online, Device: d.name})
	}
}

func (d *Device) recordOffline() {
	if !d.away {
		d.away = true
		d.crowd.log.Add(record.Entry{Kind: record.Offline, Device: d.name})
	}
}

// Kill ends the app at once; its connections end with it.
func (d *Device) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.app != nil {
		d.recordOffline()
		d.app.Kill()
		d.app = nil
	}
}

// Vanish ends the app, and nobody tells the server: its connections stand, and
// nothing comes from them any more.
func (d *Device) Vanish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connsMu.Lock()
	for _, l := range d.conns {
		l.vanish()
	}
	d.conns = nil
	d.connsMu.Unlock()
	if d.app != nil {
		d.recordOffline()
		d.app.Kill()
		d.app = nil
	}
}

// Leave ends the app for ever.
func (d *Device) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.app != nil {
		d.app.Kill()
		d.app = nil
	}
	if !d.left {
		d.left = true
		d.crowd.log.Add(record.Entry{Kind: record.Left, Device: d.name})
	}
}

// Offline takes the network away from the app; the person can still write.
func (d *Device) Offline() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.app != nil {
		d.recordOffline()
		d.app.Offline()
	}
}

// Online gives it back.
func (d *Device) Online() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.app != nil {
		d.recordOnline()
		d.app.Online()
	}
}

// Flap breaks the connections, as a change of networks does.
func (d *Device) Flap() {
	if c := d.runningApp(); c != nil {
		c.Drop()
	}
}

// StopReading makes the device stop reading what the server sends, or go on.
func (d *Device) StopReading(stop bool) {
	if c := d.runningApp(); c != nil {
		c.StopReading(stop)
	}
}

// SetBack ends the app and sets the device back to an older state of its
// store, under a new name in the record, and reports whether it did. The caller
// took the copy with Copy. While own messages wait on the device it does not:
// whoever forgets these is a sender who never comes back, which is another fault.
func (d *Device) SetBack(older *client.Store) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left {
		return false
	}
	if d.app != nil {
		d.app.Kill()
		d.app = nil
	}
	if d.store.Outbox() > 0 {
		return false
	}
	d.crowd.log.Add(record.Entry{Kind: record.Left, Device: d.name})
	d.name += "'"
	d.store, d.starts, d.away = older, 0, false
	return true
}

// Copy returns a copy of the device's store, or nil where own messages wait in
// it: nobody sets those back, since their places would be given twice.
func (d *Device) CopyStore() *client.Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.store.Snapshot()
	if c.Outbox() > 0 {
		return nil
	}
	return c
}

// Gone reports whether the device left for ever.
func (d *Device) HasLeft() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left
}

// Write has the person write a message on this device; it returns the
// message's id, "" while the app does not run.
func (d *Device) Write(to, body, replyTo string) string {
	c := d.runningApp()
	if c == nil {
		return ""
	}
	d.crowd.typed.Add(1)
	return c.Write(to, body, replyTo)
}

// Read has the person see what others wrote in a conversation.
func (d *Device) Read(conversation string) {
	if store, app := d.storeAndApp(); app != nil {
		if at, unseen := store.Unseen(conversation); unseen {
			app.Seen(conversation, at)
		}
	}
}

// Shows returns what the device shows of a conversation.
func (d *Device) Shows(conversation string) []client.Line {
	store, _ := d.storeAndApp()
	return store.Conversation(conversation)
}

// Up reports whether the device has a socket that is caught up.
func (d *Device) Up() bool {
	c := d.runningApp()
	return c != nil && c.Up()
}

func (d *Device) runningApp() *client.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.app
}

// now returns the store and the app, which is nil while it does not run.
func (d *Device) storeAndApp() (*client.Store, *client.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.store, d.app
}

func (d *Device) dial(ctx context.Context) (client.Conn, error) {
	d.dials.Add(1)
	var l *deviceConn
	conn, err := d.crowd.testbed.Dial(ctx, func(c net.Conn) net.Conn {
		l = &deviceConn{Conn: c, crowd: d.crowd}
		return l
	})
	if err != nil {
		return nil, err
	}
	d.connsMu.Lock()
	defer d.connsMu.Unlock()
	d.conns = append(d.conns[max(0, len(d.conns)-1):], l)
	return conn, nil
}

// line is a TCP connection that can vanish: from then on it says nothing, not
// even that it has ended.
type deviceConn struct {
	net.Conn
	crowd    *Crowd
	vanished atomic.Bool
}

func (l *deviceConn) vanish() {
	if l.vanished.CompareAndSwap(false, true) {
		l.crowd.keepOpen(l.Conn)
		_ = l.Conn.SetReadDeadline(time.Now()) // wakes who reads
	}
}

func (l *deviceConn) Write(b []byte) (int, error) {
	if l.vanished.Load() {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

func (l *deviceConn) Close() error {
	if l.vanished.Load() {
		return nil // the crowd closes it in the end
	}
	return l.Conn.Close()
}

var _ client.Conn = (*websocket.Conn)(nil)
