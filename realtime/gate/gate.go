// Package gate answers whether a user exists, whether the user may come in, and whom the user has blocked. It caches
// the answers in Redis (gate:{uid}, 24 h), reads missing ones from a [Source], and notifies every instance of changes.
//
// Inboxes.Enqueue reads the recipient's gate inside its own script, and Inboxes.AttachAdmitted that of a user who comes
// in. Gates.Get is for the other user's gate before a hint is sent.
package gate

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Gate describes what a user may do. Values are immutable.
type Gate struct {
	Exists     bool
	Disabled   bool
	ValidAfter time.Time   // tokens of sign-ins before it are invalid (compared in whole seconds); zero: all are valid
	Ended      []time.Time // later sign-ins (auth_time, in whole seconds) whose tokens are invalid, too
	SignedOut  []time.Time // those of the ended sign-ins whose device was signed out on purpose
	Blocked    []string    // uids that may not write to the user
	Push       bool        // a device of the user is registered for push
	Unverified bool        // the user has not proved that the account's address is theirs

	LimitedUntil time.Time // until then, the user may not write to new people; zero: they may
	Privacy      chat.Privacy
}

// Blocks reports whether the user has blocked uid.
func (g Gate) Blocks(uid string) bool { return slices.Contains(g.Blocked, uid) }

// Admit reports whether the user may hold a socket with a token whose auth_time is authTime. If not, the error is
// problem.ErrDeleted, problem.ErrDisabled, problem.ErrSignedOut or problem.ErrTokenEnded.
func (g Gate) Admit(authTime time.Time) error {
	isIt := func(t time.Time) bool { return t.Unix() == authTime.Unix() }
	switch {
	case !g.Exists:
		return problem.ErrDeleted
	case g.Disabled:
		return problem.ErrDisabled
	case (g.ValidAfter.IsZero() || authTime.Unix() >= g.ValidAfter.Unix()) && !slices.ContainsFunc(g.Ended, isIt):
		return nil
	case slices.ContainsFunc(g.SignedOut, isIt):
		return problem.ErrSignedOut
	}
	return problem.ErrTokenEnded
}

func (g Gate) equal(o Gate) bool {
	return g.Exists == o.Exists && g.Disabled == o.Disabled && g.ValidAfter.Equal(o.ValidAfter) &&
		slices.EqualFunc(g.Ended, o.Ended, time.Time.Equal) &&
		slices.EqualFunc(g.SignedOut, o.SignedOut, time.Time.Equal) && slices.Equal(g.Blocked, o.Blocked) &&
		g.Push == o.Push && g.LimitedUntil.Equal(o.LimitedUntil) && g.Privacy == o.Privacy &&
		g.Unverified == o.Unverified
}

// Source reads gates from the users' documents.
type Source interface {
	// Gate returns the current gate of uid, never a cached one. For an unknown uid it returns a Gate with Exists false
	// and no error. It must return when ctx ends. All errors are retryable. It may be called concurrently.
	Gate(ctx context.Context, uid string) (Gate, error)
}

// Options configure Gates.
type Options struct {
	Subscriber *redissub.Subscriber // required
	Runner     *script.Runner       // shared with inbox; default: a new one
	Now        func() time.Time     // default: time.Now
	Log        *slog.Logger         // default: slog.Default()

	tuning tuning
}

// tuning holds the limits that only tests of this package change. Zero values take the defaults.
type tuning struct {
	Keep, Recheck time.Duration
	MaxCached     int
}

// Defaults and fixed limits; see DESIGN §5.
const (
	timeout = 10 * time.Second // of one operation
	expire  = 24 * time.Hour   // of a gate in Redis
	unknown = 30 * time.Second // of the gate of an unknown user in Redis, because the document may still be created
	keep    = 3 * time.Second  // of a gate in this process
	recheck = 30 * time.Second // interval at which watched gates are read again, because notices can be lost silently

	// maxCached is the largest number of gates in this process.
	maxCached = 10_000
)

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.Default())
	o.tuning.Keep = cmp.Or(o.tuning.Keep, keep)
	o.tuning.Recheck = cmp.Or(o.tuning.Recheck, recheck)
	o.tuning.MaxCached = cmp.Or(o.tuning.MaxCached, maxCached)
}

//go:embed lua/*.lua
var luaFiles embed.FS

var (
	fillScript    = script.Load(luaFiles, nil, "fill")
	changedScript = script.Load(luaFiles, nil, "changed")
)

// changesChannel carries the uid of every gate that changed. Changes are rare, so one channel serves all users.
const changesChannel = "gates"

func gateKey(uid string) string { return "gate:{" + uid + "}" }

// Gates is safe for concurrent use.
type Gates struct {
	// immutable after construction
	rdb      redis.UniversalClient
	source   Source
	opts     Options
	dueAdded chan struct{} // has a value when due is not empty
	flight   singleflight.Group

	counters Counters
	onChange func(uid string) // nil: nobody listens

	// guarded by mu
	mu      sync.Mutex
	cached  map[string]cachedGate
	changes int // number of notices; a gate that was read before the last one is not cached
	watched map[string]map[*watcher]struct{}
	due     map[string]struct{} // watched uids to read again
}

