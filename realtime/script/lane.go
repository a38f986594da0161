package script

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// lane is a connection to a node. It is used by one goroutine at a time. Since a connection never changes to another
// process, the epoch that a probe has returned on it stays valid, except if the node ceases to be the primary and is
// promoted again; see lua/primary.lua.
type lane struct {
	node *node
	conn *redis.Conn // nil: it has no connection yet, or it broke
	used time.Time   // when the last batch was answered

	epoch    string
	until    string    // until when epoch is valid by the clock of the server, ms
	verified time.Time // when the last probe was sent, by the clock of this process
	doubtful bool      // the node has refused something: it may have ceased to be the primary
}

// attempts limits how often a call is sent whose connection broke. The pause before a repetition grows.
const (
	attempts = 3
	pause    = 10 * time.Millisecond
)

// run runs one batch and finishes all its calls.
func (l *lane) run(batch []*pending) {
	r := l.node.runner
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Timeout)
	defer cancel()
	wanted := batch[:0]
	for _, p := range batch {
		if !p.unwanted() {
			wanted = append(wanted, p)
		}
	}
	for attempt := 1; len(wanted) > 0; attempt++ {
		var err error
		if wanted, err = l.send(ctx, wanted); err == nil {
			return
		}
		l.drop()
		again := attempt < attempts && isBroken(err)
		repeated := wanted[:0]
		for _, p := range wanted {
			if again && !p.Once {
				repeated = append(repeated, p)
			} else {
				p.finish(Result{Err: err})
			}
		}
		if wanted = repeated; len(wanted) > 0 && !sleep(ctx, pause<<(2*(attempt-1))) {
			for i := range wanted {
				wanted[i].finish(Result{Err: err})
			}
			return
		}
	}
}

// sleep pauses for d. It reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isBroken reports whether a connection broke, so that another one may work at once. A server that does not answer in
// time is not asked again: it would do the work twice while it is slow already.
func isBroken(err error) bool {
	var n net.Error
	switch {
	case errors.As(err, &n) && n.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return false
	}
	return true
}

// drop gives up the connection. The pool checks it before anyone uses it again.
func (l *lane) drop() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
	l.conn, l.epoch, l.until, l.doubtful = nil, "", "", false
}

// send sends calls in one round trip, or two if the server does not know a script. It finishes the calls that have an
// answer, and returns the others with the error of the connection, if there are any.
func (l *lane) send(ctx context.Context, calls []*pending) ([]*pending, error) {
	t := &l.node.runner.opts.tuning
	if l.conn != nil && time.Since(l.used) > t.IdleLane {
		l.drop()
	}
	if l.conn == nil {
		l.conn = l.node.client.Conn()
	}
	calls, err := l.exchange(ctx, calls, false)
	if err == nil && len(calls) > 0 {
		calls, err = l.exchange(ctx, calls, true)
	}
	l.used = time.Now()
	if l.doubtful {
		l.drop()
	}
	return calls, err
}

