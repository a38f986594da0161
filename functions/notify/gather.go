package notify

import (
	"context"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/away"
)

// maxWindows limits the conversations for which a gatherer waits. Beyond it, events are sent at once.
const maxWindows = 10_000

// gatherer merges the events of a conversation, so that send is called for it at most once in Gather. The first event
// is sent at once. Those that come before Gather has passed wait for its end and are sent together. Every call of
// handle returns what the call of send has returned that had its event.
//
// It is safe for concurrent use.
type gatherer struct {
	now  func() time.Time
	wait func(ctx context.Context, d time.Duration) error
	send func(ctx context.Context, n away.Event) error

	mu      sync.Mutex
	windows map[string]*window // by recipient and conversation
}

// window is the time after a push in which no other is sent.
type window struct {
	ends  time.Time
	joint *joint // what is sent when it ends; nil: nothing
}

// joint is a push that several events share.
type joint struct {
	event away.Event
	done  chan struct{} // closed when err is valid
	err   error
}

// handle sends an event, or waits until another call has sent it.
func (g *gatherer) handle(ctx context.Context, n away.Event) error {
	key := n.UID + "/" + n.Conversation
	g.mu.Lock()
	w := g.windows[key]
	switch {
	case w == nil || w.joint == nil && !g.now().Before(w.ends):
		g.open(key)
		g.mu.Unlock()
		return g.send(ctx, n)
	case w.joint != nil:
		j := w.joint
		j.event = merge(j.event, n)
		g.mu.Unlock()
		select {
		case <-j.done:
			return j.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	j := &joint{event: n, done: make(chan struct{})}
	w.joint = j
	pause := w.ends.Sub(g.now())
	g.mu.Unlock()
	j.err = g.wait(ctx, pause)
	g.mu.Lock()
	w.joint, w.ends = nil, g.now().Add(Gather)
	n = j.event // nobody joins it anymore
	g.mu.Unlock()
	if j.err == nil {
		j.err = g.send(ctx, n)
	}
	close(j.done)
	return j.err
}

// open begins a window. The caller holds mu.
func (g *gatherer) open(key string) {
	now := g.now()
	if len(g.windows) >= maxWindows {
		for k, w := range g.windows {
			if w.joint == nil && !now.Before(w.ends) {
				delete(g.windows, k)
			}
		}
	}
	if g.windows == nil {
		g.windows = map[string]*window{}
	}
	if len(g.windows) < maxWindows || g.windows[key] != nil {
		g.windows[key] = &window{ends: now.Add(Gather)}
	}
}

// merge returns an event about the messages of two. The text is that of the later one.
func merge(a, b away.Event) away.Event {
	if b.At < a.At {
		a, b = b, a
	}
	known := map[string]bool{}
	var ids []string
	for _, id := range append(append([]string{}, a.IDs...), b.IDs...) {
		if !known[id] {
			known[id] = true
			ids = append(ids, id)
		}
	}
	b.IDs = ids
	return b
}
