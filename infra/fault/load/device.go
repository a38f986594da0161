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
	crowd  *Crowd
	person string
	name   string
	skew   time.Duration // its clock is this much ahead

	mu     sync.Mutex
	store  *client.Store
	client *client.Client // nil while the app is not running
	odd    client.Odd
	lives  uint64
	away   bool // offline or not running, by its own fault
	gone   bool // for ever

	dials atomic.Int64

	linesMu sync.Mutex // of its own: dials go on while mu is held by who waits for their end
	lines   []*line    // the newest two connections; guarded by linesMu
}

// Name returns the name under which the record knows the device.
func (d *Device) Name() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.name
}

// Person returns whose device it is.
func (d *Device) Person() string { return d.person }

// Behave gives the device bad manners from its next start on.
func (d *Device) Behave(odd client.Odd) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.odd = odd
	e := record.Entry{Kind: record.Device, Device: d.name, Person: d.person}
	if odd.AckAhead > 0 {
		e.Name = verdict.AcksAhead
	}
	d.crowd.log.Add(e)
}

// Start starts the app, unless it runs or the device is gone for ever.
func (d *Device) Start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil || d.gone {
		return
	}
	d.lives++
	if d.lives == 1 {
		d.crowd.log.Add(record.Entry{Kind: record.Device, Device: d.name, Person: d.person})
	}
	d.back()
	name := d.name
	d.client = client.New(d.store, client.Options{
		Dial:    d.dial,
		Token:   func(context.Context) (string, time.Time, error) { return d.crowd.stage.Token(d.person) },
		History: d.crowd.stage.History(d.person),
		Now:     func() time.Time { return time.Now().Add(d.skew) },
		Rand:    rand.New(rand.NewPCG(d.crowd.opts.Seed^hash(name), d.lives)),
		Note:    func(n client.Note) { d.crowd.enter(name, n) },
		Pace:    d.crowd.opts.Pace,
		Odd:     d.odd,
	})
}

// back enters that the device has its network and its app again.
func (d *Device) back() {
	if d.away {
		d.away = false
		d.crowd.log.Add(record.Entry{Kind: record.Online, Device: d.name})
	}
}

func (d *Device) leave() {
	if !d.away {
		d.away = true
		d.crowd.log.Add(record.Entry{Kind: record.Offline, Device: d.name})
	}
}

// Kill ends the app at once; its connections end with it.
func (d *Device) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		d.leave()
		d.client.Kill()
		d.client = nil
	}
}

// Vanish ends the app, and nobody tells the server: its connections stand, and
// nothing comes from them any more.
func (d *Device) Vanish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.linesMu.Lock()
	for _, l := range d.lines {
		l.vanish()
	}
	d.lines = nil
	d.linesMu.Unlock()
	if d.client != nil {
		d.leave()
		d.client.Kill()
		d.client = nil
	}
}

// Leave ends the app for ever.
func (d *Device) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		d.client.Kill()
		d.client = nil
	}
	if !d.gone {
		d.gone = true
		d.crowd.log.Add(record.Entry{Kind: record.Gone, Device: d.name})
	}
}

// Offline takes the network away from the app; the person can still write.
func (d *Device) Offline() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		d.leave()
		d.client.Offline()
	}
}

// Online gives it back.
func (d *Device) Online() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		d.back()
		d.client.Online()
	}
}

// Flap breaks the connections, as a change of networks does.
func (d *Device) Flap() {
	if c := d.running(); c != nil {
		c.Drop()
	}
}

// StopReading makes the device stop reading what the server sends, or go on.
func (d *Device) StopReading(stop bool) {
	if c := d.running(); c != nil {
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
	if d.gone {
		return false
	}
	if d.client != nil {
		d.client.Kill()
		d.client = nil
	}
	if d.store.Outbox() > 0 {
		return false
	}
	d.crowd.log.Add(record.Entry{Kind: record.Gone, Device: d.name})
	d.name += "'"
	d.store, d.lives, d.away = older, 0, false
	return true
}

// Copy returns a copy of the device's store, or nil where own messages wait in
// it: nobody sets those back, since their places would be given twice.
func (d *Device) Copy() *client.Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.store.Snapshot()
	if c.Outbox() > 0 {
		return nil
	}
	return c
}

// Gone reports whether the device left for ever.
func (d *Device) Gone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

// Write has the person write a message on this device; it returns the
// message's id, "" while the app does not run.
func (d *Device) Write(to, body, replyTo string) string {
	c := d.running()
	if c == nil {
		return ""
	}
	d.crowd.typed.Add(1)
	return c.Write(to, body, replyTo)
}

// Read has the person see what others wrote in a conversation.
func (d *Device) Read(conversation string) {
	if store, app := d.now(); app != nil {
		if at, unseen := store.Unseen(conversation); unseen {
			app.Seen(conversation, at)
		}
	}
}

// Shows returns what the device shows of a conversation.
func (d *Device) Shows(conversation string) []client.Line {
	store, _ := d.now()
	return store.Conversation(conversation)
}

// Up reports whether the device has a socket that is caught up.
func (d *Device) Up() bool {
	c := d.running()
	return c != nil && c.Up()
}

func (d *Device) running() *client.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.client
}

// now returns the store and the app, which is nil while it does not run.
func (d *Device) now() (*client.Store, *client.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.store, d.client
}

func (d *Device) dial(ctx context.Context) (client.Conn, error) {
	d.dials.Add(1)
	var l *line
	conn, err := d.crowd.stage.Dial(ctx, func(c net.Conn) net.Conn {
		l = &line{Conn: c, crowd: d.crowd}
		return l
	})
	if err != nil {
		return nil, err
	}
	d.linesMu.Lock()
	defer d.linesMu.Unlock()
	d.lines = append(d.lines[max(0, len(d.lines)-1):], l)
	return conn, nil
}

// line is a TCP connection that can vanish: from then on it says nothing, not
// even that it has ended.
type line struct {
	net.Conn
	crowd    *Crowd
	vanished atomic.Bool
}

func (l *line) vanish() {
	if l.vanished.CompareAndSwap(false, true) {
		l.crowd.keep(l.Conn)
		_ = l.Conn.SetReadDeadline(time.Now()) // wakes who reads
	}
}

func (l *line) Write(b []byte) (int, error) {
	if l.vanished.Load() {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

func (l *line) Close() error {
	if l.vanished.Load() {
		return nil // the crowd closes it in the end
	}
	return l.Conn.Close()
}

var _ client.Conn = (*websocket.Conn)(nil)
