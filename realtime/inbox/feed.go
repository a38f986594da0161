package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Limits of what a feed holds for its reader.
const (
	maxWakes     = 64
	maxWakeBytes = 512 << 10
)

// Wake is one live notification from a feed: an event or, if Hint is not nil, a hint.
type Wake struct {
	Epoch string
	Event Event // shared between feeds; must not be modified
	Prev  ID    // the event before Event
	Hint  json.RawMessage
}

// Feed is a live view of one inbox for one reader. ReadWakes and ReadUpTo must be called by one goroutine; Close may be
// called by any.
type Feed struct {
	// immutable after construction
	inboxes     *Inboxes
	uid         string
	ready       chan struct{} // nil with notify
	notify      func()        // nil with ready
	unsubscribe func()

	// guarded by mu
	mu     sync.Mutex
	wakes  []Wake
	bytes  int
	lost   bool
	newest Cursor // newest event that the reader has read, or that a wake or a loss reports to it
}

// Subscribe opens a feed of uid's inbox. It returns when Redis has confirmed the subscription. The first feed of a uid
// on this instance costs a round trip. A feed holds at most 64 wakes and 512 KiB. Beyond that it drops its wakes,
// counts the overflow and marks itself lost, so that a slow reader reads the stream instead. The caller must close the
// feed.
func (boxes *Inboxes) Subscribe(ctx context.Context, uid string) (*Feed, error) {
	return boxes.subscribe(ctx, &Feed{inboxes: boxes, uid: uid, ready: make(chan struct{}, 1)})
}

// SubscribeFunc is like Subscribe for a reader that does not wait for Ready: whenever ReadWakes has something to
// return, it calls notify, which must not block. A feed that nobody waits for needs no goroutine while nothing
// happens.
func (boxes *Inboxes) SubscribeFunc(ctx context.Context, uid string, notify func()) (*Feed, error) {
	return boxes.subscribe(ctx, &Feed{inboxes: boxes, uid: uid, notify: notify})
}

func (boxes *Inboxes) subscribe(ctx context.Context, f *Feed) (*Feed, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	unsubscribe, err := boxes.opts.Subscriber.Subscribe(ctx, wakeChannel(f.uid), f)
	if err != nil {
		boxes.counters.Unavailable.Add(1)
		return nil, err
	}
	f.unsubscribe = unsubscribe
	boxes.mu.Lock()
	boxes.feeds[f] = struct{}{}
	boxes.mu.Unlock()
	return f, nil
}

// Ready has a value when ReadWakes has something to return. It is nil for a feed of SubscribeFunc.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// ReadWakes returns the wakes that arrived since the last call. If lost is set, earlier wakes may be missing: Read from
// the position until there is no more. The returned wakes arrived after the loss.
func (f *Feed) ReadWakes() (wakes []Wake, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wakes, lost = f.wakes, f.lost
	f.wakes, f.bytes, f.lost = nil, 0, false
	return wakes, lost
}

// ReadUpTo records how far the reader has read, so that the comparison with the inbox's newest event does not mark the
// feed lost without need. Call it after reading pages. Wakes are recorded when they arrive.
func (f *Feed) ReadUpTo(c Cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Epoch != f.newest.Epoch || c.ID.After(f.newest.ID) {
		f.newest = c
	}
}

// Close ends the feed. It does not block.
func (f *Feed) Close() {
	f.inboxes.mu.Lock()
	delete(f.inboxes.feeds, f)
	f.inboxes.mu.Unlock()
	f.unsubscribe()
}

// Receive implements redissub.Receiver.
func (f *Feed) Receive(payload string) {
	w, err := parseWake(payload)
	if err != nil {
		f.inboxes.counters.PoisonWakes.Add(1)
		f.inboxes.opts.Log.Error("unreadable wake; reading the stream instead", "uid", f.uid, "error", err)
		f.Lost()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.signal()
	if w.Hint == nil {
		// Reuse the text of the epoch: a part of the payload would keep all of it in memory.
		if w.Epoch == f.newest.Epoch {
			w.Epoch = f.newest.Epoch
		} else {
			w.Epoch = strings.Clone(w.Epoch)
		}
		f.newest = Cursor{Epoch: w.Epoch, ID: w.Event.ID}
	}
	if len(f.wakes) == maxWakes || f.bytes+len(payload) > maxWakeBytes {
		f.inboxes.counters.FeedOverflows.Add(1)
		f.markLost()
		f.wakes, f.bytes = nil, 0
	}
	f.wakes = append(f.wakes, w)
	f.bytes += len(payload)
}

// Lost implements redissub.Receiver.
func (f *Feed) Lost() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.markLost()
	f.signal()
}

// markLost records that wakes may be missing. mu is held.
func (f *Feed) markLost() {
	if !f.lost {
		f.inboxes.counters.FeedsLost.Add(1)
	}
	f.lost = true
}

// signal notifies the reader. mu is held.
func (f *Feed) signal() {
	if f.notify != nil {
		f.notify()
		return
	}
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// compareWithNewest marks the feed lost if the inbox has an event or an epoch that its reader does not know.
func (f *Feed) compareWithNewest(epoch string, last ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch == f.newest.Epoch && !last.After(f.newest.ID) {
		return
	}
	f.inboxes.counters.Diverged.Add(1)
	f.newest = Cursor{Epoch: epoch, ID: last}
	f.markLost()
	f.signal()
}

// parseWake parses "E epoch id previous type event" or "H hint".
func parseWake(payload string) (Wake, error) {
	kind, rest, _ := strings.Cut(payload, " ")
	switch kind {
	case "H":
		if len(rest) > chat.MaxFrameSize || !json.Valid([]byte(rest)) {
			return Wake{}, errors.New("parse wake: hint is not valid JSON")
		}
		return Wake{Hint: json.RawMessage(rest)}, nil
	case "E":
		epoch, rest, _ := strings.Cut(rest, " ")
		idText, rest, _ := strings.Cut(rest, " ")
		prevText, rest, _ := strings.Cut(rest, " ")
		event, data, ok := strings.Cut(rest, " ")
		if !ok {
			return Wake{}, errors.New("parse wake: too few parts")
		}
		id, err := ParseID(idText)
		prev, err2 := ParseID(prevText)
		if err := errors.Join(err, err2); err != nil {
			return Wake{}, fmt.Errorf("parse wake: %w", err)
		}
		w := Wake{Epoch: epoch, Prev: prev, Event: Event{ID: id, Type: eventType(event), Data: json.RawMessage(data)}}
		if why := w.Event.outerFlaw(); why != "" {
			return Wake{}, errors.New("parse wake: event " + why)
		}
		return w, nil
	}
	return Wake{}, errors.New("parse wake: unknown kind")
}

// outerFlaw is flaw without reading the data to its end. It is for wakes, which only our scripts publish, with the data
// that this package encoded.
func (e Event) outerFlaw() string {
	switch n := len(e.Data); {
	case e.Type == "" || n == 0:
		return "has no type or no data"
	case n >= 2*chat.MaxFrameSize:
		return "is larger than any valid event"
	case e.Data[0] != '{' || e.Data[n-1] != '}':
		return "is not a JSON object"
	}
	return ""
}

// eventType returns t, and for the frequent types a constant, so that a wake does not keep its whole payload in memory.
func eventType(t string) string {
	switch t {
	case wire.EventMessage:
		return wire.EventMessage
	case wire.EventSent:
		return wire.EventSent
	case wire.EventDelivered:
		return wire.EventDelivered
	}
	return strings.Clone(t)
}
