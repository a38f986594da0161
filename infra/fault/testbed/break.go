package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// What follows breaks and mends parts. Methods block until the part is as
// they say; one caller at a time.

// Instances returns how many instances there are.
func (tb *Testbed) Instances() int { return len(tb.instances) }

// Route lets new sockets in to instance n, or sends them elsewhere.
func (tb *Testbed) Route(n int, open bool) { tb.instances[n].open.Store(open) }

// KillInstance ends instance n without a warning.
func (tb *Testbed) KillInstance(n int) { tb.instances[n].kill() }

// StartInstance starts instance n again.
func (tb *Testbed) StartInstance(ctx context.Context, n int) error { return tb.instances[n].start(ctx) }

// Terminate sends instance n SIGTERM and waits for its end, which must come in
// 10 s and be clean; it returns how long that took.
func (tb *Testbed) Terminate(n int) (time.Duration, error) { return tb.instances[n].terminate() }

// KillRedis ends Redis without a warning. What it acknowledged is in its
// append-only file, since the machine did not fail.
func (tb *Testbed) KillRedis() { tb.redis.kill() }

// StartRedis starts it again on what it had.
func (tb *Testbed) StartRedis(ctx context.Context) error { return tb.redis.start(ctx) }

// ReplaceRedis ends Redis and starts an empty one in its place.
func (tb *Testbed) ReplaceRedis(ctx context.Context) error {
	tb.redis.kill()
	if err := os.RemoveAll(filepath.Join(tb.redis.dir, "appendonlydir")); err != nil {
		return err
	}
	return tb.redis.start(ctx)
}

// PauseRedis stops Redis from running until ResumeRedis.
func (tb *Testbed) PauseRedis() error { return tb.redis.pause() }

// ResumeRedis lets it go on.
func (tb *Testbed) ResumeRedis() error { return tb.redis.resume() }

// WipeRedis empties Redis while it runs.
func (tb *Testbed) WipeRedis(ctx context.Context) error { return tb.redis.do(ctx, "FLUSHALL") }

// SeverReplica stops the replica from getting what is written from here on.
func (tb *Testbed) SeverReplica() error {
	if tb.replica == nil {
		return errors.New("this stage has no replica")
	}
	tb.replication.cut()
	return nil
}

// FailOver ends the primary, makes the replica the primary and leads all
// instances there, and then starts the old primary again as its replica.
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

// Ways to break the connection of an instance to Redis.
const (
	Cut  = "cut"  // connections end, new ones are refused
	Slow = "slow" // everything takes some hundred milliseconds longer, each way
	Deaf = "deaf" // connections stand, and nothing comes through
)

// BreakLink breaks the connection of instance n to Redis until MendLink.
func (tb *Testbed) BreakLink(n int, how string) error {
	l := tb.instances[n].link
	switch how {
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
	return fmt.Errorf("no way %q to break a link", how)
}

// MendLink undoes BreakLink.
func (tb *Testbed) MendLink(n int) error { return tb.instances[n].link.heal() }

// Publishing sets what is wrong with publishing; the zero value is nothing.
func (tb *Testbed) SetPublishFault(f PublishFault) { tb.queue.publishing.Store(&f) }

// Pushing sets what is wrong with calls of persist; the zero value is nothing.
func (tb *Testbed) SetPushFault(f PushFault) { tb.queue.pushing.Store(&f) }

// StoreDown makes the store fail; see archive.Archive.Down.
func (tb *Testbed) StoreDown(down, half bool) { tb.archive.Down(down, half) }
