// Package away publishes events about messages that wait for somebody at whose devices nobody looks (DESIGN §12). The
// function notify sends pushes for them.
//
// Nobody is notified of a message request, that is, of the messages of somebody to whom the recipient has never
// written, and whose request they have not accepted.
//
// An instance gathers the messages of a conversation for a second, and publishes one event for them. It publishes at
// most one event per conversation and recipient in 3 s, and a bounded number about the messages of one sender. An event
// is a hint: the message waits in the inbox as ever. So what cannot be published in time, or does not fit into memory,
// is dropped and counted, and nobody waits for it.
//
// An event has the beginning of a text that was not delivered yet. It is kept in memory until it is published, and it
// is not logged.
package away

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

// Times and limits.
const (
	Gather  = time.Second     // from the first message of a conversation until its event is published
	Every   = 3 * time.Second // one event of a conversation
	Expire  = time.Minute     // after its first message an event is dropped that could not be published
	Waiting = 10_000          // conversations of an instance whose events wait, or were published less than Every ago

	// Events about the messages of one sender that an instance publishes. Beyond that, they wait.
	SenderBurst = 10
	SenderEvery = 15 * time.Second

	attempt    = 10 * time.Second       // to publish an event
	answering  = 3 * time.Second        // part of it: to learn whether the recipient has answered
	publishers = 16                     // events that are published at the same time
	retry      = 2 * time.Second        // after an attempt that failed
	tick       = 100 * time.Millisecond // precision of these times, so that many events share a look at all
	drainIn    = time.Second            // when Run ends
)

// Publisher publishes to the topic that the function notify reads. publish.PubSub implements it.
type Publisher interface {
	// Publish returns when the data is stored, or with an error. It must return soon after ctx ends.
	Publish(ctx context.Context, data []byte) error
}

// Options configure a Notifier.
type Options struct {
	Now func() time.Time // the server's wall clock; default: time.Now
	Log *slog.Logger     // default: slog.Default()

	// Answered reports whether uid has ever written to other, or has accepted their request. It must return soon after ctx
	// ends. After an error, it is asked again. nil: everybody has (tests only).
	Answered func(ctx context.Context, uid, other string) (bool, error)

	SenderEvery time.Duration // default: the constant SenderEvery. Fault tests have few people who write a lot
}

// Counters count what this instance did since it started.
type Counters struct {
	Messages      counter.Count // messages that their recipients should be notified of
	Published     counter.Count // events
	PublishFailed counter.Count // attempts
	Dropped       counter.Count // messages that were given up, because too many wait or publishing failed for too long
	Limited       counter.Count // messages that were given up, because their sender's events wait for too long already
	Requests      counter.Count // messages of people whom the recipient has not answered, so that nobody is notified
}

// Notifier gathers messages and publishes events. It is safe for concurrent use.
type Notifier struct {
	pub      Publisher
	opts     Options
	counters Counters
	wake     chan struct{} // has a value when something is due earlier than Run planned
	dropLog  logging.Sampler

	// guarded by mu
	mu            sync.Mutex
	conversations map[key]*conversation
	senders       map[string]*rate.Limiter // of events; without those that have their burst again
	busy          int                      // events that are being published
	draining      bool                     // an attempt that fails is not repeated
	next          time.Time                // when Run looks again; zero: when it is woken
}

// key identifies the messages that share an event. The conversation and the recipient determine the sender.
type key struct{ uid, conversation string }

// conversation is an event that waits, or the time in which no other may be published.
type conversation struct {
	event   Event     // without an id: nothing waits
	first   time.Time // when its first message came
	due     time.Time // when it is published, or, if nothing waits, when the conversation is forgotten
	running bool      // an earlier event is being published
}

// New returns a Notifier, which works while Run runs.
func New(pub Publisher, opts Options) *Notifier {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.Log = cmp.Or(opts.Log, slog.Default())
	opts.SenderEvery = cmp.Or(opts.SenderEvery, SenderEvery)
	return &Notifier{pub: pub, opts: opts, wake: make(chan struct{}, 1), conversations: map[key]*conversation{},
		senders: map[string]*rate.Limiter{}}
}

// Counters returns the counters of this instance.
func (n *Notifier) Counters() *Counters { return &n.counters }

// Notify has the recipient of m notified. It does not block. Notifying twice of a message that was not published yet
// has no further effect.
func (n *Notifier) Notify(m chat.Message) {
	n.counters.Messages.Add(1)
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	k := key{m.To, m.Conversation}
	c := n.conversations[k]
	if c == nil && len(n.conversations) >= Waiting {
		n.drop(1)
		return
	}
	if c == nil || len(c.event.IDs) == 0 {
		allowed, ok := n.allow(m.From, now)
		if !ok {
			n.counters.Limited.Add(1)
			return
		}
		if c == nil {
			c = &conversation{}
			n.conversations[k] = c
		}
		c.first = now
		c.event = Event{V: 1, UID: m.To, Conversation: m.Conversation, From: m.From}
		for _, due := range []time.Time{now.Add(Gather), allowed} {
			if c.due.Before(due) {
				c.due = due
			}
		}
	}
	c.event.add(m)
	n.plan(c.due)
}

