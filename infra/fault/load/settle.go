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
	ErrBacklog         = errors.New("more was offered than the machine carries: messages were still arriving when the time was up")
	ErrStuck           = errors.New("nothing arrives any more, and not everything has")
	ErrBackfillPending = errors.New("all has arrived, and devices look in history for what was never saved")
)

// owedFor is how long nothing but looking in history must go on to be
// ErrOwed: longer than devices of a run wait before they look again.
const backfillWait = 25 * time.Second

// Settle brings everybody back and waits until nothing is on its way any more:
// outboxes and debts are empty, and the archive has everything. As long as
// messages arrive it goes on, until ctx ends: that is ErrBacklog, and the
// record says so. Where none has come further for the time stuck, it is
// ErrStuck; ErrOwed where outboxes are empty by then. The errors say what still moves; the verdict can be given all the same.
func (c *Crowd) Settle(ctx context.Context, stuck time.Duration) error {
	for _, d := range c.allDevices() {
		d.StopReading(false)
		d.Online()
		d.Start()
	}
	quiet, seen, last := 0, c.log.Progress(), time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for quiet <= 20 { // a second: receipts and the other devices' copies are on their way
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
			return fmt.Errorf("%w; %d lists wait to be saved; %s", err, c.testbed.Waiting(), strings.Join(c.unfinished(5), "; "))
		}
		if quiet++; c.testbed.Waiting() > 0 || len(c.unfinished(1)) > 0 {
			quiet = 0
		}
	}
	return nil
}

// onlyOwes reports whether nothing is to be sent or saved, and everybody is connected.
func (c *Crowd) onlyBackfillsLeft() bool {
	return c.testbed.Waiting() == 0 && !slices.ContainsFunc(c.allDevices(), func(d *Device) bool {
		store, app := d.storeAndApp()
		return app != nil && (store.Outbox() > 0 || !app.Up())
	}) && len(c.unfinished(1)) > 0
}

// moving tells what some devices still have to send or to load, or that they have no socket.
func (c *Crowd) unfinished(most int) (out []string) {
	for _, d := range c.allDevices() {
		store, app := d.storeAndApp()
		if app == nil || store.Outbox() == 0 && store.Backfills() == 0 && app.Up() {
			continue
		}
		out = append(out, fmt.Sprintf("%s has %d to send and owes %v, connected: %v", d.Name(), store.Outbox(), store.PendingBackfills(), app.Up()))
		if len(out) == most {
			break
		}
	}
	return out
}

// Open has every device open every conversation and scroll to its beginning,
// and enters what everyone shows, and what the API lists, into the record.
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
					errs <- fmt.Errorf("%s opens its conversation with %s: %w", d.Name(), to, err)
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

func (c *Crowd) recordView(d *Device, store *client.Store) {
	for _, to := range c.partnersOf(d) {
		conversation := chat.ConversationID(d.user, to)
		e := record.Entry{Kind: record.View, Device: d.Name(), Conversation: conversation}
		for _, l := range store.Conversation(conversation) {
			line := record.Line{ID: l.ID, At: l.At, Sum: record.SumOf(l.Message), Text: record.TextOf(l.Message)}
			if l.From == d.user {
				line.State = l.State.String()
			}
			e.Lines = append(e.Lines, line)
		}
		c.log.Add(e)
	}
}

// list enters what the API lists of each conversation, to one of its members.
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
					e.Lines = append(e.Lines, record.Line{ID: m.ID, At: m.At, Sum: record.SumOf(m), Text: record.TextOf(m)})
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
