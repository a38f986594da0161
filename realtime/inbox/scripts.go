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

// scripts are the scripts of this package, with the limits of one Inboxes in their texts.
type scripts struct {
	// on an inbox; the scripts that know of removed messages have removed:{uid} as their last key
	enqueue, append, attach, read, unsettled, settle, peek, waiting, remove, withdraw, acquaint *script.Script
	// on other keys
	reach, heal, claim *script.Script
}

func newScripts(o *Options) scripts {
	t, l := &o.tuning, &o.Limits
	common := script.Constants{"keep_events": t.KeepEvents, "keep_ms": t.KeepFor.Milliseconds(),
		"keep_most": t.KeepAtMost, "keep_bytes": t.KeepBytes, "expire_ms": expire.Milliseconds(),
		"max_entries": t.MaxEntries, "peers_ms": keepPeers.Milliseconds(), "max_peers": t.MaxPeers}
	exceeds := script.Constants{"exceeds": true, "counter_of": 0}
	fails := script.Constants{"exceeds": false, "counter_of": 0}
	onInbox := func(own script.Constants, name string) *script.Script {
		return script.LoadPrimary(luaFiles, common.With(own), "inbox", name)
	}
	onReadInbox := func(own script.Constants, names ...string) *script.Script {
		return script.LoadPrimary(luaFiles, common.With(exceeds).With(own), append([]string{"inbox", "removed"}, names...)...)
	}
	limits := script.Constants{"exceeds": false, "counter_of": 4, "max_all": l.Messages, "max_all_bytes": l.Bytes,
		"max_from": l.PairMessages, "max_from_bytes": l.PairBytes,
		"max_stranger": l.StrangerMessages, "max_stranger_bytes": l.StrangerBytes,
		"check_gate": o.Gates != nil, "waits": o.ReplicaWait > 0}
	kept := script.Constants{"keep_removed": keepRemoved.Milliseconds(), "max_removed": maxRemoved,
		"max_removed_bytes": maxRemovedBytes, "presence_lag": presenceLag.Milliseconds()}
	return scripts{
		enqueue: onInbox(limits, "enqueue"),
		append:  onInbox(exceeds.With(script.Constants{"out_ms": keepOut.Milliseconds()}), "append"),
		attach: onReadInbox(script.Constants{"keep_devices": keepDevices.Milliseconds(), "max_devices": maxDevices},
			"page", "attach"),
		read:      onReadInbox(nil, "page", "read"),
		unsettled: onReadInbox(nil, "unsettled"),
		settle:    onReadInbox(nil, "settle"),
		peek:      onInbox(exceeds, "peek"),
		waiting:   onInbox(exceeds, "waiting"),
		remove:    onReadInbox(nil, "remove"),
		withdraw:  onReadInbox(kept, "withdraw"),
		acquaint:  onInbox(fails, "acquaint"),
		reach:     script.Load(luaFiles, nil, "reach"),
		heal:      script.Load(luaFiles, nil, "heal"),
		claim:     script.Load(luaFiles, nil, "claim"),
	}
}

// Keys of a user. The hash tag keeps them on one node of a cluster.
func inboxKey(uid string) string   { return "inbox:{" + uid + "}" }
func metaKey(uid string) string    { return "meta:{" + uid + "}" }
func pendingKey(uid string) string { return "pending:{" + uid + "}" }
func peersKey(uid string) string   { return "peers:{" + uid + "}" }
func markedKey(uid string) string  { return "marked:{" + uid + "}" }
func devicesKey(uid string) string { return "devices:{" + uid + "}" }
func outKey(uid string) string     { return "out:{" + uid + "}" }
func reachKey(uid string) string   { return "reach:{" + uid + "}" }
func removedKey(uid string) string { return "removed:{" + uid + "}" }
func gateKey(uid string) string    { return "gate:{" + uid + "}" }

// presenceKey is a key of package presence.
func presenceKey(uid string) string { return "presence:{" + uid + "}" }

// sendsKey is the key of the number of messages that a user has sent in one minute since 1970.
func sendsKey(uid string, minute int64) string {
	return "sends:{" + uid + "}:" + strconv.FormatInt(minute, 10)
}

func wakeChannel(uid string) string { return "wake:{" + uid + "}" }

// call prepares a run on one user's inbox. The common argument comes before args, the script's own.
func (boxes *Inboxes) call(sc *script.Script, uid string, args ...any) script.Call {
	all := make([]any, 0, 1+len(args))
	keys := make([]string, 5, 8)
	keys[0], keys[1], keys[2], keys[3] = inboxKey(uid), metaKey(uid), pendingKey(uid), peersKey(uid)
	keys[4] = markedKey(uid)
	return script.Call{Script: sc, Keys: keys, Args: append(append(all, freshNonce()), args...)}
}

// callReader prepares a run of a script that knows of removed messages.
func (boxes *Inboxes) callReader(sc *script.Script, uid string, args ...any) script.Call {
	c := boxes.call(sc, uid, args...)
	c.Keys = append(c.Keys, removedKey(uid))
	return c
}

// freshNonce returns a random nonce, for an inbox that a script creates.
func freshNonce() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// runScript runs one script.
func (boxes *Inboxes) runScript(ctx context.Context, c script.Call) (any, error) {
	r := boxes.run(ctx, c)[0]
	return r.Value, r.Err
}

// run runs scripts and commands in about one round trip.
func (boxes *Inboxes) run(ctx context.Context, calls ...script.Call) []script.Result {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results := boxes.runner.RunAll(ctx, calls)
	for i, r := range results {
		if r.Err != nil {
			results[i].Err = boxes.classifyError(r.Err)
		}
	}
	return results
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
