package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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

// backfillWait returns the time after which Settle returns ErrBackfillPending if only backfills are left to do. It is
// longer than the delay between two attempts of a device.
func (c *Crowd) backfillWait() time.Duration { return cmp.Or(c.opts.Patience, 25*time.Second) }

// agreeWithin returns how long Settle waits, without progress, until all devices show the same messages. The verdict
// can then say that a message is late.
func (c *Crowd) agreeWithin() time.Duration {
	return cmp.Or(c.opts.Patience, verdict.LiveAfterFault+time.Second)
}

// Settle brings all devices back, and returns when every outbox is empty, no backfill is left, and the archive has
// everything. It waits for devices that do not show what others do, and for read marks that are not confirmed, only for
// a while: the verdict finds those.
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
		if err == nil && time.Since(last) > min(stuck, c.backfillWait()) && c.onlyBackfillsLeft() {
			err = ErrBackfillPending
		}
		if err == nil && time.Since(last) > stuck {
			err = ErrStuck
		}
		if err != nil {
			return fmt.Errorf("%w; %d Pub/Sub messages are not saved; %s",
				err, c.testbed.Waiting(), strings.Join(c.unfinished(5), "; "))
		}
		quiet++
		if c.testbed.Waiting() > 0 || len(c.unfinished(1)) > 0 || time.Since(last) < c.agreeWithin() && !c.agree() {
			quiet = 0
		}
	}
	return nil
}

// Sever excludes the conversation of two users from what Settle waits for: read marks in it are dropped from now on.
func (c *Crowd) Sever(a, b string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.severed[chat.ConversationID(a, b)] = true
}

func (c *Crowd) isSevered(conversation string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.severed[conversation]
}

// agree reports whether all devices that are there show the same number of messages, the same changes of each and the
// same read marks in each conversation, and all marks are confirmed.
func (c *Crowd) agree() bool {
	sizes := map[string]int{}
	changes := map[[2]string]string{} // of messages, by conversation and key
	marks := map[string]map[string]chat.Micros{}
	for _, d := range c.allDevices() {
		store, app := d.storeAndApp()
		if app == nil {
			continue
		}
		for _, to := range c.partnersOf(d) {
			conversation := chat.ConversationID(d.user, to)
			if c.isSevered(conversation) {
				continue
			}
			sum := store.Summary(conversation)
			if sum.Unsent {
				return false
			}
			if other, known := marks[conversation]; known && !maps.Equal(other, sum.Read) {
				return false
			}
			marks[conversation] = sum.Read
			n := 0
			for _, l := range store.Conversation(conversation) {
				if l.From != d.user || l.State >= client.Delivered {
					n++
				}
				row, changed := [2]string{conversation, l.Key()}, record.ChangesOf(l.Message, l.Changes)
				if other, known := changes[row]; known && other != changed {
					return false
				}
				changes[row] = changed
			}
			if other, known := sizes[conversation]; known && other != n {
				return false
			}
			sizes[conversation] = n
		}
	}
	return true
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

// Open records what everyone shows. Then it makes every device open every conversation and scroll to its beginning, and
// records what everyone shows then, and what the API lists.
func (c *Crowd) Open(ctx context.Context) error {
	for _, d := range c.allDevices() {
		if store, app := d.storeAndApp(); app != nil {
			c.recordView(d, store)
		}
	}
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
func (c *Crowd) recordView(d *Device, store Store) {
	list := record.Entry{Kind: record.List, Device: d.Name()}
	defer func() {
		slices.SortFunc(list.List, func(a, b record.Item) int { return cmp.Compare(b.At, a.At) })
		c.log.Add(list)
	}()
	for _, to := range c.partnersOf(d) {
		conversation := chat.ConversationID(d.user, to)
		if sum := store.Summary(conversation); sum.Newest.ID != "" {
			list.List = append(list.List, record.Item{
				Conversation: conversation, ID: sum.Newest.Key(), At: sum.Newest.At, Text: record.TextOf(sum.Newest),
				Unread: sum.Unread, Read: sum.Read,
			})
		}
		c.log.Add(record.Entry{
			Kind: record.View, Device: d.Name(), Conversation: conversation, Lines: d.viewOf(store, conversation),
		})
	}
}

// viewOf returns what the device shows of a conversation if store is its store.
func (d *Device) viewOf(store Store, conversation string) (lines []record.Line) {
	for _, l := range store.Conversation(conversation) {
		line := record.LineOf(l.Message, l.Changes)
		if l.From == d.user {
			line.State = l.State.String()
		}
		lines = append(lines, line)
	}
	return lines
}

// recordHistories records what the API lists of each conversation, for one of its members, and of each user.
func (c *Crowd) recordHistories(ctx context.Context) error {
	listed, users := map[string]bool{}, map[string]bool{}
	for _, d := range c.allDevices() {
		if d.HasLeft() && !c.othersOf(d) {
			continue
		}
		if !users[d.user] {
			users[d.user] = true
			items, err := c.testbed.List(ctx, d.user)
			if err != nil {
				return fmt.Errorf("list the conversations of %s: %w", d.user, err)
			}
			c.log.Add(record.Entry{Kind: record.Listed, User: d.user, List: items})
		}
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
					e.Lines = append(e.Lines, record.LineOf(m.Message, m.Changes))
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

// othersOf reports whether the user of a device has one that has not left.
func (c *Crowd) othersOf(d *Device) bool {
	return slices.ContainsFunc(c.devicesOf[d.user], func(o *Device) bool { return !o.HasLeft() })
}
