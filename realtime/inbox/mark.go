package inbox

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// marked:{uid} is a sorted set: epoch → up to where messages are published and reported to their senders. Scripts
// that look at what waits first forget what is marked; see lua/inbox.lua. A mark is a plain command, which costs a
// tenth of a script. It never falls, and one of another epoch means nothing.

// markUnit is the number of sequence numbers within a millisecond that a mark can tell apart. A score is exact up to
// 2^53.
const markUnit = 1024

// CanMark reports whether a mark can stand for id. Only a clock that is far behind makes so many ids of a millisecond.
func CanMark(id ID) bool { return id.Seq < markUnit && id.Ms < 1<<53/markUnit }

// Mark records that each list is published for saving and reported to the senders, so that the inbox may forget it
// sooner or later. It is Settle in a cheaper form: Outcome is SettleEpoch only if the inbox was created anew, and if
// Removals is more than the caller knew, messages of the list may have been removed before; Settle restores them. The
// ends of the lists must pass CanMark. Mark takes one round trip.
func (boxes *Inboxes) Mark(ctx context.Context, list []Settlement) []SettleResult {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pipe := boxes.rdb.Pipeline()
	type replies struct {
		mark  *redis.IntCmd
		state *redis.SliceCmd
	}
	sent := make([]replies, len(list))
	for i, s := range list {
		key := markedKey(s.UID)
		score := float64(s.To.Ms*markUnit + s.To.Seq)
		sent[i].mark = pipe.ZAddArgs(ctx, key, redis.ZAddArgs{GT: true, Members: []redis.Z{{Score: score, Member: s.Epoch}}})
		pipe.PExpire(ctx, key, keepOut)
		// After the mark: a removal that is not counted here finds the mark, and leaves the message alone.
		sent[i].state = pipe.HMGet(ctx, metaKey(s.UID), "nonce", "removals")
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	out := make([]SettleResult, len(list))
	for i, s := range list {
		if err := errors.Join(sent[i].mark.Err(), sent[i].state.Err()); err != nil {
			out[i].Err = boxes.classifyError(err)
			continue
		}
		values := sent[i].state.Val()
		nonce, _ := values[0].(string)
		text, _ := values[1].(string)
		out[i].Removals, _ = strconv.ParseUint(text, 10, 64)
		if _, own, _ := strings.Cut(s.Epoch, "."); own != nonce {
			out[i].Outcome = SettleEpoch
			continue
		}
		out[i].Outcome, out[i].Settled = SettleDone, s.To
	}
	return out
}
