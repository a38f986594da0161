package inbox

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// roomForNewPerson reports whether from may write to to: they have written to each other, or the limit of new people
// of from's standing is not reached. It changes nothing. Before it refuses, it asks the archive.
func (boxes *Inboxes) roomForNewPerson(ctx context.Context, from, to string, as Standing) (bool, error) {
	v, err := boxes.runScript(ctx, script.Call{Script: boxes.scripts.reach, Keys: []string{peersKey(from), reachKey(from)},
		Args: []any{to, boxes.opts.Limits.newPeople(as)}})
	if err != nil {
		return false, err
	}
	if v != "full" {
		return true, nil
	}
	wrote, answered, err := boxes.askArchive(ctx, from, from, to)
	if err != nil && as == Confined { // the refusal would be final
		return false, err
	}
	if err != nil { // the limit is reached as far as anyone can tell, and the client will try again
		boxes.opts.Log.Debug("a sender is refused without asking the archive", "uid", from, "error", err)
		return false, nil
	}
	return wrote || answered, nil
}

// hasAnswered reports whether the recipient of m has ever written to its sender. If so, it records it in the inbox of
// the recipient.
func (boxes *Inboxes) hasAnswered(ctx context.Context, from, to string) (bool, error) {
	answered, err := boxes.HasWritten(ctx, to, from)
	if err != nil || !answered {
		return false, err
	}
	return true, boxes.acquaint(ctx, to, from, true, false)
}

// HasWritten reports whether from has ever sent a message to to, or has accepted the request of to. It takes a round
// trip, unless this instance knows it. It asks the archive only if Redis does not know of a message, and about one pair
// at most once a minute, so a first message that was sent and wiped meanwhile may be reported late. The error is
// problem.ErrUnavailable, or ErrRateLimited after 60 questions to the archive because of to within a minute.
func (boxes *Inboxes) HasWritten(ctx context.Context, from, to string) (bool, error) {
	return boxes.hasWritten(ctx, to, from, to)
}

// HasAnswered is HasWritten, but the questions to the archive are those of uid.
func (boxes *Inboxes) HasAnswered(ctx context.Context, uid, other string) (bool, error) {
	return boxes.hasWritten(ctx, uid, uid, other)
}

// Accept records that uid has accepted the request of another user, which counts as if uid had written to them. The
// caller must record it in the archive as well. The error is chat.ErrRequestUnknown if the other user has never written
// to uid; otherwise somebody could write to any number of new people by accepting them first. The other errors are
// those of HasWritten.
func (boxes *Inboxes) Accept(ctx context.Context, uid, other string) error {
	wrote, err := boxes.HasWritten(ctx, other, uid)
	if err != nil {
		return err
	}
	if !wrote {
		return chat.ErrRequestUnknown
	}
	return boxes.acquaint(ctx, uid, other, true, true)
}

// hasWritten is HasWritten, because of a user named by asker.
func (boxes *Inboxes) hasWritten(ctx context.Context, asker, from, to string) (bool, error) {
	if boxes.senders.hasWritten(from, to) {
		return true, nil
	}
	known, err := boxes.knownInRedis(ctx, from, to)
	if err != nil {
		return false, err
	}
	if known {
		boxes.senders.learn(from, to)
		return true, nil
	}
	known, _, err = boxes.askArchive(ctx, asker, from, to)
	return known, err
}

// knownInRedis reports whether the peers of either user say that from has written to to. A message is in the inbox of
// its recipient a moment before the sender's own peers know it.
func (boxes *Inboxes) knownInRedis(ctx context.Context, from, to string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pipe := boxes.rdb.Pipeline()
	of, by := pipe.HGet(ctx, peersKey(to), from), pipe.HGet(ctx, peersKey(from), to)
	if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil {
		return false, boxes.classifyError(err)
	}
	return of.Val() == "2" || of.Val() == "3" || by.Val() == "1" || by.Val() == "3", nil
}

// askArchive asks the archive which of two users have written to the other, because of a user named by asker. It
// records the answer in Redis.
func (boxes *Inboxes) askArchive(ctx context.Context, asker, a, b string) (aWrote, bWrote bool, err error) {
	if boxes.opts.Archive == nil {
		return false, false, nil
	}
	first, second := a, b
	if second < first {
		first, second = b, a
	}
	key := boxes.senders.pair(first, second)
	known, ok := boxes.senders.answers.get(key)
	if !ok || time.Now().After(known.until) {
		if !boxes.senders.of(asker).mayAsk() {
			return false, false, ErrRateLimited.WithRetry(time.Minute)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		boxes.counters.Asked.Add(1)
		writers, err := boxes.opts.Archive.Writers(ctx, chat.ConversationID(a, b))
		if err != nil {
			return false, false, problem.ErrUnavailable.WithCause(err)
		}
		known = answer{until: time.Now().Add(boxes.opts.tuning.Ask)}
		for _, uid := range writers {
			known.first, known.second = known.first || uid == first, known.second || uid == second
		}
		boxes.senders.answers.put(key, known)
		if known.first || known.second {
			if err := boxes.acquaint(ctx, first, second, known.first, known.second); err != nil {
				return false, false, err
			}
		}
	}
	if a == first {
		return known.first, known.second, nil
	}
	return known.second, known.first, nil
}

// acquaint records in Redis, for both users, who has written to the other.
func (boxes *Inboxes) acquaint(ctx context.Context, a, b string, aWrote, bWrote bool) error {
	for _, r := range boxes.run(ctx, boxes.call(boxes.scripts.acquaint, a, b, flag(aWrote), flag(bWrote)),
		boxes.call(boxes.scripts.acquaint, b, a, flag(bWrote), flag(aWrote))) {
		if r.Err != nil {
			return r.Err
		}
	}
	if aWrote {
		boxes.senders.learn(a, b)
	}
	if bWrote {
		boxes.senders.learn(b, a)
	}
	return nil
}
