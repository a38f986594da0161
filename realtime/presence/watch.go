package presence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
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
	blocked     []string      // whom the user had blocked at the last look-up; current if gateKnown
	audience    chat.Audience // likewise: who sees the presence
	gateKnown   bool
	peers       map[string]string // by uid of a watcher: what peers:{uid} holds; missing: not looked up. Never changed
	profileDue  bool              // the profile has changed; watchers are notified when it is known who is blocked
	checkAt     time.Time         // when to look up the state again
	notices     int               // number received; a look-up that began before the last one is out of date
}

// Values in peers of a watcher. Others are those of strangers.
const (
	userWrote   = "1"
	watcherOnly = "2" // has written, and was not answered
	bothWrote   = "3"
)

// shownTo returns the state that w may see, and whether that is the real one. presence.mu is held.
func (t *topic) shownTo(w *Watcher) (s State, real bool) {
	if t.isBlocked(w) || !t.isKnownTo(w) || !t.admits(t.peers[w.uid]) {
		return State{User: t.uid}, false
	}
	return t.state, true
}

// admits reports whether a watcher with a value in peers may see the presence, if nobody has blocked the other.
func (t *topic) admits(peer string) bool {
	switch t.audience {
	case chat.Everyone:
		return peer != watcherOnly
	case chat.Chats:
		return peer == userWrote || peer == bothWrote
	default:
		return false
	}
}

// isBlocked reports whether the users of t and w have blocked each other. presence.mu is held.
func (t *topic) isBlocked(w *Watcher) bool {
	return slices.Contains(t.blocked, w.uid) || slices.Contains(w.blocked, t.uid)
}

// isKnownTo reports whether it is known what w may see. presence.mu is held.
func (t *topic) isKnownTo(w *Watcher) bool {
	_, ok := t.peers[w.uid]
	return t.known && ok
}

// isWatchedBy reports whether a socket of uid watches. presence.mu is held.
func (t *topic) isWatchedBy(uid string) bool {
	for w := range t.watchers {
		if w.uid == uid {
			return true
		}
	}
	return false
}

// Watcher is one socket's list of watched users.
type Watcher struct {
	// immutable after construction
	presence *Presence
	uid      string
	ready    chan struct{}
	notify   func() // instead of ready, if not nil

	// guarded by presence.mu
	blocked []string // whom uid has blocked
	list    map[string]struct{}
	changed map[string]struct{} // users whose states ReadChanges has not returned
	renamed map[string]struct{} // users whose new profiles ReadProfiles has not returned; may be nil
	closed  bool
}

// Watch returns a Watcher of uid with an empty list. The caller must close it.
func (p *Presence) Watch(uid string) *Watcher {
	return &Watcher{presence: p, uid: uid, ready: make(chan struct{}, 1),
		list: map[string]struct{}{}, changed: map[string]struct{}{}}
}

// WatchFunc is like Watch for a socket that does not wait for Ready: whenever ReadChanges has something to return, it
// calls notify, which must not block or use the Watcher.
func (p *Presence) WatchFunc(uid string, notify func()) *Watcher {
	w := p.Watch(uid)
	w.notify = notify
	return w
}

// SetBlocked sets whom the user of this Watcher has blocked. The states of these people are hidden from it. The slice
// must not change afterwards.
func (w *Watcher) SetBlocked(uids []string) {
	w.presence.mu.Lock()
	defer w.presence.mu.Unlock()
	before := w.blocked
	w.blocked = uids
	for uid := range w.list {
		if t := w.presence.topics[uid]; t.isKnownTo(w) && slices.Contains(before, uid) != slices.Contains(uids, uid) {
			w.addChange(uid)
		}
	}
}

// Set replaces the list. It ignores uids beyond wire.MaxWatch. ReadChanges then returns the current state of every user
// that was not on the old list. If the error is problem.ErrUnavailable, the list is set nevertheless, and Run tries
// again. Calls must not overlap.
func (w *Watcher) Set(ctx context.Context, uids []string) error {
	uids = uids[:min(len(uids), wire.MaxWatch)]
	var unknown []*topic // whose states, or what w may see of them, must be looked up
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
		}
		t.watchers[w] = struct{}{}
		if t.isKnownTo(w) {
			w.addChange(uid)
			continue
		}
		unknown = append(unknown, t)
		if again := time.Now().Add(time.Second); again.Before(t.checkAt) { // if this look-up fails
			t.checkAt = again
		}
	}
	p.mu.Unlock()
	if len(unknown) == 0 {
		return nil
	}
	p.replanChecks()
	return p.refreshStates(ctx, unknown, w.uid)
}