type cachedGate struct {
	gate  Gate
	until time.Time
}

type watcher struct {
	notify func(Gate)
	known  bool // last is set; guarded by Gates.mu, like last
	last   Gate
}

// Counters count what this instance did since it started.
type Counters struct {
	Hits       counter.Count // gates from this process
	RedisHits  counter.Count // gates from Redis
	Fills      counter.Count // gates from the Source
	FillErrors counter.Count // failed reads of the Source
	Changes    counter.Count // notices received
	Lost       counter.Count // times that notices may have been lost
	Rechecked  counter.Count // watched gates read again
}

// New returns Gates. They receive notices of changes while Run runs.
func New(rdb redis.UniversalClient, source Source, opts Options) *Gates {
	opts.setDefaults()
	if opts.Runner == nil {
		opts.Runner = script.NewRunner(rdb, script.Options{})
	}
	return &Gates{rdb: rdb, source: source, opts: opts, dueAdded: make(chan struct{}, 1),
		cached:  map[string]cachedGate{},
		watched: map[string]map[*watcher]struct{}{}, due: map[string]struct{}{}}
}

// OnChange calls notify with the uid of every gate that changed, on any instance, a second or two later. A notice can
// be lost. notify must not block. Call OnChange before Run, once.
func (g *Gates) OnChange(notify func(uid string)) { g.onChange = notify }

// Counters returns the counters of this instance.
func (g *Gates) Counters() *Counters { return &g.counters }

// Get returns the gate of uid: from this process if it is at most 3 s old, else from Redis, else from the Source. The
// error is problem.ErrUnavailable.
func (g *Gates) Get(ctx context.Context, uid string) (Gate, error) {
	g.mu.Lock()
	c, ok := g.cached[uid]
	g.mu.Unlock()
	if ok && g.opts.Now().Before(c.until) {
		g.counters.Hits.Add(1)
		return c.gate, nil
	}
	return g.loadShared(ctx, uid)
}

// Fill writes gate:{uid}, which a script has not found in Redis. It implements inbox.Gates.
func (g *Gates) Fill(ctx context.Context, uid string) error {
	_, err := g.shared(ctx, uid, g.fillFromSource)
	return err
}

// Changes returns the number of notices of changes so far; see Keep.
func (g *Gates) Changes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changes
}

// Keep decodes the fields of gate:{uid} that a script has read (exists, disabled, valid_after, ended, blocked,
// signed_out, push, limited_until, privacy, unverified), and keeps the gate like one that Get has read. changes is what
// Changes returned before the script ran. The error says that another program has written the key; Get then returns the
// right gate.
func (g *Gates) Keep(uid string, values []any, changes int) (Gate, error) {
	gate, err := decode(values)
	if err != nil {
		return Gate{}, err
	}
	g.counters.RedisHits.Add(1)
	g.cacheGate(uid, gate, changes)
	return gate, nil
}

// loadShared is load, once for all concurrent callers.
func (g *Gates) loadShared(ctx context.Context, uid string) (Gate, error) {
	return g.shared(ctx, uid, g.load)
}

// shared calls load once for all concurrent callers. The load continues if one of them gives up.
func (g *Gates) shared(ctx context.Context, uid string,
	load func(ctx context.Context, uid string) (Gate, error)) (Gate, error) {

	ch := g.flight.DoChan(uid, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		return load(ctx, uid)
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

// load reads the gate from Redis, or from the Source if Redis does not have it.
func (g *Gates) load(ctx context.Context, uid string) (Gate, error) {
	changes := g.Changes()
	values, err := g.rdb.HMGet(ctx, gateKey(uid), fields...).Result()
	if err != nil {
		return Gate{}, fmt.Errorf("read the gate of %s: %w", uid, err)
	}
	gate, err := decode(values)
	switch {
	case err == nil:
		g.counters.RedisHits.Add(1)
	case errors.Is(err, errMissing):
		if gate, err = g.fillFromSource(ctx, uid); err != nil {
			return Gate{}, err
		}
	default:
		// Another program has written the key. The Source has the right gate, and the next change overwrites the key.
		g.opts.Log.Error("unreadable gate in redis", "uid", uid, "error", err)
		if gate, err = g.source.Gate(ctx, uid); err != nil {
			return Gate{}, fmt.Errorf("read the gate of %s from its source: %w", uid, err)
		}
	}
	g.cacheGate(uid, gate, changes)
	return gate, nil
}

// fillFromSource reads the gate from the Source and stores it in Redis. It returns the gate that Redis then has.
func (g *Gates) fillFromSource(ctx context.Context, uid string) (Gate, error) {
	gate, err := g.source.Gate(ctx, uid)
	if err != nil {
		g.counters.FillErrors.Add(1)
		return Gate{}, fmt.Errorf("read the gate of %s from its source: %w", uid, err)
	}
	g.counters.Fills.Add(1)
	expiry := expire
	if !gate.Exists {
		expiry = unknown
	}
	args := append(encode(gate), expiry.Milliseconds())
	v, err := g.opts.Runner.Run(ctx, script.Call{Script: fillScript, Keys: []string{gateKey(uid)}, Args: args})
	if err != nil {
		return Gate{}, fmt.Errorf("store the gate of %s: %w", uid, err)
	}
	values, _ := v.([]any)
	return decode(values) // a concurrent change wins
}

// cacheGate keeps a gate in this process. changes is the number of notices when it was read.
func (g *Gates) cacheGate(uid string, gate Gate, changes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if changes != g.changes {
		return // gate may be out of date
	}
	if len(g.cached) >= g.opts.tuning.MaxCached {
		clear(g.cached) // this loses only a few seconds' worth of gates
	}
	g.cached[uid] = cachedGate{gate, g.opts.Now().Add(g.opts.tuning.Keep)}
}

// Changed stores the new gate of uid, whatever Redis has, and notifies every instance. It takes one round trip. The
// error is problem.ErrUnavailable; the call may then be repeated.
func (g *Gates) Changed(ctx context.Context, uid string, gate Gate) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := append(encode(gate), expire.Milliseconds(), changesChannel, uid)
	c := script.Call{Script: changedScript, Keys: []string{gateKey(uid)}, Args: args}
	if _, err := g.opts.Runner.Run(ctx, c); err != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("store the gate of %s: %w", uid, err))
	}
	g.forgetChanged(uid) // this instance need not wait for the notice
	return nil
}

