package inbox

import (
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// bytesField is the field of out that holds the sum of all others. These contain a '/'.
const bytesField = "bytes"

// account adds an item of a user with one device to the totals of what waits, without waiting for the answer. It uses
// plain commands, which together cost a fifth of a script; with a sent event, the script that appends it does the same.
// The totals lag by the sends under way. began is when the send began.
func (boxes *Inboxes) account(i Item, size int, accepted chat.Micros, began time.Time) {
	key := []string{outKey(i.From())}
	value := strconv.Itoa(size) + " " + strconv.FormatInt(int64(accepted), 10)
	calls := []script.Call{
		{Command: "HSET", Keys: key, Args: []any{i.To() + "/" + i.ID(), value}},
		{Command: "HINCRBY", Keys: key, Args: []any{bytesField, size}, After: true, Once: true},
		{Command: "HLEN", Keys: key, After: true},
		{Command: "PEXPIRE", Keys: key, Args: []any{keepOut.Milliseconds()}, After: true},
	}
	boxes.runner.Go(calls, func(r []script.Result) {
		boxes.noteLate(i.From(), began)
		for _, one := range r {
			if one.Err != nil {
				boxes.counters.Unaccounted.Add(1)
				return
			}
		}
		added, _ := r[0].Value.(int64)
		bytes, _ := r[1].Value.(int64)
		fields, _ := r[2].Value.(int64)
		if added == 0 { // a repeated send
			bytes -= int64(size)
			undo := script.Call{Command: "HINCRBY", Keys: key, Args: []any{bytesField, -size}, Once: true}
			boxes.runner.Go([]script.Call{undo}, func([]script.Result) {})
		}
		boxes.senders.update(i.From(), fields-1, bytes)
	})
}

// syncEvery returns the number of sends of a user that an instance counts before it tells the others: a fiftieth of the
// limit, and at most eight.
func (l Limits) syncEvery() int64 { return int64(max(1, min(l.SendsPerMinute/50, 8))) }

// waitForRate returns how long a user must wait who has sent too many messages in this minute, over all instances.
// Sends through other instances count with a delay: each instance may let up to seven more pass, and those under way.
func (u *sender) waitForRate(l Limits, now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.minute != now.Unix()/60 || u.sends < int64(l.SendsPerMinute) {
		return 0
	}
	return time.Unix((u.minute+1)*60, 0).Sub(now)
}

// countSend counts a send that was accepted. It returns how many sends of this minute Redis must be told of, or 0.
func (u *sender) countSend(l Limits, minute int64) (unsynced int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.minute != minute {
		u.minute, u.sends, u.unsynced = minute, 0, 0
	}
	u.sends++
	u.unsynced++
	if u.unsynced < l.syncEvery() {
		return 0
	}
	unsynced, u.unsynced = u.unsynced, 0
	return unsynced
}

// learnSends records how many messages the user has sent in a minute, as Redis knows it.
func (u *sender) learnSends(minute, sends int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.minute == minute {
		u.sends = max(u.sends, sends+u.unsynced)
	}
}

// countSend counts a send that was accepted, and tells the other instances now and then.
func (boxes *Inboxes) countSend(u *sender, uid string) {
	minute := boxes.opts.Now().Unix() / 60
	n := u.countSend(boxes.opts.Limits, minute)
	if n == 0 {
		return
	}
	key := []string{sendsKey(uid, minute)}
	calls := []script.Call{
		{Command: "INCRBY", Keys: key, Args: []any{n}, Once: true},
		{Command: "PEXPIRE", Keys: key, Args: []any{(2 * time.Minute).Milliseconds()}, After: true},
	}
	boxes.runner.Go(calls, func(r []script.Result) {
		if all, ok := r[0].Value.(int64); ok && r[0].Err == nil {
			u.learnSends(minute, all)
		}
	})
}
