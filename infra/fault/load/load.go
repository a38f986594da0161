// Package load is the people of a fault run: hundreds or thousands of
// simulated persons with one or two devices each, who write to each other,
// answer, read, and in the end open every conversation. All that they do and
// see goes into the record.
package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Stage is what the people talk to.
type Stage interface {
	// Dial opens a WebSocket over the connection that wrap makes of the stage's own.
	Dial(ctx context.Context, wrap func(net.Conn) net.Conn) (*websocket.Conn, error)
	Token(uid string) (token string, ends time.Time, err error)
	History(uid string) client.History
	Waiting() int // messages on their way into the archive
}

// Options of a crowd.
type Options struct {
	Rate       float64 // messages per second, all people together
	TwoDevices float64 // share of people with two devices
	Skewed     float64 // share of devices whose clock is wrong, by up to ten minutes
	Partners   int     // with how many others each person writes, about; 4 when 0
	Pace       client.Pace
	Seed       uint64
}

// Crowd is the people of a run.
type Crowd struct {
	stage Stage
	log   *record.Log
	opts  Options

	people   []string
	devices  []*Device
	of       map[string][]*Device
	partners map[string][]string

	typed atomic.Int64

	mu       sync.Mutex
	vanished []net.Conn // guarded by mu
}

// New returns a crowd of the people with these uids. Nobody does anything yet.
func New(stage Stage, log *record.Log, people []string, opts Options) *Crowd {
	if opts.Partners == 0 {
		opts.Partners = 4
	}
	c := &Crowd{stage: stage, log: log, opts: opts, people: people, of: map[string][]*Device{}, partners: map[string][]string{}}
	rnd := rand.New(rand.NewPCG(opts.Seed, 3))
	for i, uid := range people {
		names := []string{uid + ".a"}
		if rnd.Float64() < opts.TwoDevices {
			names = append(names, uid+".b")
		}
		for _, name := range names {
			d := &Device{crowd: c, person: uid, name: name, store: client.NewStore(uid, name)}
			if rnd.Float64() < opts.Skewed {
				d.skew = time.Duration(rnd.Int64N(int64(20*time.Minute))) - 10*time.Minute
			}
			c.devices = append(c.devices, d)
			c.of[uid] = append(c.of[uid], d)
		}
		for k := range max(1, opts.Partners/2) { // a ring with chords: everybody has about as many
			c.befriend(uid, people[(i+1+k*k)%len(people)])
		}
	}
	return c
}

func (c *Crowd) befriend(a, b string) {
	if a != b && !slices.Contains(c.partners[a], b) {
		c.partners[a] = append(c.partners[a], b)
		c.partners[b] = append(c.partners[b], a)
	}
}

// Devices returns all devices, always in the same order.
func (c *Crowd) Devices() []*Device { return c.devices }

// People returns the uids of all people, always in the same order.
func (c *Crowd) People() []string { return c.people }

// Of returns the devices of a person.
func (c *Crowd) Of(uid string) []*Device { return c.of[uid] }

// Typed returns how many messages were written so far.
func (c *Crowd) Typed() int { return int(c.typed.Load()) }