// fields are the fields of gate:{uid}.
var fields = []string{"exists", "disabled", "valid_after", "ended", "blocked", "signed_out", "push", "limited_until",
	"privacy", "unverified"}

var errMissing = errors.New("gate: not in redis")

// encode returns the values of the fields of a gate.
func encode(g Gate) []any {
	flag := map[bool]string{true: "1", false: "0"}
	blocked := g.Blocked
	if blocked == nil {
		blocked = []string{}
	}
	return []any{flag[g.Exists], flag[g.Disabled], micros(g.ValidAfter), list(seconds(g.Ended)), list(blocked),
		list(seconds(g.SignedOut)), flag[g.Push], micros(g.LimitedUntil), encodePrivacy(g.Privacy),
		flag[g.Unverified]}
}

// micros returns t in microseconds, or 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// timeOf is the inverse of micros. "" is 0.
func timeOf(text string) (time.Time, error) {
	n, err := strconv.ParseInt(cmp.Or(text, "0"), 10, 64)
	if err != nil || n == 0 {
		return time.Time{}, err
	}
	return time.UnixMicro(n).UTC(), nil
}

func seconds(times []time.Time) []int64 {
	list := make([]int64, len(times))
	for i, t := range times {
		list[i] = t.Unix()
	}
	return list
}

// list returns a JSON array.
func list[T string | int64](values []T) []byte {
	b, err := json.Marshal(values)
	if err != nil { // strings and numbers can always be encoded
		panic(err)
	}
	return b
}

// times decodes a list of seconds.
func times(text string) (out []time.Time, err error) {
	var list []int64
	err = json.Unmarshal([]byte(text), &list)
	for _, sec := range list {
		out = append(out, time.Unix(sec, 0).UTC())
	}
	return out, err
}

// decode is the inverse of encode. The error is errMissing if there is no gate.
func decode(values []any) (Gate, error) {
	if len(values) != len(fields) {
		return Gate{}, fmt.Errorf("decode gate: %d fields", len(values))
	}
	if values[0] == nil {
		return Gate{}, errMissing
	}
	var s [10]string
	for i, v := range values {
		s[i], _ = v.(string)
	}
	// signed_out and the fields after it are missing in a gate that an older version has written.
	g := Gate{Exists: s[0] == "1", Disabled: s[1] == "1", Push: s[6] == "1", Privacy: ParsePrivacy(s[8]),
		Unverified: s[9] == "1"}
	var err error
	if g.ValidAfter, err = timeOf(s[2]); err != nil {
		return Gate{}, fmt.Errorf("decode gate: valid_after: %w", err)
	}
	if g.LimitedUntil, err = timeOf(s[7]); err != nil {
		return Gate{}, fmt.Errorf("decode gate: limited_until: %w", err)
	}
	if g.Ended, err = times(s[3]); err != nil {
		return Gate{}, fmt.Errorf("decode gate: ended: %w", err)
	}
	if s[5] != "" {
		if g.SignedOut, err = times(s[5]); err != nil {
			return Gate{}, fmt.Errorf("decode gate: signed_out: %w", err)
		}
	}
	if err := json.Unmarshal([]byte(s[4]), &g.Blocked); err != nil {
		return Gate{}, fmt.Errorf("decode gate: blocked: %w", err)
	}
	if len(g.Blocked) == 0 {
		g.Blocked = nil
	}
	return g, nil
}
