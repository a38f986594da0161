package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Bounds of what a feed holds for its reader.
const (
	maxWakes     = 64
	maxWakeBytes = 512 << 10
)

// Wake is one live notice from a feed: an event, or (Hint not nil) a hint.
type Wake struct {
	Epoch string
	Event Event // shared between feeds: not to be changed
	Prev  ID    // the event before it
	Hint  json.RawMessage
}

// Feed is a live view of one inbox for one reader. Take and Seen are for one
// goroutine; Close may be called by any.
type Feed struct {
	// fixed after construction
	x     *Inboxes
	uid   string
	ready chan struct{}
	stop  func()

	// guarded by mu
	mu     sync.Mutex
	wakes  []Wake
	bytes  int
	lost   bool
	newest Cursor // newest event that the reader was told of
}

// Subscribe opens a feed of uid's inbox; it returns when Redis has confirmed
// it. The first feed of a uid on this instance costs a round trip. A feed
// holds at most 64 wakes and 512 KB; beyond that it drops them all, counted,
// and marks itself lost: a slow reader reads its stream. Close it.
func (x *Inboxes) Subscribe(ctx context.Context, uid string) (*Feed, error) {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	f := &Feed{x: x, uid: uid, ready: make(chan struct{}, 1)}
	stop, err := x.opts.Subscriber.Subscribe(ctx, wakeChannel(uid), f)
	if err != nil {
		x.n.unavailable.Add(1)
		return nil, err
	}
	f.stop = stop
	x.mu.Lock()
	x.feeds[f] = struct{}{}
	x.mu.Unlock()
	return f, nil
}

// Ready has a value when Take has something to give.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// Take returns what came since the last call. lost: wakes may be missing, so
// Read from the position until there is no more; the wakes returned came after the loss.
func (f *Feed) ReadWakes() (wakes []Wake, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wakes, lost = f.wakes, f.lost
	f.wakes, f.bytes, f.lost = nil, 0, false
	return wakes, lost
}

// Seen tells the feed up to where its reader has read, so that the comparison
// with the inbox's last event does not call it lost for nothing. Call it after
// reading pages; wakes count by themselves.
func (f *Feed) ReadUpTo(c Cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Epoch != f.newest.Epoch || c.ID.After(f.newest.ID) {
		f.newest = c
	}
}

// Close ends the feed. It does not block.
func (f *Feed) Close() {
	f.x.mu.Lock()
	delete(f.x.feeds, f)
	f.x.mu.Unlock()
	f.stop()
}

// Receive implements listen.Receiver.
func (f *Feed) Receive(payload string) {
	w, err := parseWake(payload)
	if err != nil {
		f.x.n.poisonWakes.Add(1)
		f.x.opts.Log.Error("a wake cannot be read; the stream is read instead", "uid", f.uid, "err", err)
		f.Lost()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.signal()
	if w.Hint == nil {
		f.newest = Cursor{w.Epoch, w.Event.ID}
	}
	if len(f.wakes) == maxWakes || f.bytes+len(payload) > maxWakeBytes {
		f.x.n.feedOverflows.Add(1)
		f.markLost()
		f.wakes, f.bytes = nil, 0
	}
	f.wakes = append(f.wakes, w)
	f.bytes += len(payload)
}

// Lost implements listen.Receiver.
func (f *Feed) Lost() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.markLost()
	f.signal()
}

// markLost notes a loss. mu is held.
func (f *Feed) markLost() {
	if !f.lost {
		f.x.n.feedsLost.Add(1)
	}
	f.lost = true
}

func (f *Feed) signal() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// compare marks the feed lost where the inbox has an event, or a life, that its reader was not told of.
func (f *Feed) compare(epoch string, last ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch == f.newest.Epoch && !last.After(f.newest.ID) {
		return
	}
	f.x.n.diverged.Add(1)
	f.newest = Cursor{epoch, last}
	f.markLost()
	f.signal()
}

// parseWake reads "E epoch id previous type event" or "H hint".
func parseWake(payload string) (Wake, error) {
	kind, rest, _ := strings.Cut(payload, " ")
	switch kind {
	case "H":
		if len(rest) > chat.MaxFrameSize || !json.Valid([]byte(rest)) {
			return Wake{}, errors.New("hint is no JSON")
		}
		return Wake{Hint: json.RawMessage(rest)}, nil
	case "E":
		part := strings.SplitN(rest, " ", 5)
		if len(part) != 5 {
			return Wake{}, errors.New("event wake has too few parts")
		}
		id, err := ParseID(part[1])
		prev, err2 := ParseID(part[2])
		if err := errors.Join(err, err2); err != nil {
			return Wake{}, err
		}
		w := Wake{Epoch: part[0], Prev: prev, Event: Event{ID: id, Type: part[3], Data: json.RawMessage(part[4])}}
		if why := w.Event.flaw(); why != "" {
			return Wake{}, errors.New("event " + why)
		}
		return w, nil
	}
	return Wake{}, errors.New("wake of an unknown kind")
}
