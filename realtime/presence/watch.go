package presence

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// State is what is known of one user.
type State struct {
	User     string
	Online   bool
	LastSeen chat.Micros // when not online; 0: not known
}

// topic is one watched user. Its fields are guarded by Presence.mu.
type topic struct {
	p        *Presence
	uid      string
	watchers map[*Watcher]struct{}
	stop     func() // ends the subscription; nil until there is one
	known    bool
	state    State
	due      time.Time // when to look again
	notices  int       // received: what was looked up before one of them is old
}

// Watcher is one socket's list of watched users.
type Watcher struct {
	// fixed after construction
	p     *Presence
	ready chan struct{}

	// guarded by p.mu
	list   map[string]struct{}
	news   map[string]struct{}
	closed bool
}

// Watch returns a Watcher with an empty list. Close it.
func (p *Presence) Watch() *Watcher {
	return &Watcher{p: p, ready: make(chan struct{}, 1), list: map[string]struct{}{}, news: map[string]struct{}{}}
}

// Set replaces the list (at most wire.MaxWatch uids; more are cut). The
// present state of every user that was not on the old list follows through
// Take. The error is problem.ErrUnavailable; the list is then kept, and Run
// tries again. One call at a time.
func (w *Watcher) Set(ctx context.Context, uids []string) error {
	uids = uids[:min(len(uids), wire.MaxWatch)]
	var fresh []*topic
	p := w.p
	p.mu.Lock()
	if w.closed {
		p.mu.Unlock()
		return nil
	}
	for uid := range w.list {
		if !slices.Contains(uids, uid) {
			w.drop(uid)
		}
	}
	for _, uid := range uids {
		if _, has := w.list[uid]; has {
			continue
		}
		w.list[uid] = struct{}{}
		t := p.topics[uid]
		if t == nil {
			t = &topic{p: p, uid: uid, watchers: map[*Watcher]struct{}{}, due: time.Now().Add(time.Second)}
			p.topics[uid] = t
			fresh = append(fresh, t)
		}
		t.watchers[w] = struct{}{}
		if t.known {
			w.tell(uid)
		}
	}
	p.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	p.wake()
	return p.look(ctx, fresh)
}

// drop takes uid off the list. p.mu is held.
func (w *Watcher) drop(uid string) {
	delete(w.list, uid)
	delete(w.news, uid)
	t := w.p.topics[uid]
	delete(t.watchers, w)
	if len(t.watchers) > 0 {
		return
	}
	delete(w.p.topics, uid)
	if t.stop != nil {
		t.stop()
	}
}

