package inbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Times of purges.
const (
	// purgeAgain is the time after which a purge is repeated, for what was accepted meanwhile: sends in flight, and sends
	// that cached gates let pass.
	purgeAgain = 40 * time.Second
	purgeLease = time.Minute      // time after which another instance continues a purge
	purgeTime  = 50 * time.Second // limit of one attempt in the background
	purgeTick  = 10 * time.Second // interval at which an instance looks for purges, and for the lock of the sweep
	sweepEvery = time.Hour
	clockSkew  = time.Second // by which the clocks of instances may differ
)

// Keys of all instances.
const (
	// purgesKey is a sorted set of the purges that are not finished: "<from>/<to>/<code>/<requested>" → when the next
	// attempt is due, ms.
	purgesKey = "purges"
	// sweepKey exists for an hour after an instance began a sweep.
	sweepKey = "sweep"
)

// reasons are the errors whose code a purge may give to senders.
var reasons = map[string]*problem.Error{
	ErrWithdrawn.Code:            ErrWithdrawn,
	ErrRecipientUnavailable.Code: ErrRecipientUnavailable,
}

// Purge selects messages of one sender that wait.
type Purge struct {
	From string // sender
	To   string // recipient; "": all
	Code string // of the refused events: that of ErrWithdrawn or of ErrRecipientUnavailable

	requested chat.Micros
}

// Check reports a reason that is not known.
func (p Purge) Check() error {
	if reasons[p.Code] == nil {
		return fmt.Errorf("the reason %.40q is not known", p.Code)
	}
	return nil
}

func (p Purge) member() string {
	return p.From + "/" + p.To + "/" + p.Code + "/" + strconv.FormatInt(int64(p.requested), 10)
}

func parsePurge(member string) (Purge, error) {
	part := strings.Split(member, "/")
	if len(part) != 4 {
		return Purge{}, fmt.Errorf("parse purge %.200q", member)
	}
	requested, err := strconv.ParseInt(part[3], 10, 64)
	p := Purge{part[0], part[1], part[2], chat.Micros(requested)}
	if err := errors.Join(err, p.Check()); err != nil {
		return Purge{}, fmt.Errorf("parse purge %.200q: %w", member, err)
	}
	return p, nil
}

// Purge withdraws what waits from one sender, in one inbox or in all of them. What is accepted later is withdrawn as
// well if the sender is disabled or deleted: instances repeat a purge about 40 s later. They also continue one that
// did not finish. complete reports whether everything was withdrawn that waited at the time of the call; it is false if
// the context ended first. If the error is not nil, the purge may have been requested nevertheless.
func (boxes *Inboxes) Purge(ctx context.Context, p Purge) (sum Withdrawn, complete bool, err error) {
	if err := p.Check(); err != nil {
		return sum, false, err
	}
	p.requested = chat.MicrosOf(boxes.opts.Now().Add(clockSkew))
	if err := boxes.duePurge(ctx, p.member(), boxes.opts.tuning.PurgeAgain); err != nil {
		return sum, false, err
	}
	sum, err = boxes.purge(ctx, p)
	if err != nil && ctx.Err() != nil {
		return sum, false, nil // instances continue it
	}
	return sum, err == nil, err
}

// duePurge sets when the next attempt of a purge is due.
func (boxes *Inboxes) duePurge(ctx context.Context, member string, after time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	due := redis.Z{Score: float64(boxes.opts.Now().Add(after).UnixMilli()), Member: member}
	if err := boxes.rdb.ZAdd(ctx, purgesKey, due).Err(); err != nil {
		return boxes.classifyError(err)
	}
	return nil
}

// purge is one attempt.
func (boxes *Inboxes) purge(ctx context.Context, p Purge) (sum Withdrawn, err error) {
	state, err := boxes.senderState(ctx, p.From)
	if err != nil {
		return sum, err
	}
	w := Withdrawal{From: p.From, Reason: reasons[p.Code]}
	if state == senderActive {
		w.Accepted = p.requested // they may go on writing
	}
	withdraw := func(uid string) error {
		w.UID = uid
		part, err := boxes.Withdraw(ctx, w)
		sum.add(part)
		return err
	}
	if p.To != "" {
		return sum, withdraw(p.To)
	}
	// The sender's own list first: it is nearly complete, and short.
	list, err := boxes.Outgoing(ctx, p.From)
	if err != nil {
		return sum, err
	}
	done := map[string]bool{}
	for _, o := range list {
		if !done[o.To] {
			done[o.To] = true
			if err := withdraw(o.To); err != nil {
				return sum, err
			}
		}
	}
	err = boxes.eachInbox(ctx, func(uids []string) error {
		found, err := boxes.withMessagesOf(ctx, p.From, uids)
		for _, uid := range found {
			err = errors.Join(err, withdraw(uid))
		}
		return err
	})
	if err == nil && state == senderGone {
		err = boxes.forgetOutgoing(ctx, p.From)
	}
	return sum, err
}

