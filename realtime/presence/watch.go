package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// State is the presence of one user.
type State struct {
	User     string
	Online   bool
	LastSeen chat.Micros // if not online, in whole minutes; 0: unknown
}

// topic is one watched user. Its fields are guarded by Presence.mu.
type topic struct {
	presence    *Presence
	uid         string
	watchers    map[*Watcher]struct{}
	unsubscribe func() // nil until the subscription is confirmed
	known       bool
	state       State
	blocked     []string // whom the user had blocked at the last look-up; current if gateKnown
	gateKnown   bool
	checkAt     time.Time // when to look up the state again
	notices     int       // number received; a look-up that began before the last one is out of date
}

// shownTo returns the state that w may see, and whether that is the real one. presence.mu is held.
func (t *topic) shownTo(w *Watcher) (s State, real bool) {
	if slices.Contains(t.blocked, w.uid) || slices.Contains(w.blocked, t.uid) {
		return State{User: t.uid}, false
	}
	return t.state, true
}

// Watcher is one socket's list of watched users.
type Watcher struct {
	// immutable after construction
	presence *Presence
	uid      string
	ready    chan struct{}

	// guarded by presence.mu
	blocked []string // whom uid has blocked
	list    map[string]struct{}
	changed map[string]struct{} // users whose states ReadChanges has not returned
	closed  bool
}

// Watch returns a Watcher of uid with an empty list. The caller must close it.
func (p *Presence) Watch(uid string) *Watcher {
	return &Watcher{presence: p, uid: uid, ready: make(chan struct{}, 1),
		list: map[string]struct{}{}, changed: map[string]struct{}{}}
}

// SetBlocked sets whom the user of this Watcher has blocked. The states of these people are hidden from it. The slice
// must not change afterwards.
func (w *Watcher) SetBlocked(uids []string) {
	w.presence.mu.Lock()
	defer w.presence.mu.Unlock()
	before := w.blocked
	w.blocked = uids
	for uid := range w.list {
		if t := w.presence.topics[uid]; t.known && slices.Contains(before, uid) != slices.Contains(uids, uid) {
			w.addChange(uid)
		}
	}
}

// Set replaces the list. It ignores uids beyond wire.MaxWatch. ReadChanges then returns the current state of every user
// that was not on the old list. If the error is problem.ErrUnavailable, the list is set nevertheless, and Run tries
// again. Calls must not overlap.
func (w *Watcher) Set(ctx context.Context, uids []string) error {
	uids = uids[:min(len(uids), wire.MaxWatch)]
	var added []*topic
	p := w.presence
	p.mu.Lock()
	if w.closed {
		p.mu.Unlock()
		return nil
	}
	for uid := range w.list {
		if !slices.Contains(uids, uid) {
			w.unwatch(uid)
		}
	}
	for _, uid := range uids {
		if _, has := w.list[uid]; has {
			continue
		}
		w.list[uid] = struct{}{}
		t := p.topics[uid]
		if t == nil {
			t = &topic{presence: p, uid: uid, watchers: map[*Watcher]struct{}{}, checkAt: time.Now().Add(time.Second)}
			p.topics[uid] = t
			added = append(added, t)
		}
		t.watchers[w] = struct{}{}
		if t.known {
			w.addChange(uid)
		}
	}
	p.mu.Unlock()
	if len(added) == 0 {
		return nil
	}
	p.replanChecks()
	return p.refreshStates(ctx, added)
}

// unwatch removes uid from the list. presence.mu is held.
func (w *Watcher) unwatch(uid string) {
	delete(w.list, uid)
	delete(w.changed, uid)
	t := w.presence.topics[uid]
	delete(t.watchers, w)
	if len(t.watchers) > 0 {
		return
	}
	delete(w.presence.topics, uid)
	if t.unsubscribe != nil {
		t.unsubscribe()
	}
}