// tell notes news of uid. p.mu is held.
func (w *Watcher) tell(uid string) {
	w.news[uid] = struct{}{}
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// Ready has a value when Take has something to give.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Take returns the newest state of every watched user whose state changed
// since the last call: at most one per user, so nothing overflows.
func (w *Watcher) ReadChanges() []State {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	states := make([]State, 0, len(w.news))
	for uid := range w.news {
		states = append(states, w.p.topics[uid].state)
	}
	clear(w.news)
	return states
}

// Close ends the watching. It does not block.
func (w *Watcher) Close() {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.closed = true
	for uid := range w.list {
		w.drop(uid)
	}
}

// Receive implements listen.Receiver.
func (t *topic) Receive(payload string) {
	if payload == "on" {
		t.p.mu.Lock()
		t.notices++
		t.set(State{User: t.uid, Online: true})
		t.p.mu.Unlock()
		t.lookIn(t.p.opts.Expire)
		return
	}
	t.lookIn(t.p.opts.Linger) // off: perhaps for a reconnect only
}

// Lost implements listen.Receiver.
func (t *topic) Lost() {
	t.p.n.lost.Add(1)
	t.lookIn(0)
}

func (t *topic) lookIn(d time.Duration) {
	t.p.mu.Lock()
	t.due = time.Now().Add(d)
	t.p.mu.Unlock()
	t.p.wake()
}

// set tells the watchers of a state that is news. p.mu is held.
func (t *topic) set(s State) {
	if t.known && t.state.Online == s.Online {
		t.state = s
		return
	}
	t.known, t.state = true, s
	for w := range t.watchers {
		w.tell(t.uid)
	}
}

func (p *Presence) wake() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// watchAll looks at topics when they are due.
func (p *Presence) watchAll(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		next := now.Add(p.opts.Recheck)
		var due []*topic
		p.mu.Lock()
		for _, t := range p.topics {
			if !t.due.After(now) {
				t.due = now.Add(5 * time.Second) // again, should this look fail
				due = append(due, t)
			}
			if t.due.Before(next) {
				next = t.due
			}
		}
		p.mu.Unlock()
		if len(due) > 0 {
			if err := p.look(ctx, due); err != nil && ctx.Err() == nil {
				p.opts.Log.Warn("presence of watched users is late", "users", len(due), "err", err)
			}
			continue
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-p.poke:
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// look subscribes to topics that are not yet, and looks up the states of all.
func (p *Presence) look(ctx context.Context, topics []*topic) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	err := p.subscribe(ctx, topics)
	for len(topics) > 0 {
		n := min(batch, len(topics))
		calls := make([]script.Call, n)
		notices := make([]int, n)
		p.mu.Lock()
		for i, t := range topics[:n] {
			calls[i] = script.Call{Script: stateScript, Keys: keys(t.uid)}
			notices[i] = t.notices
		}
		p.mu.Unlock()
		values, failed := p.runAll(ctx, calls)
		if failed != nil {
			err = failed
		}
		for i, t := range topics[:n] {
			t.learn(values[i], notices[i])
		}
		topics = topics[n:]
	}
	return err
}

// subscribe subscribes to all topics at once, so that they share round trips.
func (p *Presence) subscribe(ctx context.Context, topics []*topic) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	for _, t := range topics {
		p.mu.Lock()
		has := t.stop != nil
		p.mu.Unlock()
		if has {
			continue
		}
		wg.Go(func() {
			stop, err := p.opts.Subscriber.Subscribe(ctx, seenChannel(t.uid), t)
			if err != nil {
				mu.Lock()
				first = err
				mu.Unlock()
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.topics[t.uid] != t || t.stop != nil { // nobody watches any more, or another was first
				stop()
				return
			}
			t.stop = stop
		})
	}
	wg.Wait()
	return first
}

// learn takes what the state script answered when so many notices had come,
// and plans the next look.
func (t *topic) learn(v any, notices int) {
	list, _ := v.([]any)
	if len(list) != 3 {
		return // failed: looked at again soon
	}
	online, _ := list[0].(int64)
	left, _ := list[1].(int64)
	seen, _ := list[2].(string)
	s := State{User: t.uid, Online: online == 1}
	t.p.n.rechecks.Add(1)
	next := t.p.opts.Recheck
	if s.Online {
		next = time.Duration(left)*time.Millisecond + time.Second
	} else if at, err := strconv.ParseInt(seen, 10, 64); err == nil {
		s.LastSeen = chat.Micros(at)
	}
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if notices != t.notices {
		t.due = time.Now().Add(time.Second)
		return
	}
	t.set(s)
	if t.stop != nil {
		t.due = time.Now().Add(next)
	} else {
		t.due = time.Now().Add(time.Second) // not subscribed: that is tried again
	}
}

// Instance is what an instance last said of itself.
type Instance struct {
	ID      string    `json:"id"`
	Sockets int       `json:"sockets"`
	Renewed time.Time `json:"renewed"`
}

// note says how many sockets this instance has ("" takes it away), and returns what all said.
func (p *Presence) note(ctx context.Context, sockets string) (any, error) {
	values, err := p.runAll(ctx, []script.Call{{Script: instanceScript, Keys: []string{instancesKey},
		Args: []any{p.instance, p.opts.Expire.Milliseconds(), sockets}}})
	return values[0], err
}

// Instances returns all instances that renewed within Expire, by id, with this
// one's sockets as they are now. The error is problem.ErrUnavailable.
func (p *Presence) Instances(ctx context.Context) ([]Instance, error) {
	v, err := p.note(ctx, strconv.Itoa(p.opts.Sockets()))
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	var all []Instance
	for i := 0; i+1 < len(list); i += 2 {
		id, _ := list[i].(string)
		said, _ := list[i+1].(string)
		if in, ok := parseInstance(id, said); ok {
			all = append(all, in)
		}
	}
	slices.SortFunc(all, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// parseInstance reads "<ms when its word ends> <sockets> <ms when it was given>".
func parseInstance(id, said string) (Instance, bool) {
	part := strings.Fields(said)
	if len(part) != 3 {
		return Instance{}, false
	}
	sockets, err := strconv.Atoi(part[1])
	ms, err2 := strconv.ParseInt(part[2], 10, 64)
	return Instance{id, sockets, time.UnixMilli(ms).UTC()}, err == nil && err2 == nil
}
