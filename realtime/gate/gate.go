// Package gate answers whether a user exists, may come in, and whom the user
// has blocked. It keeps the answers in Redis (gate:{uid}, 24 h), fills them
// from a [Source] where they are missing, and tells every instance when one
// changes.
//
// Inboxes.Enqueue reads the recipient's gate inside its own script; Get is
// for hello (the own gate) and for hints.
package gate

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Gate is what is known of a user. Values are not changed once made.
type Gate struct {
	Exists     bool
	Disabled   bool
	ValidAfter time.Time // tokens of a sign-in before it are ended (whole seconds count); zero: none are
	Blocked    []string  // uids that may not write to the user
}

// Blocks reports whether the user has blocked uid.
func (g Gate) Blocks(uid string) bool { return slices.Contains(g.Blocked, uid) }

// Admit reports whether the user may hold a socket with a token whose
// auth_time is authTime: problem.ErrDeleted, problem.ErrDisabled or
// problem.ErrTokenEnded where not.
func (g Gate) Admit(authTime time.Time) error {
	switch {
	case !g.Exists:
		return problem.ErrDeleted
	case g.Disabled:
		return problem.ErrDisabled
	case !g.ValidAfter.IsZero() && authTime.Unix() < g.ValidAfter.Unix():
		return problem.ErrTokenEnded
	}
	return nil
}

func (g Gate) equal(o Gate) bool {
	return g.Exists == o.Exists && g.Disabled == o.Disabled && g.ValidAfter.Equal(o.ValidAfter) &&
		slices.Equal(g.Blocked, o.Blocked)
}

// Source is where gates come from: the users' documents.
type Source interface {
	// Gate returns the gate of uid, with Exists false for an unknown one (no
	// error), as it stands now: never from a cache. It must end when ctx does.
	// Errors are passing faults. It is called by several goroutines at once.
	Gate(ctx context.Context, uid string) (Gate, error)
}

// Options of Gates. Zero values take the defaults named.
type Options struct {
	Subscriber *redissub.Subscriber // needed
	Now        func() time.Time     // time.Now
	Log        *slog.Logger         // slog.Default()
	Timeout    time.Duration        // of one operation; 3 s
	Expire     time.Duration        // of a gate in Redis; 24 h
	Unknown    time.Duration        // of a gate in Redis that the Source did not know: the document may follow; 30 s
	Keep       time.Duration        // in this process; 3 s
	Recheck    time.Duration        // how often watched gates are read again, since a notice can be lost without a trace; 30 s
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		v        *time.Duration
		standard time.Duration
	}{{&o.Timeout, 3 * time.Second}, {&o.Expire, 24 * time.Hour}, {&o.Unknown, 30 * time.Second},
		{&o.Keep, 3 * time.Second}, {&o.Recheck, 30 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.standard
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

//go:embed lua/*.lua
var luaFiles embed.FS

var (
	fillScript    = script.Load(luaFiles, "fill")
	changedScript = script.Load(luaFiles, "changed")
)

// channel carries the uid of every gate that changed. Changes are rare, so
// one channel tells all instances of all of them.
const channel = "gates"

// maxKept bounds the gates in this process.
const maxKept = 10_000

func key(uid string) string { return "gate:{" + uid + "}" }

// Gates is safe for use by many goroutines.
type Gates struct {
	// fixed after construction
	rdb    redis.UniversalClient
	source Source
	opts   Options
	poke   chan struct{} // has a value when due is not empty
	flight singleflight.Group

	n counts

	// guarded by mu
	mu      sync.Mutex
	kept    map[string]kept
	changes int // noticed: what was read before one of them is not kept
	watched map[string]map[*watch]struct{}
	due     map[string]struct{} // watched uids to read again
}

type kept struct {
	gate  Gate
	until time.Time
}

type watch struct {
	fn    func(Gate)
	known bool // guarded by Gates.mu, as last
	last  Gate
}

type counts struct{ hits, redisHits, fills, fillErrors, changes, lost, rechecked atomic.Int64 }

// Counters are counts since the start of this instance.
type Counters struct {
	Hits, RedisHits, Fills, FillErrors int64 // answered here; by Redis; by the Source; the Source failed
	Changes, Lost, Rechecked           int64 // notices received; times that notices may have been lost; gates read again
}

// New returns Gates, which hear of changes while Run runs.
func New(rdb redis.UniversalClient, source Source, opts Options) *Gates {
	opts.setDefaults()
	return &Gates{rdb: rdb, source: source, opts: opts, poke: make(chan struct{}, 1), kept: map[string]kept{},
		watched: map[string]map[*watch]struct{}{}, due: map[string]struct{}{}}
}

// Snapshot returns the counters.
func (g *Gates) Snapshot() Counters {
	n := &g.n
	return Counters{Hits: n.hits.Load(), RedisHits: n.redisHits.Load(), Fills: n.fills.Load(), FillErrors: n.fillErrors.Load(),
		Changes: n.changes.Load(), Lost: n.lost.Load(), Rechecked: n.rechecked.Load()}
}

// Get returns the gate of uid: from this process (Options.Keep old at most),
// else from Redis, else from the Source. The error is problem.ErrUnavailable.
func (g *Gates) Get(ctx context.Context, uid string) (Gate, error) {
	g.mu.Lock()
	k, ok := g.kept[uid]
	g.mu.Unlock()
	if ok && g.opts.Now().Before(k.until) {
		g.n.hits.Add(1)
		return k.gate, nil
	}
	return g.shared(ctx, uid)
}

// Fill makes sure that gate:{uid} stands in Redis. It makes Gates an inbox.Gates.
func (g *Gates) Fill(ctx context.Context, uid string) error {
	_, err := g.shared(ctx, uid)
	return err
}

// shared looks uid up once for all who ask at the same time. The look-up goes on
// when one of them gives up.
func (g *Gates) shared(ctx context.Context, uid string) (Gate, error) {
	ch := g.flight.DoChan(uid, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opts.Timeout)
		defer cancel()
		return g.load(ctx, uid)
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return Gate{}, problem.ErrUnavailable.WithCause(r.Err)
		}
		return r.Val.(Gate), nil
	case <-ctx.Done():
		return Gate{}, problem.ErrUnavailable.WithCause(context.Cause(ctx))
	}
}

