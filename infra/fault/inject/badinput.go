package inject

import (
	"context"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Bounds of inboxes as in production; see inbox.Options.
const (
	inboxBound   = 10_000 // messages that wait for one person
	inboxEntries = 20_000 // entries of any kind
	senderBound  = 1_000  // messages of one sender that wait for one person
)

// neverAcks has a device that acknowledges nothing, and people who write to it.
func neverAcks(ctx context.Context, t *target) error {
	const senders, each = 4, 100
	before, guests, w, err := t.begin(ctx, 1+senders)
	if err != nil {
		return err
	}
	defer w.halt()
	rude, others := guests[0], guests[1:]
	rude.Behave(client.Odd{AckNever: true})
	if err := t.connected(guests...); err != nil {
		return err
	}
	write(others, rude.Person(), each, "to one who never acks")
	accepted := until(arriveWithin, func() bool { return own(others)[client.Sent] == senders*each })
	until(2*time.Second, func() bool { return rude.Shown() > wire.MaxUnacked }) // must not be; some time for it
	shown, sockets := rude.Shown(), rude.Dials()
	// A hello is an acknowledgement, and every socket has its own bound.
	t.check(shown <= wire.MaxUnacked*sockets && (sockets > 1 || shown == wire.MaxUnacked), "never acks: bounded",
		"%d of %d messages were sent to it, on %d sockets", shown, senders*each, sockets)
	box, err := t.stage.Inbox(mending(ctx), rude.Person())
	if err != nil {
		return err
	}
	t.check(accepted && (sockets > 1 || box.Waiting == senders*each), "never acks: its senders",
		"all of theirs were accepted: %v; %d wait in Redis, none is called delivered", accepted, box.Waiting)
	after, err := t.stage.Counts(mending(ctx))
	if err != nil {
		return err
	}
	t.check(after.WindowFull > before.WindowFull, "never acks: counted", "window_full rose by %d", after.WindowFull-before.WindowFull)
	t.checkOthers("never acks", w)
	rude.Kill()
	rude.Behave(client.Odd{})
	rude.Start()
	all := until(arriveWithin, func() bool { return rude.Shown() == senders*each && own(others)[client.Sent] == 0 })
	t.check(all, "never acks: afterwards", "%d of %d shown once it behaves", rude.Shown(), senders*each)
	return nil
}

// arriveWithin bounds what a fault waits for on a busy machine.
const arriveWithin = time.Minute

// poisons are entries that no instance has written.
var poisons = [][]string{
	{"x", "y"},
	{"t", wire.EventMessage},
	{"t", wire.EventMessage, "e", "{not json"},
	{"t", wire.EventMessage, "e", `["no object"]`},
	{"t", wire.EventMessage, "e", `{}`},
	{"t", wire.EventMessage, "e", `{"type":"message","id":"x"}`},
	{"t", wire.EventDelivered, "e", `{"type":"delivered","conversation":"c","messages":[{}],"delivered_at":1}`},
	{"t", wire.EventMessage, "e", `{"type":"message","id":"x","conversation":"a~b","from":"a/b","to":"c","body":"b","at":1,"accepted_at":1}`},
	{"t", "of a later version", "e", `{"type":"of a later version"}`},
}

// inboxPoisoned puts entries into an inbox that are no events, while its person is there and while not.
func inboxPoisoned(ctx context.Context, t *target) error {
	before, two, w, err := t.begin(ctx, 2)
	if err != nil {
		return err
	}
	defer w.halt()
	from, to := two[0], two[1]
	if err := t.connected(two...); err != nil {
		return err
	}
	poison := func() error {
		for _, fields := range poisons {
			if err := t.stage.Poison(mending(ctx), to.Person(), fields...); err != nil {
				return err
			}
		}
		return nil
	}
	write(two[:1], to.Person(), 5, "before the poison")
	until(arriveWithin, func() bool { return to.Shown() == 5 })
	if err := poison(); err != nil {
		return err
	}
	write(two[:1], to.Person(), 5, "behind the poison")
	live := until(arriveWithin, func() bool { return to.Shown() == 10 })
	to.Kill()
	if err := poison(); err != nil {
		return err
	}
	write(two[:1], to.Person(), 5, "behind more poison")
	dials := to.Dials()
	to.Start()
	away := until(arriveWithin, func() bool { return to.Shown() == 15 && from.Own()[client.Sent]+from.Own()[client.Waiting] == 0 })
	t.check(live && away, "poison: skipped", "%d of 15 messages around it shown, %d delivered; back after %d connections",
		to.Shown(), from.Own()[client.Delivered]+from.Own()[client.Read], to.Dials()-dials)
	after, err := t.stage.Counts(mending(ctx))
	if err != nil {
		return err
	}
	// The last two can be read: one is no message of theirs, one is for a later version.
	want := int64(len(poisons) - 2)
	t.check(after.Poison-before.Poison >= want, "poison: counted", "%d entries named and counted, of %d read at least", after.Poison-before.Poison, want)
	t.checkOthers("poison", w)
	return nil
}

// recipientGone has people write to somebody who never was, and to somebody
// who is deleted while what they wrote waits.
func recipientGone(ctx context.Context, t *target) error {
	const queued = 20
	before, guests, w, err := t.begin(ctx, 2)
	if err != nil {
		return err
	}
	defer w.halt()
	from, doomed := guests[0], guests[1].Person()
	nobody := "nobody" + doomed
	if err := t.connected(from); err != nil {
		return err
	}
	t.log.Add(record.Entry{Kind: record.Erased, Person: nobody})
	write(guests[:1], nobody, 3, "to nobody")
	told := until(arriveWithin, func() bool { return from.Own()[client.Refused] == 3 })
	t.check(told && from.Refusals()["recipient_unknown"] == 3, "no recipient: named", "3 messages to nobody: %v", from.Refusals())
	write(guests[:1], doomed, queued, "to one who leaves")
	until(arriveWithin, func() bool { return from.Own()[client.Sent] == queued })
	t.log.Add(record.Entry{Kind: record.Erased, Person: doomed})
	if err := t.stage.Erase(mending(ctx), doomed); err != nil {
		return err
	}
	write(guests[:1], doomed, 1, "to one who left")
	told = until(arriveWithin, func() bool { return from.Own()[client.Refused] == 3+queued+1 })
	t.check(told && from.Refusals()["recipient_unknown"] == 3+queued+1, "deleted recipient: named",
		"%d messages waited and 1 came after: the sender shows %v", queued, from.Refusals())
	box, err := t.stage.Inbox(mending(ctx), doomed)
	if err != nil {
		return err
	}
	t.check(box.Entries == 0 && box.Waiting == 0, "deleted recipient: bounded", "%d entries are left of the inbox, %d wait", box.Entries, box.Waiting)
	after, err := t.stage.Counts(mending(ctx))
	if err != nil {
		return err
	}
	t.check(after.Undelivered-before.Undelivered >= queued, "deleted recipient: counted", "refused rose by %d", after.Undelivered-before.Undelivered)
	t.checkOthers("no recipient", w)
	return nil
}

// inboxFull has many people write to somebody who is away, until no more is
// taken, and then that one come back.
func inboxFull(ctx context.Context, t *target) error {
	const senders, each = 50, 210
	before, guests, w, err := t.begin(ctx, 1+senders)
	if err != nil {
		return err
	}
	defer w.halt()
	away, others := guests[0], guests[1:]
	if err := t.connected(others...); err != nil {
		return err
	}
	memory := t.stage.Memory(mending(ctx))
	write(others, away.Person(), each, "to one who is away")
	begin := time.Now()
	until(2*arriveWithin, func() bool { return own(others)[client.Sent] >= inboxBound })
	filled := time.Since(begin)
	now := before
	until(arriveWithin, func() bool {
		now, err = t.stage.Counts(mending(ctx))
		return err != nil || now.InboxFull > before.InboxFull
	})
	if err != nil {
		return err
	}
	states := own(others)
	box, err := t.stage.Inbox(mending(ctx), away.Person())
	if err != nil {
		return err
	}
	t.check(box.Waiting == inboxBound && box.Entries <= inboxEntries, "full inbox: bounded", "%d messages wait, %d entries, filled in %v",
		box.Waiting, box.Entries, filled.Round(time.Millisecond))
	t.check(states[client.Sent] == inboxBound && states[client.Waiting] == senders*each-inboxBound && states[client.Refused] == 0, "full inbox: its senders",
		"%d accepted, %d wait on their devices, %d finally refused", states[client.Sent], states[client.Waiting], states[client.Refused])
	t.check(now.InboxFull > before.InboxFull, "full inbox: counted", "inbox_full rose by %d", now.InboxFull-before.InboxFull)
	grown := t.stage.Memory(mending(ctx))
	grown.Redis -= memory.Redis
	grown.Instances -= memory.Instances
	t.check(grown.Redis < redisGrows && grown.Instances < instanceGrows, "full inbox: memory", "Redis holds %d MB more, the largest instance %d MB",
		grown.Redis>>20, grown.Instances>>20)
	away.Start()
	all := until(4*arriveWithin, func() bool { return away.Shown() == senders*each })
	t.check(all, "full inbox: afterwards", "%d of %d shown %v after its person came back", away.Shown(), senders*each, time.Since(begin.Add(filled)).Round(time.Second))
	t.checkOthers("full inbox", w)
	return nil
}

// What parts may grow by under bad input, with what the crowd does meanwhile.
const (
	redisGrows    = 128 << 20
	instanceGrows = 256 << 20
)
