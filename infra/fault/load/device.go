package load

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Device is one device of a simulated user: its store, and the app while it runs. Its methods are safe for concurrent
// use.
type Device struct {
	crowd *Crowd
	user  string
	name  string
	from  string       // its network address
	skew  atomic.Int64 // its wall clock is this much ahead, in nanoseconds

	mu          sync.Mutex
	store       Store
	app         App // nil while the app is not running
	misbehavior client.Misbehavior
	starts      uint64 // of the app, with the present store
	deaf        bool   // does not read its sockets
	asleep      bool   // has no socket but for visits; see sleeper
	away        bool   // offline or not running because of a fault of the device itself
	left        bool   // never comes back

	dials atomic.Int64

	connsMu sync.Mutex    // separate from mu, because dials go on while Kill waits for their end with mu held
	conns   []*deviceConn // the newest two connections; guarded by connsMu
}

// Name returns the device's name in the record.
func (d *Device) Name() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.name
}

// SetClock sets the device's wall clock, as a user or the network does: it is this much ahead from now on.
func (d *Device) SetClock(ahead time.Duration) {
	d.skew.Store(int64(ahead))
	if app, ok := d.runningApp().(*browserApp); ok {
		app.setClock(ahead)
	}
}

// Rename gives a device that was never started another name.
func (d *Device) Rename(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.name, d.store = name, client.NewStore(d.user, name)
}

// User returns the uid of the device's user.
func (d *Device) User() string { return d.user }

// SetMisbehavior makes the device misbehave from the next start on. The zero value makes it behave again.
func (d *Device) SetMisbehavior(misbehavior client.Misbehavior) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.misbehavior = misbehavior
	e := record.Entry{Kind: record.Device, Device: d.name, User: d.user}
	switch {
	case misbehavior.AckAhead > 0:
		e.Name = verdict.AcksAhead
	case misbehavior.AckNever:
		e.Name = verdict.AcksNever
	case misbehavior.AckDelay > 0:
		e.Name = verdict.AcksLate
	}
	d.crowd.log.Add(e)
}

// Start starts the app, unless it runs or the device has left.
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
	d.app = d.startApp()
}

// recordOnline records that the device has its network and its app again.
func (d *Device) recordOnline() {
	if d.away {
		d.away = false
		d.crowd.log.Add(record.Entry{Kind: record.Online, Device: d.name})
	}
}

// recordOffline records that the device has lost its network or its app.
func (d *Device) recordOffline() {
	if !d.away {
		d.away = true
		d.crowd.log.Add(record.Entry{Kind: record.Offline, Device: d.name})
	}
}

// Kill ends the app immediately. Its connections close.
func (d *Device) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeLocked()
	if d.app != nil {
		d.recordOffline()
		d.app.Kill()
		d.app = nil
		d.hears()
	}
}

// Vanish ends the app without the server noticing: its connections stay open and become silent.
func (d *Device) Vanish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeLocked()
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
		d.hears()
	}
}

// Leave ends the app forever.
func (d *Device) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeLocked()
	if d.app != nil {
		d.app.Kill()
		d.app = nil
		d.hears()
	}
	if !d.left {
		d.left = true
		d.crowd.log.Add(record.Entry{Kind: record.Left, Device: d.name})
	}
}

// Offline disconnects the app from its network. The user can still write.
func (d *Device) Offline() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeLocked()
	if d.app != nil {
		d.recordOffline()
		d.app.Offline()
	}
}

// Online connects the app to its network again.
func (d *Device) Online() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeLocked()
	if d.app != nil {
		d.recordOnline()
		d.app.Online()
	}
}

// Flap closes the connections, as a change of networks does.
func (d *Device) Flap() {
	if c := d.runningApp(); c != nil {
		c.Drop()
	}
}

// StopReading makes the device stop reading what the server sends, or continue.
func (d *Device) StopReading(stop bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.app == nil {
		return
	}
	d.wakeLocked()
	if stop && !d.deaf {
		d.crowd.log.Add(record.Entry{Kind: record.Deaf, Device: d.name})
	}
	d.app.StopReading(stop)
	if !stop {
		d.hears()
	}
	d.deaf = stop
}

// hears records that a device that has not read its sockets does so again, or that its app has ended.
func (d *Device) hears() {
	if d.deaf {
		d.deaf = false
		d.crowd.log.Add(record.Entry{Kind: record.Hears, Device: d.name})
	}
}

// SetBack ends the app and sets the device back to an older state of its store, which the caller has taken with
// CopyStore. The device gets a new name in the record. SetBack does nothing and returns false while own messages are
// unsent: a device that forgets those is a sender who never comes back, which is another fault.
func (d *Device) SetBack(older Store) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left {
		return false
	}
	d.wakeLocked()
	if d.app != nil {
		d.app.Kill()
		d.app = nil
		d.hears()
	}
	if d.store.Outbox() > 0 {
		return false
	}
	d.crowd.log.Add(record.Entry{Kind: record.Left, Device: d.name})
	d.name += "'"
	d.store, d.starts, d.away = older, 0, false
	d.crowd.log.Add(record.Entry{Kind: record.Restored, Device: d.name})
	for _, conversation := range older.Conversations() {
		d.crowd.log.Add(record.Entry{
			Kind: record.Restored, Device: d.name, Conversation: conversation, Lines: d.viewOf(older, conversation),
		})
	}
	return true
}

// CopyStore returns a copy of the device's store, or nil if own messages are unsent. Setting those back would freeze
// a second at for them.
func (d *Device) CopyStore() Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	return copyStore(d.store)
}

// HasLeft reports whether the device never comes back.
func (d *Device) HasLeft() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left
}

// Write writes a message on this device and returns its id, or "" while the app does not run. A device that sleeps
// wakes.
func (d *Device) Write(to, body, replyTo string) string {
	d.wake()
	c := d.runningApp()
	if c == nil {
		return ""
	}
	d.crowd.typed.Add(1)
	return c.Write(to, body, replyTo)
}

// Read makes the user see what others wrote in a conversation.
func (d *Device) Read(conversation string) {
	if store, app := d.storeAndApp(); app != nil {
		if at, unseen := store.Unseen(conversation); unseen {
			app.Seen(conversation, at)
		}
	}
}

// Unseen returns the at of the newest message of others in a conversation, and whether the device shows it as unread.
func (d *Device) Unseen(conversation string) (at chat.Micros, unseen bool) {
	store, _ := d.storeAndApp()
	return store.Unseen(conversation)
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

// runningApp returns the app, or nil while it does not run.
func (d *Device) runningApp() App {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.app
}

// storeAndApp returns the store and the app. The app is nil while it does not run.
func (d *Device) storeAndApp() (Store, App) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.store, d.app
}

func (d *Device) dial(ctx context.Context) (client.Conn, error) {
	d.dials.Add(1)
	var l *deviceConn
	conn, err := d.crowd.testbed.Dial(ctx, d.from, func(c net.Conn) net.Conn {
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

// deviceConn is a TCP connection that can vanish. From then on it sends nothing, not even its end.
type deviceConn struct {
	net.Conn
	crowd    *Crowd
	vanished atomic.Bool
}

func (l *deviceConn) vanish() {
	if l.vanished.CompareAndSwap(false, true) {
		l.crowd.keepOpen(l.Conn)
		_ = l.Conn.SetReadDeadline(time.Now()) // wakes the reader
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
		return nil // Crowd.Close closes it
	}
	return l.Conn.Close()
}

var _ client.Conn = (*websocket.Conn)(nil)
