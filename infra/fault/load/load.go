// Package load is the users of a fault run: hundreds or thousands of simulated users with one or two devices each.
// They write to each other, reply, read, and open every conversation in the end. The record gets everything that they
// do and see.
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

// Testbed is the system that the users connect to.
type Testbed interface {
	// Dial opens a WebSocket from a network address. The WebSocket uses the connection that wrap makes from the TCP
	// connection.
	Dial(ctx context.Context, from string, wrap func(net.Conn) net.Conn) (*websocket.Conn, error)
	Token(uid string) (token string, ends time.Time, err error)
	History(uid string) client.History
	List(ctx context.Context, uid string) ([]record.Item, error) // the conversations of a user, as the API lists them
	Waiting() int                                                // messages that are published and not saved yet
}

// Options configure a Crowd.
type Options struct {
	Rate       float64 // messages per second, of all users together
	TwoDevices float64 // share of users with two devices
	Skewed     float64 // share of devices whose clock is wrong, by up to ten minutes, and jumps while they are connected
	Changed    float64 // share of what users write that changes a message, and is not one
	Reused     float64 // share of messages with an id that another user has used, in this or another conversation
	Unsent     int     // a user writes no more while a device has this many unsent messages; 0: no limit
	Partners   int     // about how many other users each user writes with; 4 when 0
	Pace       client.Pace
	Seed       uint64

	// Patience is how long Settle waits, without progress, for devices that have only backfills to do or that do not
	// agree. 0 stands for somewhat longer than these take with the short delays of fault runs.
	Patience time.Duration

	Browsers *Browsers // runs devices with the browser's own engine and store; nil: there are none
	Browser  float64   // share of those devices; all others have the engine and store of package client
}

// Crowd is the users of a run.
type Crowd struct {
	testbed Testbed
	log     *record.Log
	opts    Options

	users     []string
	devices   []*Device
	devicesOf map[string][]*Device
	partners  map[string][]string

	sleepers []sleeper
	pushes   atomic.Int64

	typed     atomic.Int64
	edits     atomic.Int64 // for their texts
	addresses atomic.Int64 // assigned to devices so far
	calls     atomic.Int64 // recorded requests for history so far

	mu       sync.Mutex
	vanished []net.Conn                // guarded by mu
	guests   []*Device                 // guarded by mu
	received map[string][]chat.Message // the newest messages that were typed to each user; guarded by mu
	anywhere []chat.Message            // the newest messages that were typed; guarded by mu
	used     map[[2]string]bool        // user and id: must not be used again; guarded by mu
	severed  map[string]bool           // see Sever; guarded by mu
}

// New returns a crowd of the users with these uids. Nothing happens before Start.
func New(testbed Testbed, log *record.Log, users []string, opts Options) *Crowd {
	if opts.Partners == 0 {
		opts.Partners = 4
	}
	c := &Crowd{
		testbed: testbed, log: log, opts: opts, users: users,
		devicesOf: map[string][]*Device{}, partners: map[string][]string{}, severed: map[string]bool{},
		received: map[string][]chat.Message{}, used: map[[2]string]bool{},
	}
	rnd := rand.New(rand.NewPCG(opts.Seed, 3))
	for i, uid := range users {
		names := []string{uid + ".a"}
		if rnd.Float64() < opts.TwoDevices {
			names = append(names, uid+".b")
		}
		for _, name := range names {
			d := c.newDevice(uid, name)
			if rnd.Float64() < opts.Skewed {
				d.SetClock(wrongClock(rnd))
			}
			c.devices = append(c.devices, d)
			c.devicesOf[uid] = append(c.devicesOf[uid], d)
		}
		for k := range max(1, opts.Partners/2) { // a ring with chords: all users have about the same number
			c.pair(uid, users[(i+1+k*k)%len(users)])
		}
	}
	if opts.Browsers != nil {
		for _, n := range rand.New(rand.NewPCG(opts.Seed, 6)).Perm(len(c.devices))[:opts.browserDevices(len(c.devices))] {
			c.devices[n].store = opts.Browsers.newStore(c.devices[n].user)
		}
	}
	return c
}

// wrongClock returns how much a clock is ahead: up to ten minutes, either way.
func wrongClock(rnd *rand.Rand) time.Duration {
	return time.Duration(rnd.Int64N(int64(20*time.Minute))) - 10*time.Minute
}

// newDevice returns a device with a network address of its own.
func (c *Crowd) newDevice(uid, name string) *Device {
	n := c.addresses.Add(1)
	return &Device{crowd: c, user: uid, name: name, from: fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255),
		store: client.NewStore(uid, name)}
}

// pair makes two users write to each other.
func (c *Crowd) pair(a, b string) {
	if a != b && !slices.Contains(c.partners[a], b) {
		c.partners[a] = append(c.partners[a], b)
		c.partners[b] = append(c.partners[b], a)
	}
}

// Devices returns all devices, always in the same order.
func (c *Crowd) Devices() []*Device { return c.devices }

// Users returns the uids of all users, always in the same order.
func (c *Crowd) Users() []string { return c.users }

// DevicesOf returns the devices of a user.
func (c *Crowd) DevicesOf(uid string) []*Device { return c.devicesOf[uid] }

