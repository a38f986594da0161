package store

import (
	"context"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// KeepStub is how long changes are kept whose message was not saved. A message waits for at most 30 days, Pub/Sub keeps
// it for 7, and the subscription of dead letters for 31.
const KeepStub = 90 * 24 * time.Hour

// MessageChanges is the sum of some changes of one message.
type MessageChanges struct {
	Conversation string
	Key          string // of the message
	Sum          chat.Changes
}

// SumChanges adds up changes by message, in the order in which the messages come first. It leaves out what has no
// effect.
func SumChanges(list []delivery.Changed) []MessageChanges {
	var sums []MessageChanges
	index := map[[2]string]int{} // in sums
	for _, c := range list {
		sum := c.Changes()
		if sum.Empty() {
			continue
		}
		id := [2]string{c.Conversation, c.Of.Key()}
		i, ok := index[id]
		if !ok {
			i = len(sums)
			index[id] = i
			sums = append(sums, MessageChanges{Conversation: c.Conversation, Key: c.Of.Key()})
		}
		sums[i].Sum = sums[i].Sum.Merge(sum)
	}
	return sums
}

// Changes keeps the changes of messages. They may be saved repeatedly, in any order, and before their message.
type Changes interface {
	// SaveChanges merges changes into what is saved of their messages. now is the time of saving. The changes of a message
	// that is not saved yet are kept for KeepStub: no other method shows them, and when Save is given the message, it
	// applies them, so that the body of a deleted message is never stored. No two entries may be of one message.
	//
	// In a paid backend, a reaction costs one read and one write, and an edit or a deletion two of each, since the
	// preview of the conversation follows. A repeat costs the first read.
	SaveChanges(ctx context.Context, list []MessageChanges, now chat.Micros) error

	// Changed lists the messages in all conversations of uid of which a change was saved at the given time or later,
	// the one that changed first at the beginning. A message that changes meanwhile moves to the end.
	Changed(ctx context.Context, uid string, since chat.Micros, cursor string,
		limit int) ([]delivery.Delivered, string, error)

	// CountChanged returns how many entries the list of Changed has, at most MaxChanged. It may count changes whose
	// message is not saved. A paid backend charges for one read.
	CountChanged(ctx context.Context, uid string, since chat.Micros) (int, error)
}

// MaxChanged is the highest result of CountChanged.
const MaxChanged = 1000

// ChangedID returns the id of a message in the list of Changed, for a Mark.
func ChangedID(conversation, key string) string { return conversation + "/" + key }

// ParseChangedID splits what ChangedID has joined. It reports whether a message can have the id.
func ParseChangedID(id string) (conversation, key string, ok bool) {
	conversation, key, ok = strings.Cut(id, "/")
	_, from, valid := chat.ParseKey(key)
	if _, err := chat.Other(conversation, from); err != nil || !valid {
		return "", "", false
	}
	return conversation, key, ok
}

// WithChanges returns m with a sum of changes and the body that follows from it.
func WithChanges(m delivery.Delivered, sum chat.Changes) delivery.Delivered {
	m.Changes, m.Body = sum, sum.Body(m.Body)
	return m
}

// WithoutReaction returns the sum without the reaction of uid, and whether it had one.
func WithoutReaction(sum chat.Changes, uid string) (chat.Changes, bool) {
	if _, ok := sum.Reactions[uid]; !ok {
		return sum, false
	}
	rest := chat.Changes{Edited: sum.Edited, Deleted: sum.Deleted}
	for other, r := range sum.Reactions {
		if other != uid {
			rest = rest.Merge(chat.Changes{Reactions: map[string]chat.Reaction{other: r}})
		}
	}
	return rest, true
}
