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

// loadInboxScript returns a script on an inbox. It consists of three files: the epoch of the primary, the common part,
// and the script's own part.
func loadInboxScript(name string) *redis.Script {
	return script.Load(luaFiles, "primary", "inbox", name)
}

// loadReaderScript returns a script on an inbox that knows of removed messages. Its last key is removed:{uid}.
func loadReaderScript(name string) *redis.Script {
	return script.Load(luaFiles, "primary", "inbox", "removed", name)
}

var (
	enqueueScript   = loadInboxScript("enqueue")
	appendScript    = loadInboxScript("append")
	attachScript    = loadReaderScript("attach")
	readScript      = loadReaderScript("read")
	unsettledScript = loadReaderScript("unsettled")
	settleScript    = loadReaderScript("settle")
	peekScript      = loadInboxScript("peek")
	waitingScript   = loadInboxScript("waiting")
	removeScript    = loadReaderScript("remove")
	withdrawScript  = loadReaderScript("withdraw")
	acquaintScript  = loadInboxScript("acquaint")
	reachScript     = script.Load(luaFiles, "reach")
	healScript      = script.Load(luaFiles, "heal")
	claimScript     = script.Load(luaFiles, "claim")
	probeScript     = script.Load(luaFiles, "primary", "probe")
)

// Keys of a user. The hash tag keeps them on one node of a cluster.
func inboxKey(uid string) string    { return "inbox:{" + uid + "}" }
func metaKey(uid string) string     { return "meta:{" + uid + "}" }
func pendingKey(uid string) string  { return "pending:{" + uid + "}" }
func peersKey(uid string) string    { return "peers:{" + uid + "}" }
func outKey(uid string) string      { return "out:{" + uid + "}" }
func reachKey(uid string) string    { return "reach:{" + uid + "}" }
func removedKey(uid string) string  { return "removed:{" + uid + "}" }
func gateKey(uid string) string     { return "gate:{" + uid + "}" }
func wakeChannel(uid string) string { return "wake:{" + uid + "}" }

// call prepares a run on one user's inbox. The common arguments come before args, the script's own.
func (boxes *Inboxes) call(sc *redis.Script, uid string, mayExceed bool, args ...any) script.Call {
	t := &boxes.opts.tuning
	all := make([]any, 0, 11+len(args))
	all = append(all, freshNonce(), wakeChannel(uid), t.KeepEvents, t.KeepFor.Milliseconds(), t.KeepAtMost, t.KeepBytes,
		expire.Milliseconds(), t.MaxEntries, flag(mayExceed), keepPeers.Milliseconds(), t.MaxPeers)
	keys := []string{inboxKey(uid), metaKey(uid), pendingKey(uid), peersKey(uid)}
	return script.Call{Script: sc, Keys: keys, Args: append(all, args...)}
}

// callReader prepares a run of a script that knows of removed messages.
func (boxes *Inboxes) callReader(sc *redis.Script, uid string, args ...any) script.Call {
	c := boxes.call(sc, uid, true, args...)
	c.Keys = append(c.Keys, removedKey(uid))
	return c
}

// freshNonce returns a random nonce, for an inbox that a script creates.
func freshNonce() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// run runs one script.
func (boxes *Inboxes) runScript(ctx context.Context, c script.Call) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v, err := c.Run(ctx, boxes.rdb)
	if err != nil {
		return nil, boxes.classifyError(err)
	}
	return v, nil
}

// runReplicated runs one script. With Options.ReplicaWait it waits for a replica, and reports whether one has what the
// script wrote; otherwise it reports true.
func (boxes *Inboxes) runReplicated(ctx context.Context, c script.Call) (v any, replicated bool, err error) {
	if boxes.opts.ReplicaWait <= 0 {
		v, err = boxes.runScript(ctx, c)
		return v, true, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v, replicas, err := c.RunAndWait(ctx, boxes.rdb, boxes.opts.ReplicaWait)
	if err != nil {
		return nil, false, boxes.classifyError(err)
	}
	return v, replicas > 0, nil
}

// runAll runs scripts in one pipeline.
func (boxes *Inboxes) runScripts(ctx context.Context, calls []script.Call) ([]any, []error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	values, errs := script.RunAll(ctx, boxes.rdb, calls)
	for i, err := range errs {
		if err != nil {
			errs[i] = boxes.classifyError(err)
		}
	}
	return values, errs
}

// transientErrors lists the prefixes of Redis errors that a retry, or another node, resolves.
var transientErrors = []string{"OOM", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
	"BUSY", "NOREPLICAS", "MISCONF", "NOAUTH", "WRONGPASS", "UNBLOCKED", "NOSCRIPT"}

// classifyError translates an error of Redis. A transient error becomes problem.ErrUnavailable. An error caused by the
// data or the script is internal.
func (boxes *Inboxes) classifyError(err error) error {
	var redisErr redis.Error
	if errors.As(err, &redisErr) {
		for _, prefix := range transientErrors {
			if redis.HasErrorPrefix(err, prefix) || strings.Contains(err.Error(), prefix+" ") {
				boxes.counters.Unavailable.Add(1)
				return problem.ErrUnavailable.WithCause(err)
			}
		}
		if !isNetwork(err) {
			boxes.opts.Log.Error("redis rejected a script", "error", err)
			return internalError(err)
		}
	}
	boxes.counters.Unavailable.Add(1)
	return problem.ErrUnavailable.WithCause(err)
}

// internalError hides err from the user and allows a retry.
func internalError(err error) error {
	return problem.Wrap(err, problem.Internal, "internal", "Something went wrong on our side. Try again.").
		WithRetry(problem.ErrUnavailable.RetryAfter)
}

func isNetwork(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// reply decodes the array that a script returned. err is the first decoding error.
type reply struct {
	list []any
	err  error
}

func newReply(v any, fields int) reply {
	list, ok := v.([]any)
	if !ok || len(list) < fields {
		return reply{make([]any, fields), fmt.Errorf("script returned %T with %d fields, want %d", v, len(list), fields)}
	}
	return reply{list, nil}
}

func (r *reply) str(i int) string {
	s, ok := r.list[i].(string)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("script returned %T in field %d, want a string", r.list[i], i)
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
		r.err = fmt.Errorf("script returned %v in field %d, want a number", r.list[i], i)
	}
	return 0
}

// failure returns the decoding error, if any. It is internal: another program has written the keys.
func (r *reply) failure() error {
	if r.err == nil {
		return nil
	}
	return internalError(r.err)
}
