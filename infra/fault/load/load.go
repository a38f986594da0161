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
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Stage is what the people talk to.
type Testbed interface {
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
	Unsent     int     // so many messages wait on a device at most before its person goes on writing; 0: any number
	Partners   int     // with how many others each person writes, about; 4 when 0
	Pace       client.Pace
	Seed       uint64
}

// Crowd is the people of a run.
type Crowd struct {
	testbed Testbed
	log     *record.Log
	opts    Options

	users     []string
	devices   []*Device
	devicesOf map[string][]*Device
	partners  map[string][]string

	typed atomic.Int64

	mu       sync.Mutex
	vanished []net.Conn // guarded by mu
	guests   []*Device  // guarded by mu
}

// New returns a crowd of the people with these uids. Nobody does anything yet.
func New(testbed Testbed, log *record.Log, users []string, opts Options) *Crowd {
	if opts.Partners == 0 {
		opts.Partners = 4
	}
	c := &Crowd{testbed: testbed, log: log, opts: opts, users: users, devicesOf: map[string][]*Device{}, partners: map[string][]string{}}
	rnd := rand.New(rand.NewPCG(opts.Seed, 3))
	for i, uid := range users {
		names := []string{uid + ".a"}
		if rnd.Float64() < opts.TwoDevices {
			names = append(names, uid+".b")
		}
		for _, name := range names {
			d := &Device{crowd: c, user: uid, name: name, store: client.NewStore(uid, name)}
			if rnd.Float64() < opts.Skewed {
				d.skew = time.Duration(rnd.Int64N(int64(20*time.Minute))) - 10*time.Minute
			}
			c.devices = append(c.devices, d)
			c.devicesOf[uid] = append(c.devicesOf[uid], d)
		}
		for k := range max(1, opts.Partners/2) { // a ring with chords: everybody has about as many
			c.pair(uid, users[(i+1+k*k)%len(users)])
		}
	}
	return c
}

func (c *Crowd) pair(a, b string) {
	if a != b && !slices.Contains(c.partners[a], b) {
		c.partners[a] = append(c.partners[a], b)
		c.partners[b] = append(c.partners[b], a)
	}
}

// Devices returns all devices, always in the same order.
func (c *Crowd) Devices() []*Device { return c.devices }

// People returns the uids of all people, always in the same order.
func (c *Crowd) Users() []string { return c.users }

// Of returns the devices of a person.
func (c *Crowd) DevicesOf(uid string) []*Device { return c.devicesOf[uid] }

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
		return !slices.ContainsFunc(c.devices, func(d *Device) bool { return !d.HasLeft() && !d.Up() })
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
	due := 0.0
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		due = min(due+c.opts.Rate*now.Sub(last).Seconds(), 1000)
		last = now
		// Who is away, or has enough waiting, leaves it to somebody else; where
		// all do, what is owed waits for a moment.
		for tries := int(3 * due); due >= 1 && tries > 0; tries-- {
			due -= float64(c.writeAndRead(rnd))
		}
		step()
	}
}

// act has somebody write, mostly one message, sometimes a burst, and read. It
// returns how many messages were written.
func (c *Crowd) writeAndRead(rnd *rand.Rand) (written int) {
	d := c.devices[rnd.IntN(len(c.devices))]
	partners := c.partners[d.user]
	to := partners[rnd.IntN(len(partners))]
	store, app := d.storeAndApp()
	if app == nil || c.opts.Unsent > 0 && store.Outbox() >= c.opts.Unsent {
		return 0
	}
	conversation := chat.ConversationID(d.user, to)
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
			return written
		}
		written++
	}
	if at, unseen := store.Unseen(conversation); unseen && rnd.IntN(3) > 0 {
		app.Seen(conversation, at)
	}
	return written
}

// body returns a text that no other message of the run has.
func body(n int64, rnd *rand.Rand) string {
	words := []string{"hello", "ещё раз", "とても", "see you at nine", "👍🏽", "naïve façade", "مرحبا"}
	return fmt.Sprintf("%d %s%s", n, words[rnd.IntN(len(words))], strings.Repeat(" and so on", rnd.IntN(6)))
}

func (c *Crowd) keepOpen(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vanished = append(c.vanished, conn)
}

// Close ends all apps, and the connections that had vanished.
func (c *Crowd) Close() {
	var wg sync.WaitGroup
	for _, d := range c.allDevices() {
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
func (c *Crowd) recordNote(device string, n client.Note) {
	m := n.Message
	e := record.Entry{Device: device, ID: m.ID, Conversation: m.Conversation}
	switch n.NoteKind {
	case client.NoteTyped:
		e.Kind, e.User, e.Text = record.Typed, m.To, record.TextOf(m)
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
	case client.NoteNotResumed:
		e.Kind = record.NotResumed
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