// Start starts all devices, spread over a while.
func (c *Crowd) Start(ctx context.Context, over time.Duration) error {
	step := over / time.Duration(len(c.devices))
	for _, d := range c.devices {
		d.Start()
		if step > 0 {
			select {
			case <-time.After(step):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return c.await(ctx, "all devices to be connected", func() bool {
		return !slices.ContainsFunc(c.devices, func(d *Device) bool { return !d.Gone() && !d.Up() })
	})
}

// await polls until ok.
func (c *Crowd) await(ctx context.Context, what string, ok func() bool) error {
	for !ok() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// Chat has people write, answer and read at the rate until ctx ends, and calls
// step now and then.
func (c *Crowd) Chat(ctx context.Context, step func()) {
	rnd := rand.New(rand.NewPCG(c.opts.Seed, 4))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	owed := 0.0
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		owed = min(owed+c.opts.Rate*now.Sub(last).Seconds(), 1000)
		last = now
		for ; owed >= 1; owed-- {
			c.act(rnd)
		}
		step()
	}
}

// act has somebody write, mostly one message, sometimes a burst, and somebody read.
func (c *Crowd) act(rnd *rand.Rand) {
	d := c.devices[rnd.IntN(len(c.devices))]
	partners := c.partners[d.person]
	to := partners[rnd.IntN(len(partners))]
	store, app := d.now()
	if app == nil {
		return
	}
	conversation := chat.ConversationID(d.person, to)
	replyTo := ""
	if m, ok := store.Newest(conversation); ok && m.From == to && rnd.IntN(2) == 0 {
		replyTo = m.ID
	}
	burst := 1
	if rnd.IntN(20) == 0 {
		burst = 2 + rnd.IntN(4)
	}
	for range burst {
		n := c.typed.Add(1)
		if app.Write(to, body(n, rnd), replyTo) == "" { // the app ended meanwhile
			c.typed.Add(-1)
			return
		}
	}
	if at, unseen := store.Unseen(conversation); unseen && rnd.IntN(3) > 0 {
		app.Seen(conversation, at)
	}
}

// body returns a text that no other message of the run has.
func body(n int64, rnd *rand.Rand) string {
	words := []string{"hello", "ещё раз", "とても", "see you at nine", "👍🏽", "naïve façade", "مرحبا"}
	return fmt.Sprintf("%d %s%s", n, words[rnd.IntN(len(words))], strings.Repeat(" and so on", rnd.IntN(6)))
}

func (c *Crowd) keep(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vanished = append(c.vanished, conn)
}

// Settle brings everybody back and waits until nothing is on its way any more:
// outboxes and debts are empty, and the archive has everything. When ctx ends
// before, the error says what still moves; the verdict can be given all the same.
func (c *Crowd) Settle(ctx context.Context) error {
	for _, d := range c.devices {
		d.StopReading(false)
		d.Online()
		d.Start()
	}
	quiet := 0
	err := c.await(ctx, "everything to arrive", func() bool {
		quiet++
		if c.stage.Waiting() > 0 || len(c.moving(1)) > 0 {
			quiet = 0
		}
		return quiet > 20 // a second: receipts and the other devices' copies are on their way
	})
	if err != nil {
		err = fmt.Errorf("%w; %d messages wait to be saved; %s", err, c.stage.Waiting(), strings.Join(c.moving(5), "; "))
	}
	return err
}

// moving tells what some devices still have to send or to load, or that they have no socket.
func (c *Crowd) moving(most int) (out []string) {
	for _, d := range c.devices {
		store, app := d.now()
		if app == nil || store.Outbox() == 0 && store.Debts() == 0 && app.Up() {
			continue
		}
		out = append(out, fmt.Sprintf("%s has %d to send and owes %v, connected: %v", d.Name(), store.Outbox(), store.Owed(), app.Up()))
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
	errs := make(chan error, len(c.devices))
	for _, d := range c.devices {
		store, app := d.now()
		if app == nil {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			for _, to := range c.partners[d.person] {
				if err := app.Open(ctx, chat.ConversationID(d.person, to), true); err != nil {
					errs <- fmt.Errorf("%s opens its conversation with %s: %w", d.Name(), to, err)
					return
				}
			}
			c.view(d.Name(), store, d.person)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		return err
	}
	return c.list(ctx)
}

func (c *Crowd) view(name string, store *client.Store, uid string) {
	for _, to := range c.partners[uid] {
		conversation := chat.ConversationID(uid, to)
		e := record.Entry{Kind: record.View, Device: name, Conversation: conversation}
		for _, l := range store.Conversation(conversation) {
			line := record.Line{ID: l.ID, At: l.At, Sum: record.SumOf(l.Message), Text: record.TextOf(l.Message)}
			if l.From == uid {
				line.State = l.State.String()
			}
			e.Lines = append(e.Lines, line)
		}
		c.log.Add(e)
	}
}

// list enters what the API lists of each conversation, to one of its members.
func (c *Crowd) list(ctx context.Context) error {
	for _, uid := range c.people {
		for _, to := range c.partners[uid] {
			if to < uid {
				continue
			}
			conversation := chat.ConversationID(uid, to)
			e := record.Entry{Kind: record.History, Conversation: conversation}
			for before := ""; ; {
				page, err := c.stage.History(uid).Messages(ctx, conversation, before, 200)
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

// Close ends all apps, and the connections that had vanished.
func (c *Crowd) Close() {
	var wg sync.WaitGroup
	for _, d := range c.devices {
		wg.Go(d.Kill)
	}
	wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.vanished {
		conn.Close()
	}
	c.vanished = nil
}

// enter translates what a device tells into the record.
func (c *Crowd) enter(device string, n client.Note) {
	m := n.Message
	e := record.Entry{Device: device, ID: m.ID, Conversation: m.Conversation}
	switch n.What {
	case client.NoteTyped:
		e.Kind, e.Person, e.Text = record.Typed, m.To, record.TextOf(m)
	case client.NoteFrozen:
		e.Kind, e.At, e.Sum = record.Frozen, m.At, record.SumOf(m)
	case client.NoteShown:
		e.Kind, e.At, e.Sum, e.Text, e.Name = record.Shown, m.At, record.SumOf(m), record.TextOf(m), n.From
	case client.NoteState:
		e.Kind, e.Name = record.State, n.State.String()
	case client.NoteAcked:
		e.Kind = record.Acked
	case client.NoteRead:
		e.Kind, e.Conversation, e.At = record.ReadTo, n.Conversation, n.At
	case client.NoteUp:
		e.Kind = record.Up
	case client.NoteDown:
		e.Kind = record.Down
	case client.NoteMoved:
		e.Kind = record.Moved
	case client.NoteNotResume:
		e.Kind = record.Unsure
	case client.NoteLoad:
		e.Kind = record.Load
	}
	c.log.Add(e)
}

// hash spreads names over seeds.
func hash(s string) (h uint64) {
	h = 14695981039346656037
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
