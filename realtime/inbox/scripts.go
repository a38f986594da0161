package inbox

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// A script on an inbox is three files in a row: what shard it runs on, the
// common part, and its own.
func inboxScript(name string) *redis.Script { return script.Load(luaFiles, "shard", "inbox", name) }

var (
	enqueueScript   = inboxScript("enqueue")
	appendScript    = inboxScript("append")
	attachScript    = inboxScript("attach")
	readScript      = inboxScript("read")
	unsettledScript = inboxScript("unsettled")
	settleScript    = inboxScript("settle")
	peekScript      = inboxScript("peek")
	waitingScript   = inboxScript("waiting")
	removeScript    = inboxScript("remove")
	probeScript     = script.Load(luaFiles, "shard", "probe")
)

// Keys of a user; the hash tag keeps them on one node of a cluster.
func inboxKey(uid string) string    { return "inbox:{" + uid + "}" }
func metaKey(uid string) string     { return "meta:{" + uid + "}" }
func pendingKey(uid string) string  { return "pending:{" + uid + "}" }
func gateKey(uid string) string     { return "gate:{" + uid + "}" }
func wakeChannel(uid string) string { return "wake:{" + uid + "}" }

// call prepares a run on one user's inbox: the common arguments, then the script's own.
func (x *Inboxes) call(sc *redis.Script, uid string, mayExceed bool, args ...any) script.Call {
	exceed := "0"
	if mayExceed {
		exceed = "1"
	}
	o := &x.opts
	all := make([]any, 0, 8+len(args))
	all = append(all, freshLife(), wakeChannel(uid), o.KeepEvents, o.KeepFor.Milliseconds(), o.KeepAtMost,
		o.Expire.Milliseconds(), o.MaxEntries, exceed)
	return script.Call{Script: sc, Keys: []string{inboxKey(uid), metaKey(uid), pendingKey(uid)}, Args: append(all, args...)}
}

func freshLife() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// run runs one script.
func (x *Inboxes) run(ctx context.Context, c script.Call) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	v, err := c.Run(ctx, x.rdb)
	if err != nil {
		return nil, x.unavailable(err)
	}
	return v, nil
}

// runAll runs scripts in one pipeline.
func (x *Inboxes) runAll(ctx context.Context, calls []script.Call) ([]any, []error) {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	values, errs := script.RunAll(ctx, x.rdb, calls)
	for i, err := range errs {
		if err != nil {
			errs[i] = x.unavailable(err)
		}
	}
	return values, errs
}

// passing are the beginnings of Redis errors that time or another node mends.
var passing = []string{"OOM", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY",
	"NOREPLICAS", "MISCONF", "NOAUTH", "WRONGPASS", "UNBLOCKED", "NOSCRIPT"}

// unavailable translates an error of Redis: what passes is
// problem.ErrUnavailable, what is wrong with the data or the script is internal.
func (x *Inboxes) unavailable(err error) error {
	var redisErr redis.Error
	if errors.As(err, &redisErr) {
		for _, p := range passing {
			if redis.HasErrorPrefix(err, p) || strings.Contains(err.Error(), p+" ") {
				x.n.unavailable.Add(1)
				return problem.ErrUnavailable.WithCause(err)
			}
		}
		if !isNetwork(err) {
			x.opts.Log.Error("redis refused a script", "err", err)
			return problem.Wrap(err, problem.Internal, "internal", "Something went wrong on our side. Try again.").
				WithRetry(problem.ErrUnavailable.RetryAfter)
		}
	}
	x.n.unavailable.Add(1)
	return problem.ErrUnavailable.WithCause(err)
}

func isNetwork(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// reply reads the array that a script answered.
type reply struct {
	list []any
	err  error
}

func newReply(v any, fields int) reply {
	list, ok := v.([]any)
	if !ok || len(list) < fields {
		return reply{make([]any, fields), fmt.Errorf("script answered %T with %d fields, want %d", v, len(list), fields)}
	}
	return reply{list, nil}
}

func (r *reply) str(i int) string {
	s, ok := r.list[i].(string)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("script answered %T in field %d, want a string", r.list[i], i)
	}
	return s
}

func (r *reply) id(i int) ID {
	s := r.str(i)
	if s == "" {
		return ID{}
	}
	id, err := ParseID(s)
	if err != nil && r.err == nil {
		r.err = err
	}
	return id
}

func (r *reply) int(i int) int64 {
	switch v := r.list[i].(type) {
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	}
	if r.err == nil {
		r.err = fmt.Errorf("script answered %v in field %d, want a number", r.list[i], i)
	}
	return 0
}

// broken is the error of an answer that makes no sense: someone else wrote the keys.
func (r *reply) broken() error {
	if r.err == nil {
		return nil
	}
	return problem.Wrap(r.err, problem.Internal, "internal", "Something went wrong on our side. Try again.").
		WithRetry(problem.ErrUnavailable.RetryAfter)
}
