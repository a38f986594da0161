package inbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Entry is an event to append to a user's inbox.
type Entry struct {
	UID   string
	Type  string // wire.EventDelivered, …; never one that waits, which only Enqueue writes
	Event any    // encoded as JSON; has its own "type" field

	// Again says that an earlier append of exactly this entry may have succeeded although it returned an error. It is
	// needed for events without messages. Of all others, the account of the sender tells it.
	Again bool
}

// encoded is an Entry as the script takes it.
type encoded struct {
	uid, kind string
	event     []byte
	note      string // what the event changes in the totals of uid; see lua/append.lua
}

// noteAgain is the note of an event without messages that may have been appended before.
const noteAgain = "again"

// note returns what the event changes in the totals of the user who gets it.
func (e Entry) note() string {
	var conversation string
	var refs []wire.MessageRef
	switch event := e.Event.(type) {
	case wire.DeliveredEvent:
		conversation, refs = event.Conversation, slices.Concat(event.Messages, event.Changes)
	case wire.RefusedEvent:
		conversation, refs = event.Conversation, slices.Concat(event.Messages, event.Changes)
	}
	to, err := chat.Other(conversation, e.UID)
	if err != nil || len(refs) == 0 {
		if e.Again {
			return noteAgain
		}
		return ""
	}
	var b strings.Builder
	b.WriteString(to)
	for _, r := range refs {
		b.WriteString(" " + r.ID)
	}
	return b.String()
}

// Append adds events to inboxes in one round trip (one per node of a cluster), in the given order for each uid. The
// result has an error or nil for each entry. A repeated append with an equal event adds nothing if the event still is
// among the newest of the inbox; see Entry.Again. Messages and their sent events are added by Enqueue instead.
// Delivered and refused events also take their messages out of the totals of the sender. Append also works while
// Redis is above its memory limit, because receipts allow it to drain.
func (boxes *Inboxes) Append(ctx context.Context, entries []Entry) []error {
	errs := make([]error, len(entries))
	list := make([]encoded, 0, len(entries))
	indexes := make([]int, 0, len(entries)) // of entries, by index in list
	for i, e := range entries {
		data, err := chat.Marshal(e.Event)
		if err != nil {
			errs[i] = fmt.Errorf("encode %s event: %w", e.Type, err)
			continue
		}
		list, indexes = append(list, encoded{e.UID, e.Type, data, e.note()}), append(indexes, i)
	}
	for n, err := range boxes.append(ctx, list) {
		errs[indexes[n]] = err
	}
	return errs
}

func (boxes *Inboxes) append(ctx context.Context, entries []encoded) []error {
	errs := make([]error, len(entries))
	var uids []string
	indexes := map[string][]int{} // of entries, by uid
	for i, e := range entries {
		if indexes[e.uid] == nil {
			uids = append(uids, e.uid)
		}
		indexes[e.uid] = append(indexes[e.uid], i)
	}
	calls := make([]script.Call, len(uids))
	for i, uid := range uids {
		args := make([]any, 0, 3*len(indexes[uid]))
		once := false
		for _, n := range indexes[uid] {
			args = append(args, entries[n].kind, entries[n].event, entries[n].note)
			once = once || entries[n].note == "" // the script could not tell that it is a repeat
		}
		calls[i] = boxes.call(boxes.scripts.append, uid, args...)
		calls[i].Keys = append(calls[i].Keys, outKey(uid), reachKey(uid))
		calls[i].Once = once
	}
	results := boxes.run(ctx, calls...)
	for i, uid := range uids {
		r := newReply(results[i].Value, 4)
		err := results[i].Err
		if err == nil {
			err = r.failure()
		}
		for _, n := range indexes[uid] {
			errs[n] = err
		}
		if err != nil {
			continue
		}
		known := r.int(3)
		boxes.counters.Appended.Add(int64(len(indexes[uid])) - known)
		boxes.counters.AppendedAgain.Add(known)
		if shed := r.int(0); shed > 0 {
			boxes.counters.Shed.Add(shed)
			if boxes.shedLog.Allow() { // one account could fill the log
				boxes.opts.Log.Warn("inbox too full to store receipts", "uid", uid, "shed", shed)
			}
		}
		boxes.senders.update(uid, r.int(1), r.int(2))
	}
	return errs
}

// PublishHint sends data, one JSON value, to the feeds of uid. It is not stored.
func (boxes *Inboxes) PublishHint(ctx context.Context, uid string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := boxes.rdb.Publish(ctx, wakeChannel(uid), append([]byte("H "), data...)).Err(); err != nil {
		return boxes.classifyError(err)
	}
	return nil
}