// addChange records that the state of uid has changed. presence.mu is held.
func (w *Watcher) addChange(uid string) {
	w.changed[uid] = struct{}{}
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// Ready has a value when ReadChanges has something to return.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// ReadChanges returns the newest state of every watched user whose state has changed since the last call. There is at
// most one state per user, so the number of changes is bounded.
func (w *Watcher) ReadChanges() []State {
	w.presence.mu.Lock()
	defer w.presence.mu.Unlock()
	states := make([]State, 0, len(w.changed))
	for uid := range w.changed {
		state, _ := w.presence.topics[uid].shownTo(w)
		states = append(states, state)
	}
	clear(w.changed)
	return states
}

// Close ends the Watcher. It does not block.
func (w *Watcher) Close() {
	w.presence.mu.Lock()
	defer w.presence.mu.Unlock()
	w.closed = true
	for uid := range w.list {
		w.unwatch(uid)
	}
}

// GateChanged looks up uid again if it is watched, because the user may have blocked or unblocked a watcher. It does
// not block.
func (p *Presence) GateChanged(uid string) {
	p.mu.Lock()
	t := p.topics[uid]
	if t != nil {
		t.notices++
		t.gateKnown = false // an "on" before the look-up must not put it off
		t.checkAt = time.Now()
	}
	p.mu.Unlock()
	if t != nil {
		p.replanChecks()
	}
}

// Receive implements redissub.Receiver.
func (t *topic) Receive(payload string) {
	if payload == "on" {
		t.presence.mu.Lock()
		t.notices++
		after := time.Duration(0) // look up who may see it
		if t.gateKnown {
			t.setState(State{User: t.uid, Online: true}, t.blocked)
			after = t.presence.opts.tuning.Expire
		}
		t.presence.mu.Unlock()
		t.scheduleCheck(after)
		return
	}
	t.scheduleCheck(t.presence.opts.tuning.Linger) // "off" may be part of a reconnect
}

// Lost implements redissub.Receiver.
func (t *topic) Lost() {
	t.presence.counters.Lost.Add(1)
	t.scheduleCheck(0)
}

// scheduleCheck makes Run look up the state after d. As long as the gate is not known, a look-up that is due earlier
// stays.
func (t *topic) scheduleCheck(d time.Duration) {
	t.presence.mu.Lock()
	if at := time.Now().Add(d); t.gateKnown || at.Before(t.checkAt) {
		t.checkAt = at
	}
	t.presence.mu.Unlock()
	t.presence.replanChecks()
}

// setState stores a state and whom the user has blocked, and notifies the watchers for whom something has changed. A
// watcher from whom the state is hidden is not notified: the moment itself would reveal something. presence.mu is held.
func (t *topic) setState(s State, blocked []string) {
	before := *t
	t.known, t.state, t.blocked = true, s, blocked
	for w := range t.watchers {
		old, wasReal := before.shownTo(w)
		now, isReal := t.shownTo(w)
		if !before.known || old.Online != now.Online || wasReal != isReal && old != now {
			w.addChange(t.uid)
		}
	}
}

// replanChecks makes Run recompute when the next topic is due.
func (p *Presence) replanChecks() {
	select {
	case p.checkEarlier <- struct{}{}:
	default:
	}
}

// refreshDueTopics looks up the states of topics when they are due.
func (p *Presence) refreshDueTopics(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		next := now.Add(recheck)
		var due []*topic
		p.mu.Lock()
		for _, t := range p.topics {
			if !t.checkAt.After(now) {
				t.checkAt = now.Add(5 * time.Second) // applies if this look-up fails
				due = append(due, t)
			}
			if t.checkAt.Before(next) {
				next = t.checkAt
			}
		}
		p.mu.Unlock()
		if len(due) > 0 {
			if err := p.refreshStates(ctx, due); err != nil && ctx.Err() == nil {
				p.opts.Log.Warn("could not refresh the presence of watched users", "users", len(due), "error", err)
			}
			continue
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-p.checkEarlier:
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// refreshStates subscribes to the topics that have no subscription, and looks up the states of all.
func (p *Presence) refreshStates(ctx context.Context, topics []*topic) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.tuning.Timeout)
	defer cancel()
	err := p.subscribeTopics(ctx, topics)
	for len(topics) > 0 {
		n := min(batch, len(topics))
		calls := make([]script.Call, n)
		notices := make([]int, n)
		p.mu.Lock()
		for i, t := range topics[:n] {
			calls[i] = script.Call{Script: stateScript, Keys: stateKeys(t.uid)}
			notices[i] = t.notices
		}
		p.mu.Unlock()
		values, failed := p.runScriptsForValues(ctx, calls)
		if failed != nil {
			err = failed
		}
		var wg errgroup.Group
		wg.SetLimit(gateReads)
		for i, t := range topics[:n] {
			wg.Go(func() error { return t.applyLookUp(ctx, values[i], notices[i]) })
		}
		if failed := wg.Wait(); failed != nil {
			err = failed
		}
		topics = topics[n:]
	}
	return err
}

// subscribeTopics subscribes to all topics at once, so that they share round trips.
func (p *Presence) subscribeTopics(ctx context.Context, topics []*topic) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, t := range topics {
		p.mu.Lock()
		has := t.unsubscribe != nil
		p.mu.Unlock()
		if has {
			continue
		}
		wg.Go(func() {
			unsubscribe, err := p.opts.Subscriber.Subscribe(ctx, seenChannel(t.uid), t)
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.topics[t.uid] != t || t.unsubscribe != nil { // no watcher is left, or a concurrent call was faster
				unsubscribe()
				return
			}
			t.unsubscribe = unsubscribe
		})
	}
	wg.Wait()
	return failed
}

