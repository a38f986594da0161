package inject

import (
	"context"
	"errors"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Limits of inboxes, as in production; see inbox.Options.
const (
	maxWaiting          = 10_000 // messages that wait for one user
	maxEntries          = 20_000 // entries of any kind
	maxWaitingPerSender = 1_000  // messages from one sender that wait for one user
)

// neverAck lets users write to a device that acknowledges nothing.
func neverAck(ctx context.Context, t *target) error {
	const senders, each = 4, 100
	before, guests, chat, err := t.prepare(ctx, 1+senders)
	if err != nil {
		return err
	}
	defer chat.halt()
	silent, others := guests[0], guests[1:]
	if err := errors.Join(t.connect(guests...), t.acquaint(silent, others...)); err != nil {
		return err
	}
	silent.Kill()
	silent.SetMisbehavior(client.Misbehavior{AckNever: true})
	known, dials := silent.Shown(), silent.Dials()
	if err := t.connect(silent); err != nil {
		return err
	}
	writeEach(others, silent.User(), each, "to a device that never acks")
	accepted := waitUntil(arrivalTimeout, func() bool { return ownStates(others)[client.Sent] == senders*each })
	// More than MaxUnacked must not arrive. They get some time to.
	waitUntil(2*time.Second, func() bool { return silent.Shown()-known > wire.MaxUnacked })
	shown, sockets := silent.Shown()-known, silent.Dials()-dials
	// A hello acknowledges, and every socket has its own limit.
	t.recordCheck(shown <= wire.MaxUnacked*sockets && (sockets > 1 || shown == wire.MaxUnacked), "never acks: bounded",
		"%d of %d messages were sent to it, on %d sockets", shown, senders*each, sockets)
	box, err := t.testbed.Inbox(context.WithoutCancel(ctx), silent.User())
	if err != nil {
		return err
	}
	t.recordCheck(accepted && (sockets > 1 || box.Waiting == senders*each), "never acks: its senders",
		"all of their messages were accepted: %v; %d wait in Redis, none is shown as delivered", accepted, box.Waiting)
	after, err := t.testbed.Counts(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	t.recordCheck(after.WindowFull > before.WindowFull, "never acks: counted",
		"window_full rose by %d", after.WindowFull-before.WindowFull)
	t.checkBystanders("never acks", chat)
	silent.Kill()
	silent.SetMisbehavior(client.Misbehavior{})
	silent.Start()
	all := waitUntil(arrivalTimeout, func() bool {
		return silent.Shown()-known == senders*each && ownStates(others)[client.Sent] == 0
	})
	t.recordCheck(all, "never acks: afterwards", "%d of %d messages shown after it behaves",
		silent.Shown()-known, senders*each)
	return nil
}

// arrivalTimeout bounds the waits of a fault, on a busy machine.
const arrivalTimeout = time.Minute

// poisonedEntries are entries that no instance would write.
var poisonedEntries = [][]string{
	{"x", "y"},
	{"t", wire.EventMessage},
	{"t", wire.EventMessage, "e", "{not json"},
	{"t", wire.EventMessage, "e", `["not an object"]`},
	{"t", wire.EventMessage, "e", `{}`},
	{"t", wire.EventMessage, "e", `{"type":"message","id":"x"}`},
	{"t", wire.EventDelivered, "e", `{"type":"delivered","conversation":"c","messages":[{}],"delivered_at":1}`},
	{"t", wire.EventMessage, "e", `{"type":"message","id":"x","conversation":"a~b","from":"a/b",` +
		`"to":"c","body":"b","at":1,"accepted_at":1}`},
	{"t", "of a later version", "e", `{"type":"of a later version"}`},
}

// poisonInbox adds entries to an inbox that are not events, while its user is connected and while not.
func poisonInbox(ctx context.Context, t *target) error {
	before, two, chat, err := t.prepare(ctx, 2)
	if err != nil {
		return err
	}
	defer chat.halt()
	from, to := two[0], two[1]
	if err := errors.Join(t.connect(two...), t.acquaint(to, from)); err != nil {
		return err
	}
	known := to.Shown()
	shown := func() int { return to.Shown() - known }
	poison := func() error {
		for _, fields := range poisonedEntries {
			if err := t.testbed.Poison(context.WithoutCancel(ctx), to.User(), fields...); err != nil {
				return err
			}
		}
		return nil
	}
	writeEach(two[:1], to.User(), 5, "before the poison")
	waitUntil(arrivalTimeout, func() bool { return shown() == 5 })
	if err := poison(); err != nil {
		return err
	}
	writeEach(two[:1], to.User(), 5, "after the poison")
	live := waitUntil(arrivalTimeout, func() bool { return shown() == 10 })
	to.Kill()
	if err := poison(); err != nil {
		return err
	}
	writeEach(two[:1], to.User(), 5, "after more poison")
	dials := to.Dials()
	to.Start()
	away := waitUntil(arrivalTimeout, func() bool {
		return shown() == 15 && from.Own()[client.Sent]+from.Own()[client.Waiting] == 0
	})
	t.recordCheck(live && away, "poison: skipped",
		"%d of 15 messages around it shown, %d delivered; caught up again after %d connections",
		shown(), from.Own()[client.Delivered]+from.Own()[client.Read]-1, to.Dials()-dials)
	after, err := t.testbed.Counts(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	// The last two can be decoded: one is not a message of this user, and one is for a later version.
	want := int64(len(poisonedEntries) - 2)
	t.recordCheck(after.Poison-before.Poison >= want, "poison: counted",
		"%d entries counted, of at least %d", after.Poison-before.Poison, want)
	t.checkBystanders("poison", chat)
	return nil
}

// deleteRecipient lets a user write to one who never existed, and to one who is deleted while messages wait for them.
func deleteRecipient(ctx context.Context, t *target) error {
	const queued = 5 // as many as may wait for a stranger
	before, guests, chat, err := t.prepare(ctx, 2)
	if err != nil {
		return err
	}
	defer chat.halt()
	from, doomed := guests[0], guests[1].User()
	nobody := "nobody" + doomed
	if err := t.connect(from); err != nil {
		return err
	}
	t.log.Add(record.Entry{Kind: record.Erased, User: nobody})
	t.crowd.Sever(from.User(), nobody)
	writeEach(guests[:1], nobody, 3, "to nobody")
	refused := waitUntil(arrivalTimeout, func() bool { return from.Own()[client.Refused] == 3 })
	t.recordCheck(refused && from.Refusals()["recipient_unknown"] == 3, "no recipient: named",
		"3 messages to a user who does not exist: %v", from.Refusals())
	writeEach(guests[:1], doomed, queued, "to a user who will be deleted")
	waitUntil(arrivalTimeout, func() bool { return from.Own()[client.Sent] == queued })
	t.log.Add(record.Entry{Kind: record.Erased, User: doomed})
	t.crowd.Sever(from.User(), doomed)
	if err := t.testbed.Erase(context.WithoutCancel(ctx), doomed); err != nil {
		return err
	}
	writeEach(guests[:1], doomed, 1, "to a user who was deleted")
	refused = waitUntil(arrivalTimeout, func() bool { return from.Own()[client.Refused] == 3+queued+1 })
	t.recordCheck(refused && from.Refusals()["recipient_unknown"] == 3+queued+1, "deleted recipient: named",
		"%d messages waited and 1 was sent afterwards: the sender shows %v", queued, from.Refusals())
	box, err := t.testbed.Inbox(context.WithoutCancel(ctx), doomed)
	if err != nil {
		return err
	}
	t.recordCheck(box.Entries == 0 && box.Waiting == 0, "deleted recipient: bounded",
		"%d entries of the inbox are left, %d messages wait", box.Entries, box.Waiting)
	after, err := t.testbed.Counts(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	t.recordCheck(after.Undelivered-before.Undelivered >= queued, "deleted recipient: counted",
		"refused rose by %d", after.Undelivered-before.Undelivered)
	t.checkBystanders("no recipient", chat)
	return nil
}

// fillInbox lets many users write to one who is away until the inbox accepts no more, and then brings that one back.
func fillInbox(ctx context.Context, t *target) error {
	const senders, each = 50, 210
	before, guests, chat, err := t.prepare(ctx, 1+senders)
	if err != nil {
		return err
	}
	defer chat.halt()
	away, others := guests[0], guests[1:]
	if err := errors.Join(t.connect(guests...), t.acquaint(away, others...)); err != nil {
		return err
	}
	away.Kill()
	known := away.Shown()
	memory := t.testbed.Memory(context.WithoutCancel(ctx))
	writeEach(others, away.User(), each, "to a user who is away")
	begin := time.Now()
	waitUntil(2*arrivalTimeout, func() bool { return ownStates(others)[client.Sent] >= maxWaiting })
	filled := time.Since(begin)
	now := before
	waitUntil(arrivalTimeout, func() bool {
		now, err = t.testbed.Counts(context.WithoutCancel(ctx))
		return err != nil || now.InboxFull > before.InboxFull
	})
	if err != nil {
		return err
	}
	states := ownStates(others)
	box, err := t.testbed.Inbox(context.WithoutCancel(ctx), away.User())
	if err != nil {
		return err
	}
	t.recordCheck(box.Waiting == maxWaiting && box.Entries <= maxEntries, "full inbox: bounded",
		"%d messages wait, %d entries, filled in %v", box.Waiting, box.Entries, filled.Round(time.Millisecond))
	exact := states[client.Sent] == maxWaiting && states[client.Refused] == 0 &&
		states[client.Waiting] == senders*each-maxWaiting
	t.recordCheck(exact, "full inbox: its senders", "%d accepted, %d wait on their devices, %d refused for good",
		states[client.Sent], states[client.Waiting], states[client.Refused])
	t.recordCheck(now.InboxFull > before.InboxFull, "full inbox: counted",
		"inbox_full rose by %d", now.InboxFull-before.InboxFull)
	grown := t.testbed.Memory(context.WithoutCancel(ctx))
	grown.Redis -= memory.Redis
	grown.Instances -= memory.Instances
	t.recordCheck(grown.Redis < maxRedisGrowth && grown.Instances < maxInstanceGrowth, "full inbox: memory",
		"Redis grew by %d MB, the largest instance by %d MB", grown.Redis>>20, grown.Instances>>20)
	away.Start()
	all := waitUntil(4*arrivalTimeout, func() bool { return away.Shown()-known == senders*each })
	t.recordCheck(all, "full inbox: afterwards", "%d of %d messages shown %v after its user came back",
		away.Shown()-known, senders*each, time.Since(begin.Add(filled)).Round(time.Second))
	t.checkBystanders("full inbox", chat)
	return nil
}

// Limits of memory growth under bad input, including what the crowd adds meanwhile.
const (
	maxRedisGrowth    = 128 << 20
	maxInstanceGrowth = 256 << 20
)