// unwatch removes uid from the list. presence.mu is held.
func (w *Watcher) unwatch(uid string) {
	delete(w.list, uid)
	delete(w.changed, uid)
	delete(w.renamed, uid)
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
	w.wakeLocked()
}

// wakeLocked reports that there is something to read. presence.mu is held.
func (w *Watcher) wakeLocked() {
	if w.notify != nil {
		w.notify()
		return
	}
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
	for _, uid := range slices.Sorted(maps.Keys(w.changed)) {
		state, _ := w.presence.topics[uid].shownTo(w)
		states = append(states, state)
	}
	clear(w.changed)
	return states
}

// ReadProfiles returns the watched users whose profiles have changed since the last call, and who have not blocked the
// user of this Watcher, or the reverse. Their number is bounded by the list.
func (w *Watcher) ReadProfiles() []string {
	w.presence.mu.Lock()
	defer w.presence.mu.Unlock()
	var uids []string
	for _, uid := range slices.Sorted(maps.Keys(w.renamed)) {
		if !w.presence.topics[uid].isBlocked(w) {
			uids = append(uids, uid)
		}
	}
	w.renamed = nil
	return uids
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

// ProfileChanged notifies the watchers of uid, on all instances, of a new profile. The notice may be lost.
func (p *Presence) ProfileChanged(ctx context.Context, uid string) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.tuning.Timeout)
	defer cancel()
	if err := p.rdb.Publish(ctx, seenChannel(uid), noticeProfile).Err(); err != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("presence: publish a profile: %w", err))
	}
	return nil
}

// noticeProfile is the notice of a new profile. An instance that does not know it takes it for "off".
const noticeProfile = "profile"

// notifyProfile notifies the watchers who may know of the new profile. presence.mu is held.
func (t *topic) notifyProfile() {
	t.profileDue = false
	for w := range t.watchers {
		if !t.isBlocked(w) {
			if w.renamed == nil {
				w.renamed = map[string]struct{}{}
			}
			w.renamed[t.uid] = struct{}{}
			w.wakeLocked()
		}
	}
}

// noticePeer and a uid are the notice that this user has written to the watched one for the first time, or that the
// watched one has answered: they may see something else than before. Script know of package inbox publishes it. An
// instance that does not know it takes it for "off".
const noticePeer = "peer "

// Receive implements redissub.Receiver.
func (t *topic) Receive(payload string) {
	if uid, ok := strings.CutPrefix(payload, noticePeer); ok {
		t.peerChanged(uid)
		return
	}
	if payload == noticeProfile {
		t.presence.mu.Lock()
		t.notices++ // a look-up under way may have read the gate before a block
		t.profileDue = true
		t.presence.mu.Unlock()
		t.scheduleCheck(0)
		return
	}
	if payload == "on" {
		t.presence.mu.Lock()
		t.notices++
		after := time.Duration(0) // look up who may see it
		if t.gateKnown {
			t.setState(State{User: t.uid, Online: true}, t.blocked, t.audience, t.peers)
			after = t.presence.opts.tuning.Expire
		}
		t.presence.mu.Unlock()
		t.scheduleCheck(after)
		return
	}
	t.scheduleCheck(t.presence.opts.tuning.Linger) // "off" may be part of a reconnect
}

// peerChanged looks up again what uid may see, if uid watches. Until then, nothing is reported to uid.
//
// If uid sees the presence now, what they see next is reported in any case, because it is hidden meanwhile.
func (t *topic) peerChanged(uid string) {
	t.presence.mu.Lock()
	watched := t.isWatchedBy(uid)
	if watched {
		t.notices++
		t.gateKnown = false // an "on" before the look-up must not put it off
		if t.admits(t.peers[uid]) {
			t.peers = maps.Clone(t.peers)
			delete(t.peers, uid)
		}
	}
	t.presence.mu.Unlock()
	if watched {
		t.scheduleCheck(0)
	}
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

// setState stores a state, whom the user has blocked, who sees the state, and what peers holds of the watchers. It
// notifies the watchers for whom something has changed. A watcher from whom the state is hidden is not notified: the
// moment itself would reveal something. presence.mu is held.
func (t *topic) setState(s State, blocked []string, audience chat.Audience, peers map[string]string) {
	before := *t
	t.known, t.state, t.blocked, t.audience, t.peers = true, s, blocked, audience, peers
	for w := range t.watchers {
		if !t.isKnownTo(w) {
			continue
		}
		old, wasReal := before.shownTo(w)
		now, isReal := t.shownTo(w)
		if !before.isKnownTo(w) || old.Online != now.Online || wasReal != isReal && old != now {
			w.addChange(t.uid)
		}
	}
}
