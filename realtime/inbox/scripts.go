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
)

//go:embed lua/*.lua
var luaFiles embed.FS

// A script on an inbox is three files in a row: what shard it runs on, the
// common part, and its own.
func inboxScript(name string) *redis.Script { return loadScript("shard", "inbox", name) }

func loadScript(names ...string) *redis.Script {
	var src strings.Builder
	for _, name := range names {
		b, err := luaFiles.ReadFile("lua/" + name + ".lua")
		if err != nil { // embedded: cannot happen
			panic(err)
		}
		src.Write(b)
	}
	return redis.NewScript(src.String())
}

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
	probeScript     = loadScript("shard", "probe")
)

// Keys of a user; the hash tag keeps them on one node of a cluster.
func inboxKey(uid string) string    { return "inbox:{" + uid + "}" }
func metaKey(uid string) string     { return "meta:{" + uid + "}" }
func pendingKey(uid string) string  { return "pending:{" + uid + "}" }
func gateKey(uid string) string     { return "gate:{" + uid + "}" }
func wakeChannel(uid string) string { return "wake:{" + uid + "}" }

// call is one run of a script on one user's inbox.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
}

// call prepares a run: the common arguments, then the script's own.
func (x *Inboxes) call(script *redis.Script, uid string, mayExceed bool, args ...any) call {
	exceed := "0"
	if mayExceed {
		exceed = "1"
	}
	o := &x.opts
	all := make([]any, 0, 8+len(args))
	all = append(all, freshLife(), wakeChannel(uid), o.KeepEvents, o.KeepFor.Milliseconds(), o.KeepAtMost,
		o.Expire.Milliseconds(), o.MaxEntries, exceed)
	return call{script, []string{inboxKey(uid), metaKey(uid), pendingKey(uid)}, append(all, args...)}
}

func freshLife() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// run runs one script: one round trip, but for the first time on a server.
func (x *Inboxes) run(ctx context.Context, c call) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	v, err := c.script.Run(ctx, x.rdb, c.keys, c.args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, x.unavailable(err)
	}
	return v, nil
}

// runAll runs scripts in one pipeline: one round trip (one per node of a
// cluster), but for the first time on a server. Results and errors are in the order of calls.
func (x *Inboxes) runAll(ctx context.Context, calls []call) ([]any, []error) {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	values, errs := make([]any, len(calls)), make([]error, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for _, sha := range []bool{true, false} {
		pipe := x.rdb.Pipeline()
		cmds := make([]*redis.Cmd, len(todo))
		for i, n := range todo {
			c := calls[n]
			if sha {
				cmds[i] = pipe.EvalSha(ctx, c.script.Hash(), c.keys, c.args...)
			} else {
				cmds[i] = c.script.Eval(ctx, pipe, c.keys, c.args...)
			}
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		var unknown []int
		for i, n := range todo {
			v, err := cmds[i].Result()
			switch {
			case err == nil || errors.Is(err, redis.Nil):
				values[n], errs[n] = v, nil
			case sha && redis.HasErrorPrefix(err, "NOSCRIPT"):
				unknown = append(unknown, n)
			default:
				errs[n] = x.unavailable(err)
			}
		}
		if todo = unknown; len(todo) == 0 {
			break
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