// allow returns when an event about messages of a sender may be published. ok is false if that is too late. mu is held.
func (n *Notifier) allow(from string, now time.Time) (at time.Time, ok bool) {
	l := n.senders[from]
	if l == nil {
		if len(n.senders) >= Waiting {
			maps.DeleteFunc(n.senders, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= SenderBurst })
		}
		if len(n.senders) >= Waiting {
			return now, false
		}
		l = rate.NewLimiter(rate.Every(n.opts.SenderEvery), SenderBurst)
		n.senders[from] = l
	}
	r := l.ReserveN(now, 1)
	if d := r.DelayFrom(now); d < Expire {
		return now.Add(d), true
	}
	r.CancelAt(now)
	return now, false
}

// plan makes Run look at t, if it would look later. mu is held.
func (n *Notifier) plan(t time.Time) {
	if n.next.IsZero() || t.Before(n.next) {
		n.next = t
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// drop counts and logs messages that are given up. mu is held.
func (n *Notifier) drop(messages int) {
	n.counters.Dropped.Add(int64(messages))
	if left, ok := n.dropLog.Allow(); ok {
		n.opts.Log.Warn("people who are away were not notified of messages", "messages", messages,
			"dropped", n.counters.Dropped.Load(), "not_logged", left)
	}
}

// Run publishes until ctx ends, and then what is left, for a second at most. It returns the cause of ctx.
func (n *Notifier) Run(ctx context.Context) error {
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainIn, end) })()
	var publishing sync.WaitGroup
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(n.publishDue(work, &publishing, false))
		select {
		case <-ctx.Done():
		case <-n.wake:
		case <-timer.C:
		}
	}
	n.mu.Lock()
	n.draining = true
	n.mu.Unlock()
	for work.Err() == nil && n.left() > 0 {
		n.publishDue(work, &publishing, true)
		publishing.Wait()
	}
	publishing.Wait()
	if left := n.left(); left > 0 {
		n.mu.Lock()
		n.drop(left)
		n.mu.Unlock()
	}
	return context.Cause(ctx)
}

// left returns the number of messages that wait.
func (n *Notifier) left() (messages int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conversations {
		messages += len(c.event.IDs)
	}
	return messages
}

// publishDue starts to publish the events that are due, or all, as long as there are publishers. It returns how long to
// wait until it should be called again.
func (n *Notifier) publishDue(ctx context.Context, publishing *sync.WaitGroup, all bool) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	next := now.Add(time.Hour)
	for k, c := range n.conversations {
		waiting := len(c.event.IDs) > 0
		switch {
		case waiting && now.Sub(c.first) >= Expire:
			n.drop(len(c.event.IDs))
			c.event = Event{}
		case c.running:
			// The end of that attempt makes Run look again.
		case !waiting && !now.Before(c.due):
			delete(n.conversations, k)
		case waiting && (all || !now.Before(c.due)) && n.busy < publishers:
			e, first := c.event, c.first
			c.event, c.running = Event{}, true
			n.busy++
			publishing.Go(func() { n.publish(ctx, k, c, e, first) })
		case waiting && !now.Before(c.due): // all publishers are busy
			next = earlier(next, c.first.Add(Expire))
		default:
			next = earlier(next, c.due)
		}
	}
	next = next.Truncate(tick).Add(tick)
	n.next = next
	return next.Sub(now)
}

// publish publishes an event, if the recipient has answered the sender. If that fails, the event waits again, together
// with the messages that came meanwhile.
func (n *Notifier) publish(ctx context.Context, k key, c *conversation, e Event, first time.Time) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	answered, err := n.answered(ctx, e)
	if answered && err == nil {
		e.At = chat.MicrosOf(n.opts.Now())
		var data []byte
		if data, err = chat.Marshal(e); err == nil {
			err = n.pub.Publish(ctx, data)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy--
	c.running = false
	now := time.Now()
	switch {
	case err != nil && n.draining:
		n.counters.PublishFailed.Add(1)
		n.drop(len(e.IDs))
	case err != nil:
		n.counters.PublishFailed.Add(1)
		c.due = now.Add(retry)
		c.event, c.first = merge(e, c.event), first
	case !answered:
		n.counters.Requests.Add(int64(len(e.IDs)))
		c.due = now.Add(Every)
	default:
		n.counters.Published.Add(1)
		c.due = now.Add(Every)
	}
	n.next = time.Time{} // an event may have waited for a publisher
	n.plan(now)
}

// answered reports whether the recipient of an event has answered its sender.
func (n *Notifier) answered(ctx context.Context, e Event) (bool, error) {
	if n.opts.Answered == nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	return n.opts.Answered(ctx, e.UID, e.From)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// merge returns the event of the messages of two, of which b is the later one.
func merge(a, b Event) Event {
	if len(b.IDs) == 0 {
		return a
	}
	text := b.Text
	for _, id := range b.IDs {
		a.add(chat.Message{ID: id})
	}
	a.Text = text
	return a
}