// applyLookUp stores the result of the state script. If Redis does not have the gate of a user of whom there is
// something to report, it reads the gate from its source, which puts it into Redis for a day. notices is the number
// of notices that had arrived when the look-up began.
func (t *topic) applyLookUp(ctx context.Context, v any, notices int) error {
	list, _ := v.([]any)
	if len(list) != 4 {
		return nil // the look-up failed; refreshDueTopics repeats it soon
	}
	online, _ := list[0].(int64)
	left, _ := list[1].(int64)
	seen, _ := list[2].(string)
	gate, _ := list[3].(string)
	t.presence.counters.Rechecks.Add(1)
	s := State{User: t.uid, Online: online == 1}
	next := recheck
	if s.Online {
		next = time.Duration(left)*time.Millisecond + time.Second
	} else if at, err := strconv.ParseInt(seen, 10, 64); err == nil {
		s.LastSeen = chat.MicrosOf(chat.Micros(at).Time().Truncate(seenUnit))
	}
	var blocked []string
	gateKnown := true
	switch {
	case gate != "":
		if err := json.Unmarshal([]byte(gate), &blocked); err != nil {
			return fmt.Errorf("presence: decode the gate of %s: %w", t.uid, err)
		}
	case s.Online || s.LastSeen != 0:
		g, err := t.presence.opts.Gates.Get(ctx, t.uid)
		if err != nil {
			return err
		}
		blocked = g.Blocked
	default:
		gateKnown = false
	}
	t.applyState(s, blocked, gateKnown, next, notices)
	return nil
}

// applyState stores a state, unless it is out of date, and plans the next look-up.
func (t *topic) applyState(s State, blocked []string, gateKnown bool, next time.Duration, notices int) {
	t.presence.mu.Lock()
	defer t.presence.mu.Unlock()
	if notices != t.notices {
		t.checkAt = time.Now().Add(time.Second)
		return
	}
	t.gateKnown = gateKnown
	t.setState(s, blocked)
	if t.unsubscribe != nil {
		t.checkAt = time.Now().Add(next)
	} else {
		t.checkAt = time.Now().Add(time.Second) // try to subscribe again
	}
}

// Instance is what an instance last reported about itself.
type Instance struct {
	ID      string    `json:"id"`
	Sockets int       `json:"sockets"`
	Renewed time.Time `json:"renewed"`
}

// reportInstance stores the number of this instance's sockets ("" removes the instance), and returns the reports of all
// instances.
func (p *Presence) reportInstance(ctx context.Context, sockets string) (any, error) {
	values, err := p.runScriptsForValues(ctx, []script.Call{{Script: instanceScript, Keys: []string{instancesKey},
		Args: []any{p.instance, p.opts.tuning.Expire.Milliseconds(), sockets}}})
	return values[0], err
}

// Instances returns all instances whose reports have not expired, ordered by id, with the current number of this
// instance's sockets. The error is problem.ErrUnavailable.
func (p *Presence) Instances(ctx context.Context) ([]Instance, error) {
	v, err := p.reportInstance(ctx, strconv.Itoa(p.opts.Sockets()))
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	var all []Instance
	for i := 0; i+1 < len(list); i += 2 {
		id, _ := list[i].(string)
		report, _ := list[i+1].(string)
		if in, ok := parseInstance(id, report); ok {
			all = append(all, in)
		}
	}
	slices.SortFunc(all, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// parseInstance parses "<expiry ms> <sockets> <renewed ms>".
func parseInstance(id, report string) (Instance, bool) {
	part := strings.Fields(report)
	if len(part) != 3 {
		return Instance{}, false
	}
	sockets, err := strconv.Atoi(part[1])
	ms, err2 := strconv.ParseInt(part[2], 10, 64)
	return Instance{id, sockets, time.UnixMilli(ms).UTC()}, err == nil && err2 == nil
}
