package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

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
			if err := p.refreshStates(ctx, due, ""); err != nil && ctx.Err() == nil {
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

// refreshStates subscribes to the topics that have no subscription, and looks up the states of all. It also looks up
// what all their watchers may see, or only the user named by watcher.
func (p *Presence) refreshStates(ctx context.Context, topics []*topic, watcher string) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.tuning.Timeout)
	defer cancel()
	err := p.subscribeTopics(ctx, topics)
	for len(topics) > 0 {
		n := min(batch, len(topics))
		calls := make([]script.Call, n)
		watchers := make([][]any, n)
		notices := make([]int, n)
		p.mu.Lock()
		for i, t := range topics[:n] {
			watchers[i] = []any{watcher}
			if watcher == "" {
				watchers[i] = t.watcherUIDs()
			}
			calls[i] = script.Call{Script: stateScript, Keys: stateKeys(t.uid), Args: watchers[i]}
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
			wg.Go(func() error { return t.applyLookUp(ctx, values[i], watchers[i], notices[i]) })
		}
		if failed := wg.Wait(); failed != nil {
			err = failed
		}
		topics = topics[n:]
	}
	return err
}

// watcherUIDs returns the users whose sockets watch. presence.mu is held.
func (t *topic) watcherUIDs() []any {
	seen := make(map[string]bool, len(t.watchers))
	uids := make([]any, 0, len(t.watchers))
	for w := range t.watchers {
		if !seen[w.uid] {
			seen[w.uid] = true
			uids = append(uids, w.uid)
		}
	}
	return uids
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
// something to report, it reads the gate from its source, which puts it into Redis for a day. watchers are the
// arguments of the script, and notices is the number of notices that had arrived when the look-up began.
func (t *topic) applyLookUp(ctx context.Context, v any, watchers []any, notices int) error {
	list, _ := v.([]any)
	if len(list) != 6 {
		return nil // the look-up failed; refreshDueTopics repeats it soon
	}
	online, _ := list[0].(int64)
	left, _ := list[1].(int64)
	seen, _ := list[2].(string)
	blockedJSON, _ := list[3].(string)
	privacy, _ := list[4].(string)
	values, _ := list[5].([]any)
	if len(values) != len(watchers) {
		return fmt.Errorf("presence: %d values of %d watchers", len(values), len(watchers))
	}
	peers := make(map[string]string, len(watchers))
	for i, uid := range watchers {
		peers[uid.(string)], _ = values[i].(string)
	}
	t.presence.counters.Rechecks.Add(1)
	s := State{User: t.uid, Online: online == 1}
	next := recheck
	if s.Online {
		next = time.Duration(left)*time.Millisecond + time.Second
	} else if at, err := strconv.ParseInt(seen, 10, 64); err == nil {
		s.LastSeen = chat.MicrosOf(chat.Micros(at).Time().Truncate(seenUnit))
	}
	t.presence.mu.Lock()
	profileDue := t.profileDue
	t.presence.mu.Unlock()
	var blocked []string
	audience, gateKnown := gate.ParsePrivacy(privacy).LastSeen, true
	switch {
	case blockedJSON != "":
		if err := json.Unmarshal([]byte(blockedJSON), &blocked); err != nil {
			return fmt.Errorf("presence: decode the gate of %s: %w", t.uid, err)
		}
	case s.Online || s.LastSeen != 0 || profileDue:
		g, err := t.presence.opts.Gates.Get(ctx, t.uid)
		if err != nil {
			return err
		}
		blocked, audience = g.Blocked, g.Privacy.LastSeen
	default:
		gateKnown = false
	}
	t.applyState(s, blocked, audience, peers, gateKnown, next, notices)
	return nil
}

// applyState stores a state, unless it is out of date, and plans the next look-up. peers has what was looked up of some
// watchers.
func (t *topic) applyState(s State, blocked []string, audience chat.Audience, peers map[string]string, gateKnown bool,
	next time.Duration, notices int) {
	t.presence.mu.Lock()
	defer t.presence.mu.Unlock()
	if notices != t.notices {
		t.checkAt = time.Now().Add(time.Second)
		return
	}
	t.gateKnown = gateKnown
	all := make(map[string]string, len(t.watchers)) // without those who have ceased to watch
	for w := range t.watchers {
		if v, ok := peers[w.uid]; ok {
			all[w.uid] = v
		} else if v, ok := t.peers[w.uid]; ok {
			all[w.uid] = v
		}
	}
	t.setState(s, blocked, audience, all)
	if t.profileDue && gateKnown {
		t.notifyProfile()
	}
	if t.unsubscribe != nil {
		t.checkAt = time.Now().Add(next)
	} else {
		t.checkAt = time.Now().Add(time.Second) // try to subscribe again
	}
}
