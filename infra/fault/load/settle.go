package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Errors of Settle.
var (
	ErrBacklog         = errors.New("too much load: messages still arrived when the time was up")
	ErrStuck           = errors.New("messages make no progress, and not all have arrived")
	ErrBackfillPending = errors.New("devices still look in history for messages that were never saved")
)

// After backfillWait with only backfills left to do, Settle returns ErrBackfillPending. It is longer than the delay
// between two attempts of a device.
const backfillWait = 25 * time.Second

// Settle brings all devices back, and returns when every outbox is empty, no backfill is left, and the archive has
// everything.
//
// Otherwise it returns ErrStuck if no message makes progress for the time stuck, ErrBackfillPending if only backfills
// are left, and ErrBacklog if ctx ends while messages still make progress. The record gets an Unfinished entry for
// ErrBacklog. The errors name some devices that have not finished. A verdict is possible in all these cases.
func (c *Crowd) Settle(ctx context.Context, stuck time.Duration) error {
	for _, d := range c.allDevices() {
		d.StopReading(false)
		d.Online()
		d.Start()
	}
	quiet, seen, last := 0, c.log.Progress(), time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for quiet <= 20 { // one second more, for receipts and the copies of other devices
		var err error
		select {
		case <-tick.C:
		case <-ctx.Done():
			err = ErrBacklog
			c.log.Add(record.Entry{Kind: record.Unfinished})
		}
		if n := c.log.Progress(); n != seen {
			seen, last = n, time.Now()
		}
		if err == nil && time.Since(last) > min(stuck, backfillWait) && c.onlyBackfillsLeft() {
			err = ErrBackfillPending
		}
		if err == nil && time.Since(last) > stuck {
			err = ErrStuck
		}
		if err != nil {
			return fmt.Errorf("%w; %d Pub/Sub messages are not saved; %s",
				err, c.testbed.Waiting(), strings.Join(c.unfinished(5), "; "))
		}
		if quiet++; c.testbed.Waiting() > 0 || len(c.unfinished(1)) > 0 {
			quiet = 0
		}
	}
	return nil
}

// onlyBackfillsLeft reports whether everything is sent and saved, everyone is connected, and backfills are left.
func (c *Crowd) onlyBackfillsLeft() bool {
	return c.testbed.Waiting() == 0 && !slices.ContainsFunc(c.allDevices(), func(d *Device) bool {
		store, app := d.storeAndApp()
		return app != nil && (store.Outbox() > 0 || !app.Up())
	}) && len(c.unfinished(1)) > 0
}

// unfinished describes up to most devices that have messages to send, backfills to do, or no socket.
func (c *Crowd) unfinished(most int) (out []string) {
	for _, d := range c.allDevices() {
		store, app := d.storeAndApp()
		if app == nil || store.Outbox() == 0 && store.Backfills() == 0 && app.Up() {
			continue
		}
		out = append(out, fmt.Sprintf("%s has %d messages to send and the backfills %v, connected: %v",
			d.Name(), store.Outbox(), store.PendingBackfills(), app.Up()))
		if len(out) == most {
			break
		}
	}
	return out
}

// Open makes every device open every conversation and scroll to its beginning. It records what everyone shows, and
// what the API lists.
func (c *Crowd) Open(ctx context.Context) error {
	c.log.Add(record.Entry{Kind: record.Fault, Name: verdict.Opening})
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	all := c.allDevices()
	errs := make(chan error, len(all))
	for _, d := range all {
		store, app := d.storeAndApp()
		if app == nil {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			for _, to := range c.partnersOf(d) {
				if err := app.Open(ctx, chat.ConversationID(d.user, to), true); err != nil {
					errs <- fmt.Errorf("%s: open the conversation with %s: %w", d.Name(), to, err)
					return
				}
			}
			c.recordView(d, store)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		return err
	}
	return c.recordHistories(ctx)
}

// recordView records what a device shows.
func (c *Crowd) recordView(d *Device, store *client.Store) {
	for _, to := range c.partnersOf(d) {
		conversation := chat.ConversationID(d.user, to)
		e := record.Entry{Kind: record.View, Device: d.Name(), Conversation: conversation}
		for _, l := range store.Conversation(conversation) {
			line := lineOf(l.Message)
			if l.From == d.user {
				line.State = l.State.String()
			}
			e.Lines = append(e.Lines, line)
		}
		c.log.Add(e)
	}
}

// recordHistories records what the API lists of each conversation, for one of its members.
func (c *Crowd) recordHistories(ctx context.Context) error {
	listed := map[string]bool{}
	for _, d := range c.allDevices() {
		for _, to := range c.partnersOf(d) {
			conversation := chat.ConversationID(d.user, to)
			if listed[conversation] {
				continue
			}
			listed[conversation] = true
			e := record.Entry{Kind: record.History, Conversation: conversation}
			for before := ""; ; {
				page, err := c.testbed.History(d.user).Messages(ctx, conversation, before, 200)
				if err != nil {
					return err
				}
				for _, m := range slices.Backward(page.Messages) {
					e.Lines = append(e.Lines, lineOf(m))
				}
				if before = page.Before; before == "" {
					break
				}
			}
			slices.Reverse(e.Lines)
			c.log.Add(e)
		}
	}
	return nil
}
