// Package servertest runs whole realtime instances in memory for tests:
// miniredis for Redis, pipes for connections, so that everything works inside
// a testing/synctest bubble (and is meant for it: it waits a lot), with the real
// HTTP server and the real WebSocket library at both ends.
package servertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// Origin is the origin whose pages may connect.
const Origin = "https://chat.example.org"

// Project is the Firebase project of the tokens.
const Project = "demo-chat"

// Rig is one system: a Redis, a place where delivered messages go, people, and
// instances that share them.
type Rig struct {
	Mini      *miniredis.Miniredis
	Gates     *Gates
	Published *Published

	t testing.TB
}

// quiet keeps go-redis from writing to standard error what tests provoke.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }

// New returns a Rig without instances; people are those who exist.
func New(t testing.TB, people ...string) *Rig {
	t.Helper()
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true)
	r := &Rig{Mini: mini, Gates: NewGates(), Published: &Published{}, t: t}
	for _, uid := range people {
		r.Gates.Set(uid, gate.Gate{Exists: true})
	}
	t.Cleanup(mini.Close)
	return r
}

// Instance is one running server.
type Instance struct {
	*server.Server
	Redis     *Network // between this instance and Redis
	publisher *instancePublisher
	rig       *Rig
	listener  *pipeListener
	web       *http.Server
	stop      context.CancelFunc
	done      chan error
	requests  sync.WaitGroup
	once      sync.Once
}

// Start starts an instance that ends with the test. change may alter what it
// is built from; nil leaves it.
func (r *Rig) Start(change func(*server.Deps)) *Instance {
	r.t.Helper()
	return r.start(&Network{}, change)
}

// StartCut is Start of an instance that cannot reach Redis yet.
func (r *Rig) StartCut(change func(*server.Deps)) *Instance {
	r.t.Helper()
	network := &Network{}
	network.Down(true)
	return r.start(network, change)
}

func (r *Rig) start(network *Network, change func(*server.Deps)) *Instance {
	r.t.Helper()
	verifier, err := identity.NewEmulator(Project, func(name string) string {
		return map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "in memory"}[name]
	}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	publisher := &instancePublisher{to: r.Published}
	rdb := redis.NewClient(inbox.Tune(&redis.UniversalOptions{PoolSize: 8, MaxRetries: -1,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return network.dial(r.Mini) }}).Simple())
	deps := server.Deps{Redis: rdb, Gates: r.Gates, Publisher: publisher, Verifier: verifier, Services: Services{},
		Origins: []string{Origin}, Log: slog.New(slog.DiscardHandler),
		Config: server.ClientConfig{APIBase: "/api", RealtimeURL: "wss://chat.example.org/ws"}}
	if change != nil {
		change(&deps)
	}
	srv, err := server.New(deps)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := &Instance{Server: srv, Redis: network, publisher: publisher, rig: r, listener: newPipeListener(), stop: cancel, done: make(chan error, 1)}
	in.web = &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			in.requests.Add(1)
			defer in.requests.Done()
			srv.ServeHTTP(w, r)
		})}
	go func() { _ = in.web.Serve(in.listener) }()
	go func() { in.done <- srv.Run(ctx) }()
	r.t.Cleanup(func() {
		in.Stop()
		_ = rdb.Close()
		// A pool that could not dial looks once a second whether it may go.
		testwait.Advance(2 * time.Second)
	})
	return in
}

// Stop ends the instance in order, within some seconds.
func (in *Instance) Stop() {
	in.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		_ = in.Drain(ctx) // what is left is closed next
		in.halt()
	})
}

// Kill ends the instance as kill -9 does for those around it: connections
// break, nothing is settled, nobody is told.
func (in *Instance) Kill() {
	in.once.Do(func() {
		in.Redis.Down(true)
		in.publisher.dead.Store(true)
		in.listener.breakAll()
		in.halt()
	})
}

