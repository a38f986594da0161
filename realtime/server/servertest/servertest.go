// Package servertest runs whole realtime instances in memory for tests, with miniredis for Redis, pipes for
// connections, the real HTTP server, and the real WebSocket library at both ends. Use it in a testing/synctest bubble:
// its helpers wait a lot.
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
	"testing/synctest"
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

// PoolSize is the greatest number of connections of an instance to Redis, without that of its subscriptions.
const PoolSize = 8

// Rig is one system: a Redis, a publisher that keeps what it receives, the gates of users, and instances that share
// them.
type Rig struct {
	Mini      *miniredis.Miniredis
	Gates     *Gates
	Published *Published
	Notified  *Notified

	// Retries is how often an instance repeats a command whose connection to Redis breaks, without a pause. With 0, such
	// a command fails at once, so that tests meet this failure more often than production does. With PoolSize, it meets a
	// new connection, although the pool cannot see that the others are broken, as it can with TCP. Set it before Start.
	Retries int

	t testing.TB
}

// quiet discards the log of go-redis, which would report the failures that tests provoke.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }

// New returns a Rig without instances. The given users exist.
func New(t testing.TB, uids ...string) *Rig {
	t.Helper()
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true)
	r := &Rig{Mini: mini, Gates: NewGates(), Published: &Published{}, Notified: &Notified{}, t: t}
	for _, uid := range uids {
		r.Gates.Set(uid, gate.Gate{Exists: true})
	}
	t.Cleanup(mini.Close)
	return r
}

// Acquaint makes all of some users have written to each other.
func (r *Rig) Acquaint(uids ...string) {
	for _, a := range uids {
		for _, b := range uids {
			if a != b {
				r.Mini.HSet("peers:{"+a+"}", b, "3")
			}
		}
	}
}

// Instance is one running server.
type Instance struct {
	*server.Server
	Redis     *Network // connects this instance to Redis
	publisher *instancePublisher
	rig       *Rig
	listener  *pipeListener
	web       *http.Server
	stop      context.CancelFunc
	done      chan error
	requests  sync.WaitGroup
	once      sync.Once
}

// Start starts an instance that ends with the test. If change is not nil, it may change the dependencies. The limits of
// waiting messages are generous; for those of production, change sets Inboxes.Limits to the zero value.
func (r *Rig) Start(change func(*server.Deps)) *Instance {
	r.t.Helper()
	return r.start(&Network{}, change)
}

// StartCut is like Start, but the instance cannot reach Redis yet.
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
	retries := r.Retries
	if retries == 0 {
		retries = -1 // none
	}
	rdb := redis.NewClient(inbox.Tune(&redis.UniversalOptions{PoolSize: PoolSize, MaxRetries: retries, MinRetryBackoff: -1,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return network.dial(r.Mini) }}).Simple())
	deps := server.Deps{Redis: rdb, Gates: r.Gates, Publisher: publisher, Notify: r.Notified,
		Verifier: verifier, Services: Services{},
		Origins: []string{Origin}, Log: slog.New(slog.DiscardHandler),
		Config:  server.ClientConfig{APIBase: "/api", RealtimeURL: "wss://chat.example.org/ws"},
		Inboxes: inbox.Options{Limits: inbox.Generous()}}
	if change != nil {
		change(&deps)
	}
	srv, err := server.New(deps)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := &Instance{Server: srv, Redis: network, publisher: publisher, rig: r, listener: newPipeListener(),
		stop: cancel, done: make(chan error, 1)}
	in.web = &http.Server{ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
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
		// A pool of go-redis that cannot connect checks once a second whether it was closed. A script whose caller has given
		// up waits for a slow Redis.
		testwait.Advance(10 * time.Second)
	})
	// Until it has subscribed, because go-redis holds a mutex while it connects. If Redis were slow from the first moment,
	// a goroutine that waits for the mutex would stop the clock of the bubble.
	synctest.Wait()
	return in
}

// Stop shuts the instance down gracefully, within some seconds.
func (in *Instance) Stop() {
	in.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		_ = in.Drain(ctx) // the remaining sockets are closed next
		in.halt()
	})
}

// Kill ends the instance as kill -9 would: connections break, and nothing is settled or reported.
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
	if err := in.Drain(context.Background()); err != nil { // waits for the sockets, whose requests end at the handshake
		in.rig.t.Errorf("Drain: %v", err)
	}
}

// Gates is the gate.Source of a Rig.
type Gates struct {
	mu    sync.Mutex
	gates map[string]gate.Gate
	down  bool
	delay time.Duration
	asked int
}

// NewGates returns a Gates without users.
func NewGates() *Gates { return &Gates{gates: map[string]gate.Gate{}} }

// Set sets the gate of uid.
func (g *Gates) Set(uid string, gg gate.Gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gates[uid] = gg
}

// Down makes the source fail, or work again.
func (g *Gates) Down(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

// Slow delays every answer of the source by d.
func (g *Gates) Slow(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.delay = d
}

// Asked returns how many times the source was asked.
func (g *Gates) Asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// Gate implements gate.Source.
func (g *Gates) Gate(ctx context.Context, uid string) (gate.Gate, error) {
	g.mu.Lock()
	delay := g.delay
	g.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return gate.Gate{}, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	if g.down {
		return gate.Gate{}, problem.ErrUnavailable
	}
	return g.gates[uid], nil
}

// Published is the settle.Publisher of a Rig. It keeps everything that is published.
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

// instancePublisher is the publisher of one instance. It fails after the instance was killed.
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

// Fail makes publishing fail with err, or work again if err is nil.
func (p *Published) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// Slow delays publishing by d.
func (p *Published) Slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Batches returns the number of published batches.
func (p *Published) Batches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.batches)
}

// Repeated returns how many messages were published again.
func (p *Published) Repeated(t testing.TB) (n int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]bool{}
	for _, b := range p.batches {
		for _, raw := range b.Delivered {
			d, err := delivery.DecodeDelivered(raw)
			if err != nil {
				t.Fatal(err)
			}
			key := d.From + "/" + d.ID
			if seen[key] {
				n++
			}
			seen[key] = true
		}
	}
	return n
}

// Delivered returns the messages that were published so far, without repetitions, in the order in which they were first
// published.
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

// Messages returns the ids of the messages that were published so far; see Delivered.
func (p *Published) Messages(t testing.TB) []string {
	t.Helper()
	var ids []string
	for _, d := range p.Delivered(t) {
		ids = append(ids, d.ID)
	}
	return ids
}

// Changes returns the ids of the changes that were published so far, with repetitions.
func (p *Published) Changes(t testing.TB) []string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for _, b := range p.batches {
		for _, raw := range b.Changed {
			c, err := delivery.DecodeChanged(raw)
			if err != nil {
				t.Fatalf("published: %v", err)
			}
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// Reads returns the read marks that were published so far.
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

// Token returns an ID token of uid that is issued now and expires in an hour. change overrides claims.
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

// describe shortens a frame for an error message.
func describe(data []byte) string {
	const limit = 300
	if len(data) > limit {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(string(data[:limit]), "?"), len(data))
	}
	return string(data)
}