// withMessagesOf returns those of the given users in whose inboxes messages of a sender wait.
func (boxes *Inboxes) withMessagesOf(ctx context.Context, from string, uids []string) (found []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pipe := boxes.rdb.Pipeline()
	has := make([]*redis.BoolCmd, len(uids))
	for i, uid := range uids {
		has[i] = pipe.HExists(ctx, metaKey(uid), "from:"+from)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, boxes.classifyError(err)
	}
	for i, uid := range uids {
		if has[i].Val() {
			found = append(found, uid)
		}
	}
	return found, nil
}

// forgetOutgoing deletes the totals of a user who was deleted.
func (boxes *Inboxes) forgetOutgoing(ctx context.Context, uid string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := boxes.rdb.Del(ctx, outKey(uid)).Err(); err != nil {
		return boxes.classifyError(err)
	}
	return nil
}

// watchWithdrawals repeats and continues purges, and sweeps once an hour, until ctx ends.
func (boxes *Inboxes) watchWithdrawals(ctx context.Context) {
	for sleep(ctx, boxes.opts.tuning.PurgeTick) {
		if err := boxes.runPurges(ctx); err != nil && ctx.Err() == nil {
			boxes.opts.Log.Warn("a purge did not finish; an instance will continue it", "error", err)
		}
		if err := boxes.sweepInTurn(ctx); err != nil && ctx.Err() == nil {
			boxes.opts.Log.Warn("the sweep for old messages did not finish; an instance will repeat it", "error", err)
		}
	}
}

// runPurges works off the purges that are due.
func (boxes *Inboxes) runPurges(ctx context.Context) error {
	for ctx.Err() == nil {
		member, err := boxes.claimPurge(ctx)
		if err != nil || member == "" {
			return err
		}
		p, err := parsePurge(member)
		if err != nil {
			boxes.opts.Log.Error("dropped an unreadable purge", "error", err)
		} else if err := boxes.repeatPurge(ctx, p); err != nil {
			return err
		}
		if err := boxes.endPurge(ctx, member); err != nil {
			return err
		}
	}
	return nil
}

func (boxes *Inboxes) repeatPurge(ctx context.Context, p Purge) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTime)
	defer cancel()
	sum, err := boxes.purge(ctx, p)
	if sum.Messages > 0 {
		boxes.opts.Log.Info("withdrew messages", "from", p.From, "to", p.To, "code", p.Code, "messages", sum.Messages,
			"bytes", sum.Bytes)
	}
	return err
}

// claimPurge returns a purge that is due, or "". For a minute it is left to the caller.
func (boxes *Inboxes) claimPurge(ctx context.Context) (string, error) {
	now := boxes.opts.Now()
	v, err := boxes.runScript(ctx, script.Call{Script: boxes.scripts.claim, Keys: []string{purgesKey},
		Args: []any{now.UnixMilli(), now.Add(purgeLease).UnixMilli()}})
	if err != nil {
		return "", err
	}
	member, _ := v.(string)
	return member, nil
}

func (boxes *Inboxes) endPurge(ctx context.Context, member string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := boxes.rdb.ZRem(ctx, purgesKey, member).Err(); err != nil {
		return boxes.classifyError(err)
	}
	return nil
}

// sweepInTurn sweeps if no instance has begun a sweep in the last hour.
func (boxes *Inboxes) sweepInTurn(ctx context.Context) error {
	turn, err := boxes.takeSweep(ctx)
	if err != nil || !turn {
		return err
	}
	sum, err := boxes.Sweep(ctx)
	if sum.Messages > 0 {
		boxes.opts.Log.Info("refused messages that waited for too long", "messages", sum.Messages, "bytes", sum.Bytes)
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		err = errors.Join(err, boxes.rdb.Del(ctx, sweepKey).Err())
	}
	return err
}

func (boxes *Inboxes) takeSweep(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	turn, err := boxes.rdb.SetNX(ctx, sweepKey, "1", sweepEvery).Result()
	if err != nil {
		return false, boxes.classifyError(err)
	}
	return turn, nil
}

// Sweep withdraws the messages that still wait 30 days after their at, when a send of theirs would be refused, too. It
// reads the records of all waiting messages. It can be repeated, and continues after an error.
func (boxes *Inboxes) Sweep(ctx context.Context) (sum Withdrawn, err error) {
	w := Withdrawal{AtBefore: chat.MicrosOf(boxes.opts.Now().Add(-chat.MaxAge)), Reason: chat.ErrAtTooOld}
	err = boxes.eachInbox(ctx, func(uids []string) error {
		for list := range slices.Chunk(uids, compareBatch) {
			waits, err := boxes.inWhichMessagesWait(ctx, list)
			if err != nil {
				return err
			}
			for _, uid := range waits {
				w.UID = uid
				part, err := boxes.Withdraw(ctx, w)
				sum.add(part)
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	return sum, err
}

// sleep pauses for d. It reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