func (in *Instance) halt() {
	_ = in.web.Close()
	in.stop()
	if err := <-in.done; err != nil {
		in.rig.t.Errorf("Run: %v", err)
	}
	_ = in.listener.Close()
	in.requests.Wait()
}

// People is the gate.Source of a Rig.
type Gates struct {
	mu    sync.Mutex
	gates map[string]gate.Gate
	down  bool
	delay time.Duration
	asked int
}

// NewPeople returns nobody.
func NewGates() *Gates { return &Gates{gates: map[string]gate.Gate{}} }

// Set makes the gate of uid g.
func (p *Gates) Set(uid string, g gate.Gate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gates[uid] = g
}

// Down makes the source fail, or answer again.
func (p *Gates) Down(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Slow makes the source take d.
func (p *Gates) Slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Asked returns how often the source was asked.
func (p *Gates) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Gate implements gate.Source.
func (p *Gates) Gate(ctx context.Context, uid string) (gate.Gate, error) {
	p.mu.Lock()
	slow := p.delay
	p.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return gate.Gate{}, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.down {
		return gate.Gate{}, problem.ErrUnavailable
	}
	return p.gates[uid], nil
}

// Published is the settle.Publisher of a Rig: it keeps what it is given.
type Published struct {
	mu      sync.Mutex
	batches []delivery.Raw
	fail    error
	delay   time.Duration
}

// Publish implements settle.Publisher.
func (p *Published) Publish(ctx context.Context, data []byte) error {
	p.mu.Lock()
	takes := p.delay
	p.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	b, err := delivery.Decode(data)
	if err != nil {
		return err
	}
	p.batches = append(p.batches, b)
	return nil
}

// instancePublisher is what one instance publishes with; it ends with it.
type instancePublisher struct {
	to   *Published
	dead atomic.Bool
}

func (p *instancePublisher) Publish(ctx context.Context, data []byte) error {
	if p.dead.Load() {
		return errors.New("killed")
	}
	return p.to.Publish(ctx, data)
}

// Fail makes publishing fail with err; nil ends that.
func (p *Published) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// Slow makes publishing take d.
func (p *Published) Slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Batches returns how many batches were published.
func (p *Published) Batches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.batches)
}

// Delivered returns the messages published so far, without repetitions, in
// the order in which they first came.
func (p *Published) Delivered(t testing.TB) []delivery.Delivered {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []delivery.Delivered
	seen := map[string]bool{}
	for _, b := range p.batches {
		for _, raw := range b.Delivered {
			d, err := delivery.DecodeDelivered(raw)
			if err != nil {
				t.Fatalf("published: %v", err)
			}
			if !seen[d.ID] {
				seen[d.ID] = true
				all = append(all, d)
			}
		}
	}
	return all
}

// Messages returns their ids.
func (p *Published) Messages(t testing.TB) []string {
	t.Helper()
	var ids []string
	for _, d := range p.Delivered(t) {
		ids = append(ids, d.ID)
	}
	return ids
}

// Reads returns the read marks published so far.
func (p *Published) Reads(t testing.TB) []delivery.Read {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var reads []delivery.Read
	for _, b := range p.batches {
		for _, raw := range b.Read {
			r, err := delivery.DecodeRead(raw)
			if err != nil {
				t.Fatalf("published: %v", err)
			}
			reads = append(reads, r)
		}
	}
	return reads
}

// Token returns an ID token of uid that was issued now and lives for an hour,
// changed by the given claims.
func Token(uid string, change map[string]any) string {
	now := time.Now()
	c := jwt.MapClaims{"iss": "https://securetoken.google.com/" + Project, "aud": Project, "sub": uid,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Unix()}
	for k, v := range change {
		c[k] = v
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodNone, c).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		panic(err)
	}
	return s
}

// describe shortens a frame for a message.
func describe(data []byte) string {
	const most = 300
	if len(data) > most {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(string(data[:most]), "?"), len(data))
	}
	return string(data)
}
