package inject

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
)

// Sizes of the faults that withdraw messages.
const (
	withdrawnRecipients = 6
	withdrawnEach       = 10 // messages to each
)

// disableSender disables a user while messages wait, and while some of the recipients come back.
func disableSender(ctx context.Context, t *target) error {
	return withdraw(ctx, t, "disabled sender", "withdrawn", func(from *load.Device, _ []*load.Device) error {
		t.log.Add(record.Entry{Kind: record.Withdrawn, User: from.User()})
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
			t.log.Add(record.Entry{Kind: record.Blocked, User: d.User(), Name: from.User()})
			t.crowd.Sever(d.User(), from.User())
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
	for _, d := range to[:withdrawnRecipients/2] { // these compete with the removal
		d.Start()
	}
	if err := refuse(from, to); err != nil {
		return err
	}
	for _, d := range to {
		d.Start()
	}
	// A device may have a message that is being refused. Then its ack arrives later, and delivered replaces refused.
	var waiting, shown, delivered, refused int
	agreed := waitUntil(arrivalTimeout, func() bool {
		waiting, shown = 0, -withdrawnRecipients // without those of acquaint
		for _, d := range to {
			var box testbed.Inbox
			if box, err = t.testbed.Inbox(context.WithoutCancel(ctx), d.User()); err != nil {
				return true
			}
			waiting += box.Waiting
			shown += d.Shown()
		}
		own := from.Own()
		delivered, refused = own[client.Delivered]+own[client.Read]-withdrawnRecipients, own[client.Refused]
		return waiting == 0 && shown == delivered && delivered+refused == all
	})
	if err != nil {
		return err
	}
	t.recordCheck(agreed, what+": delivered or refused",
		"of %d messages %d were shown, %d delivered and %d refused; %d wait", all, shown, delivered, refused, waiting)
	t.recordCheck(from.Refusals()[code] == refused, what+": named", "the sender shows %v", from.Refusals())
	t.checkBystanders(what, chat)
	return nil
}
