package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The methods in this file break and repair parts. They return when the part is in the new state. One goroutine at a
// time calls them.

// Instances returns how many instances there are.
func (tb *Testbed) Instances() int { return len(tb.instances) }

// Route lets instance n accept new sockets, or directs them to the others.
func (tb *Testbed) Route(n int, open bool) { tb.instances[n].open.Store(open) }

// KillInstance ends instance n without warning.
func (tb *Testbed) KillInstance(n int) { tb.instances[n].kill() }

// StartInstance restarts instance n.
func (tb *Testbed) StartInstance(ctx context.Context, n int) error { return tb.instances[n].start(ctx) }

// Terminate sends SIGTERM to instance n and waits for its end. It returns how long that took. It is an error if the
// process does not end cleanly within 10 s.
func (tb *Testbed) Terminate(n int) (time.Duration, error) { return tb.instances[n].terminate() }

// KillRedis ends Redis without warning. Its append-only file has everything that it acknowledged, since the machine
// did not fail.
func (tb *Testbed) KillRedis() { tb.redis.kill() }

// StartRedis restarts Redis with its append-only file.
func (tb *Testbed) StartRedis(ctx context.Context) error { return tb.redis.start(ctx) }

// ReplaceRedis ends Redis and starts an empty one at the same address.
func (tb *Testbed) ReplaceRedis(ctx context.Context) error {
	tb.redis.kill()
	if err := os.RemoveAll(filepath.Join(tb.redis.dir, "appendonlydir")); err != nil {
		return err
	}
	return tb.redis.start(ctx)
}

// PauseRedis stops the Redis process until ResumeRedis.
func (tb *Testbed) PauseRedis() error { return tb.redis.pause() }

// ResumeRedis lets the Redis process continue.
func (tb *Testbed) ResumeRedis() error { return tb.redis.resume() }

// WipeRedis empties Redis with FLUSHALL.
func (tb *Testbed) WipeRedis(ctx context.Context) error { return tb.redis.do(ctx, "FLUSHALL") }

var errNoReplica = errors.New("this testbed has no replica of redis")

// SeverReplica cuts the replica off from writes of the primary.
func (tb *Testbed) SeverReplica() error {
	if tb.replica == nil {
		return errNoReplica
	}
	tb.replication.cut()
	return nil
}

// FailOver ends the primary, promotes the replica, and redirects all instances to it. Then it restarts the old
// primary as the new replica.
func (tb *Testbed) FailOver(ctx context.Context) error {
	tb.redis.kill()
	if err := tb.replica.promote(ctx); err != nil {
		return err
	}
	tb.redis, tb.replica = tb.replica, tb.redis
	for _, i := range tb.instances {
		if err := i.link.redirect(tb.redis.addr); err != nil {
			return err
		}
	}
	if err := tb.replica.start(ctx); err != nil {
		return err
	}
	if err := tb.replication.heal(); err != nil {
		return err
	}
	if err := tb.replication.redirect(tb.redis.addr); err != nil {
		return err
	}
	return tb.replica.follow(ctx, tb.replication.addr)
}

// Kinds of broken links between an instance and Redis.
const (
	Cut  = "cut"  // connections end, and new ones are refused
	Slow = "slow" // everything takes 300 ms longer, each way
	Deaf = "deaf" // connections stay open, and nothing gets through
)

// BreakLink breaks the link between instance n and Redis until MendLink.
func (tb *Testbed) BreakLink(n int, kind string) error {
	l := tb.instances[n].link
	switch kind {
	case Cut:
		l.cut()
		return nil
	case Slow:
		l.delay(300 * time.Millisecond)
		return nil
	case Deaf:
		l.silence()
		return nil
	}
	return fmt.Errorf("break link: unknown kind %q", kind)
}

// MendLink repairs the link between instance n and Redis.
func (tb *Testbed) MendLink(n int) error { return tb.instances[n].link.heal() }

// SetPublishFault sets the fault of publishing. The zero value repairs it.
func (tb *Testbed) SetPublishFault(f PublishFault) { tb.queue.publishing.Store(&f) }

// SetPushFault sets the fault of pushes to persist. The zero value repairs it.
func (tb *Testbed) SetPushFault(f PushFault) { tb.queue.pushing.Store(&f) }

// StoreDown makes the store fail, or repairs it. See archive.Archive.Down.
func (tb *Testbed) StoreDown(down, afterSave bool) { tb.archive.Down(down, afterSave) }