// load reads the gate from Redis, and fills it from the Source where it is missing.
func (g *Gates) load(ctx context.Context, uid string) (Gate, error) {
	g.mu.Lock()
	changes := g.changes
	g.mu.Unlock()
	values, err := g.rdb.HMGet(ctx, key(uid), fields...).Result()
	if err != nil {
		return Gate{}, fmt.Errorf("read the gate of %s: %w", uid, err)
	}
	gate, err := decode(values)
	switch {
	case err == nil:
		g.n.redisHits.Add(1)
	case errors.Is(err, errMissing):
		if gate, err = g.fill(ctx, uid); err != nil {
			return Gate{}, err
		}
	default:
		// Not written by us. The source is right; the next change mends Redis.
		g.opts.Log.Error("a gate in redis cannot be read", "uid", uid, "err", err)
		if gate, err = g.source.Gate(ctx, uid); err != nil {
			return Gate{}, fmt.Errorf("read the gate of %s from its source: %w", uid, err)
		}
	}
	g.keep(uid, gate, changes)
	return gate, nil
}

func (g *Gates) fill(ctx context.Context, uid string) (Gate, error) {
	gate, err := g.source.Gate(ctx, uid)
	if err != nil {
		g.n.fillErrors.Add(1)
		return Gate{}, fmt.Errorf("read the gate of %s from its source: %w", uid, err)
	}
	g.n.fills.Add(1)
	expire := g.opts.Expire
	if !gate.Exists {
		expire = g.opts.Unknown
	}
	values, err := fillScript.Run(ctx, g.rdb, []string{key(uid)}, append(encode(gate), expire.Milliseconds())...).Slice()
	if err != nil {
		return Gate{}, fmt.Errorf("store the gate of %s: %w", uid, err)
	}
	return decode(values) // a change may have come first
}

// keep keeps gate, read when so many changes were noticed, in this process for a moment.
func (g *Gates) keep(uid string, gate Gate, changes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if changes != g.changes {
		return // it may be the one from before
	}
	if len(g.kept) >= maxKept {
		clear(g.kept) // it is seconds' worth
	}
	g.kept[uid] = kept{gate, g.opts.Now().Add(g.opts.Keep)}
}

// Changed stores the new gate of uid, whatever stood there, and tells every
// instance. One round trip. The error is problem.ErrUnavailable; it may be
// repeated.
func (g *Gates) Changed(ctx context.Context, uid string, gate Gate) error {
	ctx, cancel := context.WithTimeout(ctx, g.opts.Timeout)
	defer cancel()
	args := append(encode(gate), g.opts.Expire.Milliseconds(), channel, uid)
	if err := changedScript.Run(ctx, g.rdb, []string{key(uid)}, args...).Err(); err != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("store the gate of %s: %w", uid, err))
	}
	g.noticed(uid) // here at once
	return nil
}

var fields = []string{"exists", "disabled", "valid_after", "blocked"}

var errMissing = errors.New("not in redis")

// encode returns the values of fields.
func encode(g Gate) []any {
	flag := map[bool]string{true: "1", false: "0"}
	var micros int64
	if !g.ValidAfter.IsZero() {
		micros = g.ValidAfter.UnixMicro()
	}
	blocked := g.Blocked
	if blocked == nil {
		blocked = []string{}
	}
	list, err := json.Marshal(blocked)
	if err != nil { // strings: cannot happen
		panic(err)
	}
	return []any{flag[g.Exists], flag[g.Disabled], micros, list}
}

func decode(values []any) (Gate, error) {
	if len(values) != len(fields) {
		return Gate{}, fmt.Errorf("%d fields", len(values))
	}
	if values[0] == nil {
		return Gate{}, errMissing
	}
	var s [4]string
	for i, v := range values {
		s[i], _ = v.(string)
	}
	g := Gate{Exists: s[0] == "1", Disabled: s[1] == "1"}
	micros, err := strconv.ParseInt(s[2], 10, 64)
	if err != nil {
		return Gate{}, fmt.Errorf("valid_after: %w", err)
	}
	if micros != 0 {
		g.ValidAfter = time.UnixMicro(micros).UTC()
	}
	if err := json.Unmarshal([]byte(s[3]), &g.Blocked); err != nil {
		return Gate{}, fmt.Errorf("blocked: %w", err)
	}
	if len(g.Blocked) == 0 {
		g.Blocked = nil
	}
	return g, nil
}