// exchange sends calls in one pipeline, by the hash or the text of their scripts. It returns those that the server does
// not know by their hashes, or all without an answer and the error of the connection.
func (l *lane) exchange(ctx context.Context, calls []*pending, byText bool) ([]*pending, error) {
	opts := &l.node.runner.opts
	pipe := l.conn.Pipeline()
	sent := time.Now()
	epoch, until := l.epoch, l.until
	if epoch == "" || sent.Sub(l.verified) >= opts.tuning.Lease {
		epoch, until = "", "0"
	}
	var probed *redis.Cmd
	if sent.Sub(l.verified) >= opts.tuning.Lease/2 || epoch == "" {
		probed = redis.NewCmd(ctx, (&Call{Script: probe}).args(true, "", "0")...)
		_ = pipe.Process(ctx, probed)
	}
	var epochArg, untilArg any = epoch, until // once for all calls
	commands := make([]*redis.Cmd, len(calls))
	replicate := false
	for i, p := range calls {
		commands[i] = redis.NewCmd(ctx, p.args(byText, epochArg, untilArg)...)
		_ = pipe.Process(ctx, commands[i])
		replicate = replicate || p.Replicate
	}
	var wait *redis.Cmd
	if replicate {
		wait = redis.NewCmd(ctx, "WAIT", 1, opts.ReplicaWait.Milliseconds())
		_ = pipe.Process(ctx, wait)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	left, err := l.finishAll(calls, commands, wait, byText)
	if err == nil && probed != nil {
		l.learn(probed, sent)
	}
	return left, err
}

// finishAll finishes those calls of an exchange that have an answer, and returns the others.
func (l *lane) finishAll(calls []*pending, commands []*redis.Cmd, wait *redis.Cmd, byText bool) (
	left []*pending, broken error) {

	replicas := 0
	var waitErr error
	if wait != nil {
		replicas, waitErr = wait.Int()
	}
	for i := range calls {
		v, err := commands[i].Result()
		switch {
		case calls[i].After && len(left) > 0 && left[len(left)-1].group == calls[i].group &&
			left[len(left)-1].index == calls[i].index-1:
			left = append(left, calls[i]) // the call before it has not run yet
			continue
		case errors.Is(err, redis.Nil):
			err = nil
		case err == nil:
		case !byText && redis.HasErrorPrefix(err, "NOSCRIPT"):
			left = append(left, calls[i])
			continue
		case isMoved(err):
			l.doubtful = true
			l.node.runner.run(func() { l.node.runner.redirect(l.node, calls[i]) })
			continue
		case !isReply(err):
			broken = err
			left = append(left, calls[i])
			continue
		default:
			l.doubtful = true
		}
		if calls[i].Replicate && err == nil {
			err = waitErr
		}
		calls[i].finish(Result{v, replicas, err})
	}
	return left, broken
}

// learn stores the result of a probe.
func (l *lane) learn(probed *redis.Cmd, sent time.Time) {
	list, err := probed.Slice()
	if err != nil {
		l.epoch = ""
		return
	}
	epoch, nowMS, err := readProbe(list)
	if err != nil {
		l.epoch = ""
		return
	}
	l.epoch, l.verified = epoch, sent
	l.until = strconv.FormatInt(nowMS+l.node.runner.opts.tuning.Lease.Milliseconds(), 10)
}

// args returns the command of a call and its arguments: a script by its hash or its text. A script that must know its
// primary gets the epoch, which may be relied on until a time. Keys are pointers to strings, which need no memory.
func (c *Call) args(byText bool, epoch, until any) []any {
	all := make([]any, 0, 5+len(c.Keys)+len(c.Args))
	switch {
	case c.Script == nil:
		all = append(all, c.Command)
	case byText:
		all = append(all, "EVAL", c.Script.text, len(c.Keys))
	default:
		all = append(all, "EVALSHA", c.Script.hash, len(c.Keys))
	}
	for i := range c.Keys {
		all = append(all, &c.Keys[i])
	}
	if c.Script != nil && c.Script.primary {
		all = append(all, epoch, until)
	}
	return append(all, c.Args...)
}

// isReply reports whether err is an answer of the server.
func isReply(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// isMoved reports whether another node of the cluster has the keys.
func isMoved(err error) bool {
	for _, prefix := range []string{"MOVED", "ASK", "TRYAGAIN"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// redirects limits how often a call follows its keys to another node, and movedPause is the time before go-redis is
// asked again whether it knows the other node.
const (
	redirects  = 3
	movedPause = 10 * time.Millisecond
)

// redirect runs one call whose keys another node has, or will have soon.
func (r *Runner) redirect(from *node, p *pending) {
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Timeout)
	defer cancel()
	p.redirects++
	if r.cluster != nil && p.redirects <= redirects {
		r.cluster.ReloadState(ctx) // in the background
		for range 20 {
			client, err := r.cluster.MasterForKey(ctx, p.Keys[0])
			if err == nil && client != from.client {
				r.node(client).add([]*pending{p})
				return
			}
			if !sleep(ctx, movedPause) {
				break
			}
		}
	}
	v, err := r.follow(ctx, p.Call)
	if p.Replicate && err == nil {
		// Nothing can wait on the connection that go-redis has chosen. A repeated send finds the new node.
		err = errMoved
	}
	p.finish(Result{Value: v, Err: err})
}

// follow runs one call as go-redis does, which follows redirections while keys move.
func (r *Runner) follow(ctx context.Context, c Call) (any, error) {
	for _, byText := range []bool{false, true} {
		args := c.args(byText, "", "0")
		for i, a := range args {
			if key, ok := a.(*string); ok {
				args[i] = *key // go-redis finds the node by the text of the key
			}
		}
		cmd := redis.NewCmd(ctx, args...)
		if c.Script != nil {
			cmd.SetFirstKeyPos(3)
		}
		err := r.rdb.Process(ctx, cmd)
		switch {
		case err == nil || errors.Is(err, redis.Nil):
			return cmd.Val(), nil
		case byText || !redis.HasErrorPrefix(err, "NOSCRIPT"):
			return nil, err
		}
	}
	return nil, nil // never reached
}

// errMoved is the error of a call that was to wait for a replica while its keys moved to another node.
var errMoved = errors.New("the keys have moved to another node of the cluster")
