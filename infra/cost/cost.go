// Package cost counts the billed operations of a deployment: documents read and written, messages published and calls
// of functions. It also counts round trips to Redis, scripts, and calls inside scripts, which determine the size of its
// nodes. The test checks that a message stays within the limits that keep the chat cheap, at a realistic pace.
package cost

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/pubsubstub"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
)

// Counts has the number of operations so far.
type Counts struct {
	Reads     int64 // documents read
	Writes    int64 // documents written
	Published int64 // Pub/Sub messages for persist
	Notified  int64 // Pub/Sub messages for notify
	Calls     int64 // calls of functions
	Trips     int64 // round trips to Redis; a pipeline is one round trip
	Commands  int64 // commands that were sent to Redis, except scripts
}

// Sub returns the operations since the earlier counts o.
func (c Counts) Sub(o Counts) Counts {
	return Counts{
		Reads: c.Reads - o.Reads, Writes: c.Writes - o.Writes, Published: c.Published - o.Published,
		Notified: c.Notified - o.Notified,
		Calls:    c.Calls - o.Calls, Trips: c.Trips - o.Trips, Commands: c.Commands - o.Commands,
	}
}

// Meter counts operations. It is a redis.Hook. Its methods are safe for concurrent use.
type Meter struct {
	reads, writes, published, notified, calls, trips, commands atomic.Int64

	mu        sync.Mutex
	byCommand map[string]int64 // round trips by command or script; guarded by mu
}

// NewMeter returns a Meter at zero.
func NewMeter() *Meter { return &Meter{byCommand: map[string]int64{}} }

// Counts returns the operations so far.
func (m *Meter) Counts() Counts {
	return Counts{m.reads.Load(), m.writes.Load(), m.published.Load(), m.notified.Load(), m.calls.Load(), m.trips.Load(),
		m.commands.Load()}
}

// Trips returns the round trips so far by command. Scripts are named by the first characters of their digests.
func (m *Meter) Trips() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]int64, len(m.byCommand))
	for k, v := range m.byCommand {
		out[k] = v
	}
	return out
}

func (m *Meter) countTrip(name string, cmds ...redis.Cmder) {
	m.trips.Add(1)
	for _, cmd := range cmds {
		if !isScript(cmd) {
			m.commands.Add(1)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byCommand[name]++
}

var _ redis.Hook = (*Meter)(nil)

// DialHook implements redis.Hook.
func (m *Meter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (m *Meter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		m.countTrip(commandName(cmd), cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook.
func (m *Meter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) > 0 {
			m.countTrip("pipeline of "+commandName(cmds[0]), cmds...)
		}
		return next(ctx, cmds)
	}
}

func isScript(cmd redis.Cmder) bool {
	return slices.Contains([]string{"eval", "evalsha", "fcall"}, cmd.Name())
}

func commandName(cmd redis.Cmder) string {
	if args := cmd.Args(); len(args) > 1 && isScript(cmd) {
		if digest, ok := args[1].(string); ok {
			return cmd.Name() + " " + digest[:min(8, len(digest))]
		}
	}
	return cmd.Name()
}

// Gates returns an open gate for every user, with a device that is registered for push, and counts one document read
// for each call.
type Gates struct{ Meter *Meter }

// Gate implements gate.Source.
func (g Gates) Gate(context.Context, string) (gate.Gate, error) {
	g.Meter.reads.Add(1)
	return gate.Gate{Exists: true, Push: true}, nil
}

// Archive counts the documents that Save writes: one for each message and one for each conversation. It also counts
// the documents that User and Users read, of which persist must not read any.
type Archive struct {
	store.Store
	Meter *Meter
}

// Save implements store.Archive.
func (a Archive) Save(ctx context.Context, delivered []delivery.Delivered,
	read []delivery.Read) ([]delivery.Delivered, error) {
	conversations := map[string]bool{}
	for _, d := range delivered {
		conversations[d.Conversation] = true
	}
	for _, r := range read {
		conversations[r.Conversation] = true
	}
	a.Meter.writes.Add(int64(len(delivered) + len(conversations)))
	return a.Store.Save(ctx, delivered, read)
}

// Users implements store.Users and counts the reads.
func (a Archive) Users(ctx context.Context, uids []string) (map[string]store.User, error) {
	a.Meter.reads.Add(int64(len(uids)))
	return a.Store.Users(ctx, uids)
}

// User implements store.Users and counts the read.
func (a Archive) User(ctx context.Context, uid string) (store.User, error) {
	a.Meter.reads.Add(1)
	return a.Store.User(ctx, uid)
}

// Notifier counts the messages that it publishes.
type Notifier struct{ Meter *Meter }

// Publish implements away.Publisher.
func (n Notifier) Publish(context.Context, []byte) error {
	n.Meter.notified.Add(1)
	return nil
}

// Publisher publishes by calling persist. It counts a published message and a call.
type Publisher struct {
	Meter   *Meter
	Persist http.Handler
}

// Publish implements settle.Publisher.
func (p Publisher) Publish(ctx context.Context, data []byte) error {
	p.Meter.published.Add(1)
	p.Meter.calls.Add(1)
	body, err := pubsubstub.Body("projects/cost/subscriptions/persist", "1", data)
	if err != nil {
		return err
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	p.Persist.ServeHTTP(w, r)
	if w.Code/100 != 2 {
		return errors.New(http.StatusText(w.Code))
	}
	return nil
}
