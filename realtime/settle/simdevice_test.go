package settle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// simDevice keeps the client rules of DESIGN §4, as far as inbox and settle
// can tell, and the server's side of its socket.
type simDevice struct {
	w          *world
	name       string
	uid, other string

	mu sync.Mutex
	// as in IndexedDB
	outbox    []chat.Message
	shown     map[string]chat.Message
	delivered map[string]bool
	cursor    string
	debt      bool // history to load, or ids to load
	wrote     []string
	accepted  []string // of wrote: "sent" was said
	newest    chat.Micros
	twice     string // what was shown wrongly
	// of the socket
	sock   *simSocket
	paused bool
}

type simSocket struct {
	n      *node
	feed   *inbox.Feed
	acc    *settle.Window
	cancel context.CancelFunc
	done   chan struct{}
	resync bool // asked to reconnect
	poke   chan struct{}
}

func (d *simDevice) has(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, has := d.shown[id]
	return has
}

func (d *simDevice) on(n *node) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sock != nil && d.sock.n == n
}

func (d *simDevice) resync(n *node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sock != nil && d.sock.n == n {
		d.sock.resync = true
	}
}

func (d *simDevice) pause(yes bool) {
	d.mu.Lock()
	d.paused = yes
	s := d.sock
	d.mu.Unlock()
	if s != nil {
		select {
		case s.poke <- struct{}{}:
		default:
		}
	}
}

// write composes a message and tries to send it.
func (d *simDevice) write(body string) {
	d.mu.Lock()
	at := max(chat.MicrosOf(time.Now()), d.newest+1)
	m := chat.Message{ID: uuid.Must(uuid.NewV7()).String(), Conversation: chat.ConversationID(d.uid, d.other),
		From: d.uid, To: d.other, Body: body, At: at}
	d.newest = at
	d.outbox = append(d.outbox, m)
	d.shown[m.ID] = m
	d.wrote = append(d.wrote, m.ID)
	d.mu.Unlock()
	d.send(m)
}

// send reports whether the message was accepted.
func (d *simDevice) send(m chat.Message) bool {
	d.mu.Lock()
	s := d.sock
	d.mu.Unlock()
	if s == nil {
		return false
	}
	if _, err := s.n.in.Enqueue(context.Background(), m); err != nil {
		return false
	}
	d.mu.Lock()
	d.accepted = append(d.accepted, m.ID)
	d.mu.Unlock()
	return true
}

// resend sends again what is not yet delivered, in order.
func (d *simDevice) resend() {
	d.mu.Lock()
	list := append([]chat.Message(nil), d.outbox...)
	d.mu.Unlock()
	for _, m := range list {
		if !d.send(m) {
			return
		}
	}
}

// connect opens a socket, and closes the old one after that.
func (d *simDevice) connect(n *node) {
	ctx, cancel := context.WithCancel(context.Background())
	feed, err := n.in.Subscribe(ctx, d.uid)
	if err != nil {
		cancel()
		return
	}
	d.mu.Lock()
	cursor := d.cursor
	d.mu.Unlock()
	a, err := n.in.Attach(ctx, d.uid, cursor)
	if err != nil {
		feed.Close()
		cancel()
		return
	}
	s := &simSocket{n: n, feed: feed, acc: n.Open(d.uid, a), cancel: cancel, done: make(chan struct{}), poke: make(chan struct{}, 1)}
	d.mu.Lock()
	old := d.sock
	d.sock = s
	d.debt = d.debt || !a.Resumed
	d.mu.Unlock()
	if old != nil {
		old.end()
	}
	go d.feedEvents(ctx, s, a.From)
}

// reconnect connects where there is no socket, or a resync was asked for.
func (d *simDevice) reconnect(n *node) {
	d.mu.Lock()
	s := d.sock
	need := s == nil || s.resync
	d.mu.Unlock()
	if need {
		d.connect(n)
	}
}

// end closes the socket, and settles nothing.
func (s *simSocket) end() {
	s.cancel()
	<-s.done
	s.feed.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.acc.Close(ctx)
}

// drop loses the socket.
func (d *simDevice) drop() {
	d.mu.Lock()
	s := d.sock
	d.sock = nil
	d.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// ack acknowledges everything stored.
func (d *simDevice) ack() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, err := inbox.ParseCursor(d.cursor); err == nil && d.sock != nil {
		d.sock.acc.Ack(c)
	}
}

// feedEvents is the feeder of the session and the event rules of the client in one.
func (d *simDevice) feedEvents(ctx context.Context, s *simSocket, p inbox.Position) {
	defer close(s.done)
	behind := true
	for ctx.Err() == nil {
		d.mu.Lock()
		paused := d.paused
		d.mu.Unlock()
		if behind && !paused {
			page, err := s.n.in.Read(ctx, d.uid, p, 3)
			if err != nil {
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
				continue
			}
			if page.Gap {
				d.mu.Lock()
				d.debt = true
				if page.NewEpoch {
					s.resync = true
				}
				d.mu.Unlock()
			}
			for _, e := range page.Events {
				d.store(s, page.Next.Epoch, e)
			}
			p = page.Next
			if behind = page.More; behind {
				continue
			}
			s.feed.ReadUpTo(p.Cursor)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.poke:
			continue
		case <-s.feed.Ready():
		}
		wakes, lost := s.feed.ReadWakes()
		behind = behind || lost || paused
		for _, w := range wakes {
			switch {
			case behind || w.Hint != nil:
			case p.RelationTo(w) == inbox.Detached:
				behind = true
			case p.RelationTo(w) == inbox.Next:
				d.store(s, w.Epoch, w.Event)
				p = p.AdvanceTo(w.Event)
			}
		}
	}
}

// store is the client's transaction: the event, what follows from it, and the cursor.
func (d *simDevice) store(s *simSocket, epoch string, e inbox.Event) {
	s.acc.Sent(epoch, e)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e.Type {
	case wire.EventMessage, wire.EventSent:
		m, err := e.Message()
		if err != nil {
			d.twice = err.Error()
			return
		}
		m.AcceptedAt = 0
		if have, has := d.shown[m.ID]; has {
			if have != m {
				d.twice = fmt.Sprintf("%s was shown as %+v, then as %+v", m.ID, have, m)
			}
		}
		d.shown[m.ID] = m
		d.newest = max(d.newest, m.At)
	case wire.EventDelivered:
		var ev wire.DeliveredEvent
		if err := json.Unmarshal(e.Data, &ev); err != nil {
			d.twice = err.Error()
			return
		}
		for _, ref := range ev.Messages {
			d.settled(ref.ID)
			if _, has := d.shown[ref.ID]; !has {
				d.debt = true // ids to load
			}
		}
	}
	d.cursor = inbox.Cursor{Epoch: epoch, ID: e.ID}.String()
}

// settled takes a message out of the outbox. d.mu is held.
func (d *simDevice) settled(id string) {
	d.delivered[id] = true
	for i, m := range d.outbox {
		if m.ID == id {
			d.outbox = append(d.outbox[:i:i], d.outbox[i+1:]...)
			return
		}
	}
}

// payDebts loads history.
func (d *simDevice) payDebts() {
	list := d.w.store.messages()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.debt {
		return
	}
	for _, m := range list {
		m.AcceptedAt = 0
		if have, has := d.shown[m.ID]; has && have != m {
			d.twice = fmt.Sprintf("%s was shown as %+v, and is saved as %+v", m.ID, have, m)
		}
		d.shown[m.ID] = m
		if m.From == d.uid {
			d.settled(m.ID)
		}
	}
}
