package inject

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// Sizes of the faults that withdraw messages.
const (
	withdrawnRecipients = 6
	withdrawnEach       = 10 // messages to each
)

// disableSender disables a user while messages wait, and while some of the recipients come back.
func disableSender(ctx context.Context, t *target) error {
	return withdraw(ctx, t, "disabled sender", "withdrawn", func(from *load.Device, _ []*load.Device) error {
		if err := t.testbed.SetDisabled(context.WithoutCancel(ctx), from.User(), true); err != nil {
			return err
		}
		return t.testbed.SetDisabled(context.WithoutCancel(ctx), from.User(), false) // so that the device learns the reason
	})
}

// blockSender makes the recipients of messages that wait block their sender, while some of them come back.
func blockSender(ctx context.Context, t *target) error {
	return withdraw(ctx, t, "blocked sender", "recipient_unavailable", func(from *load.Device, to []*load.Device) error {
		for _, d := range to {
			if err := t.testbed.Block(context.WithoutCancel(ctx), d.User(), from.User()); err != nil {
				return err
			}
		}
		return nil
	})
}

// withdraw makes messages of one user wait for others, and calls refuse. In the end each message is delivered, or
// refused with a code.
func withdraw(ctx context.Context, t *target, what, code string,
	refuse func(from *load.Device, to []*load.Device) error) error {
	_, guests, chat, err := t.prepare(ctx, 1+withdrawnRecipients)
	if err != nil {
		return err
	}
	defer chat.halt()
	from, to := guests[0], guests[1:]
	if err := errors.Join(t.connect(guests...), t.acquaint(from, to...)); err != nil {
		return err
	}
	for _, d := range to {
		d.Kill()
	}
	for _, d := range to {
		writeEach(guests[:1], d.User(), withdrawnEach, what)
	}
	const all = withdrawnRecipients * withdrawnEach
	waitUntil(arrivalTimeout, func() bool { return from.Own()[client.Sent] == all })
	t.log.Add(record.Entry{Kind: record.Withdrawn, User: from.User()})
	for _, d := range to[:withdrawnRecipients/2] { // these compete with the removal
		d.Start()
	}
	if err := refuse(from, to); err != nil {
		return err
	}
	for _, d := range to {
		d.Start()
	}
	settled := waitUntil(arrivalTimeout, func() bool {
		own := from.Own()
		return own[client.Sent]+own[client.Waiting] == 0
	})
	own := from.Own()
	delivered := own[client.Delivered] + own[client.Read] - withdrawnRecipients // without those of acquaint
	t.recordCheck(settled && delivered+own[client.Refused] == all && from.Refusals()[code] == own[client.Refused],
		what+": named", "of %d messages %d were delivered, and refused %v", all, delivered, from.Refusals())
	waiting, shown := 0, -withdrawnRecipients
	for _, d := range to {
		box, err := t.testbed.Inbox(context.WithoutCancel(ctx), d.User())
		if err != nil {
			return err
		}
		waiting += box.Waiting
		shown += d.Shown()
	}
	t.recordCheck(waiting == 0 && shown == delivered, what+": removed",
		"%d messages wait, %d were shown, and %d delivered", waiting, shown, delivered)
	t.checkBystanders(what, chat)
	return nil
}