// BrowserDevices returns how many devices have the browser's own engine and store.
func (c *Crowd) BrowserDevices() (n int) {
	for _, d := range c.devices {
		if store, _ := d.storeAndApp(); isBrowser(store) {
			n++
		}
	}
	return n
}

// Partners returns the users that a user writes with.
func (c *Crowd) Partners(uid string) []string { return c.partners[uid] }

// Typed returns how many messages were written so far.
func (c *Crowd) Typed() int { return int(c.typed.Load()) }

// Start starts all devices, spread over a duration, and waits until they are connected.
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

// Acquaint makes all partners write to each other once, and waits until everything has arrived. Until somebody has
// answered, the server accepts only a few messages to them.
func (c *Crowd) Acquaint(ctx context.Context) error {
	for _, uid := range c.users {
		for _, to := range c.partners[uid] {
			c.devicesOf[uid][0].Write(to, fmt.Sprintf("hello, here is %s", uid), "")
		}
	}
	return c.await(ctx, "all partners to know each other", func() bool {
		return !slices.ContainsFunc(c.devices, func(d *Device) bool {
			store, _ := d.storeAndApp()
			return store.Outbox() > 0
		})
	})
}

// await polls until ok returns true.
func (c *Crowd) await(ctx context.Context, what string, ok func() bool) error {
	for !ok() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// Chat makes users write, reply and read, and sleepers sleep, at the rate of the options until ctx ends. It calls step
// every 10 ms.
func (c *Crowd) Chat(ctx context.Context, step func()) {
	var asleep sync.WaitGroup
	defer asleep.Wait()
	asleep.Go(func() { c.sleepUntil(ctx) })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	due, choices := 0.0, uint64(0)
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		due = min(due+c.opts.Rate*now.Sub(last).Seconds(), 1000)
		last = now
		// If a user is away or has enough unsent messages, another one writes. If all are, the messages that are due wait
		// for the next tick.
		for tries := int(3 * due); due >= 1 && tries > 0; tries-- {
			// Each choice has a source of its own, so that it does not depend on what the devices have received by then.
			choices++
			due -= float64(c.writeAndRead(rand.New(rand.NewPCG(c.opts.Seed+4, choices))))
		}
		step()
	}
}

// jumpEvery is after how many writes of a device with a wrong clock that clock jumps, on average.
const jumpEvery = 5

// rarelyWoken makes one of so many choices of a device that sleeps wake it.
const rarelyWoken = 5

// writeAndRead makes one device write, mostly one message and sometimes a burst, and read. It returns how many
// messages were written.
func (c *Crowd) writeAndRead(rnd *rand.Rand) (written int) {
	d := c.devices[rnd.IntN(len(c.devices))]
	if rnd.Float64() < c.opts.Skewed/jumpEvery {
		d.SetClock(wrongClock(rnd))
	}
	partners := c.partners[d.user]
	to := partners[rnd.IntN(len(partners))]
	store, app := d.storeAndApp()
	if app == nil || c.opts.Unsent > 0 && store.Outbox() >= c.opts.Unsent {
		return 0
	}
	if d.sleeps() && rnd.IntN(rarelyWoken) > 0 {
		return 0
	}
	d.wake() // its user looks at it
	conversation := chat.ConversationID(d.user, to)
	replyTo, replies := "", rnd.IntN(2) == 0
	if m, ok := store.Newest(conversation); ok && m.From == to && replies {
		replyTo = m.Key()
	}
	if rnd.Float64() < c.opts.Changed {
		return c.changeMessage(d.user, store, app, conversation, rnd)
	}
	burst := 1
	if rnd.IntN(20) == 0 {
		burst = 2 + rnd.IntN(4)
	}
	for range burst {
		n := c.typed.Add(1)
		if app.Write(to, body(n, rnd), replyTo) == "" { // the app has just ended
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

// keepOpen keeps the connection of a vanished device until Close.
func (c *Crowd) keepOpen(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vanished = append(c.vanished, conn)
}

// Close ends all apps, and closes the connections of devices that vanished.
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

// maxForeign bounds the ids of others from which a user picks one.
const maxForeign = 20

// learnID remembers the id of a message when it is typed. Users may use it before they have seen the message, so that
// a seed repeats their choices.
func (c *Crowd) learnID(m chat.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := func(list []chat.Message) []chat.Message { return append(list[max(0, len(list)+1-maxForeign):], m) }
	c.received[m.To], c.anywhere = last(c.received[m.To]), last(c.anywhere)
}

// newID returns the id of a message that a user writes: mostly fresh, and sometimes one that another user has used, in
// a message to this user or to anybody. A user uses each at most once.
func (c *Crowd) newID(uid, fresh string) string {
	rnd := rand.New(rand.NewPCG(c.opts.Seed, hash(fresh)))
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.received[uid]
	if rnd.IntN(2) == 0 {
		known = c.anywhere
	}
	if len(known) == 0 || rnd.Float64() >= c.opts.Reused {
		return fresh
	}
	m := known[rnd.IntN(len(known))]
	if m.From == uid || c.used[[2]string{uid, m.ID}] {
		return fresh
	}
	c.used[[2]string{uid, m.ID}], c.used[[2]string{m.From, m.ID}] = true, true
	return m.ID
}

// hash turns a name into a seed.
func hash(s string) (h uint64) {
	h = 14695981039346656037
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
