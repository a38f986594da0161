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
func (s *Testbed) Instances() int { return len(s.instances) }

// Route lets new sockets in to instance n, or sends them elsewhere.
func (s *Testbed) Route(n int, open bool) { s.instances[n].open.Store(open) }

// KillInstance ends instance n without a warning.
func (s *Testbed) KillInstance(n int) { s.instances[n].kill() }

// StartInstance starts instance n again.
func (s *Testbed) StartInstance(ctx context.Context, n int) error { return s.instances[n].start(ctx) }

// Terminate sends instance n SIGTERM and waits for its end, which must come in
// 10 s and be clean; it returns how long that took.
func (s *Testbed) Terminate(n int) (time.Duration, error) { return s.instances[n].terminate() }

// KillRedis ends Redis without a warning. What it acknowledged is in its
// append-only file, since the machine did not fail.
func (s *Testbed) KillRedis() { s.redis.kill() }

// StartRedis starts it again on what it had.
func (s *Testbed) StartRedis(ctx context.Context) error { return s.redis.start(ctx) }

// ReplaceRedis ends Redis and starts an empty one in its place.
func (s *Testbed) ReplaceRedis(ctx context.Context) error {
	s.redis.kill()
	if err := os.RemoveAll(filepath.Join(s.redis.dir, "appendonlydir")); err != nil {
		return err
	}
	return s.redis.start(ctx)
}

// PauseRedis stops Redis from running until ResumeRedis.
func (s *Testbed) PauseRedis() error { return s.redis.pause() }

// ResumeRedis lets it go on.
func (s *Testbed) ResumeRedis() error { return s.redis.resume() }

// WipeRedis empties Redis while it runs.
func (s *Testbed) WipeRedis(ctx context.Context) error { return s.redis.do(ctx, "FLUSHALL") }

// SeverReplica stops the replica from getting what is written from here on.
func (s *Testbed) SeverReplica() error {
	if s.replica == nil {
		return errors.New("this stage has no replica")
	}
	s.lifeline.cut()
	return nil
}

// FailOver ends the primary, makes the replica the primary and leads all
// instances there, and then starts the old primary again as its replica.
func (s *Testbed) FailOver(ctx context.Context) error {
	s.redis.kill()
	if err := s.replica.lead(ctx); err != nil {
		return err
	}
	s.redis, s.replica = s.replica, s.redis
	for _, i := range s.instances {
		if err := i.link.point(s.redis.addr); err != nil {
			return err
		}
	}
	if err := s.replica.start(ctx); err != nil {
		return err
	}
	if err := s.lifeline.heal(); err != nil {
		return err
	}
	if err := s.lifeline.point(s.redis.addr); err != nil {
		return err
	}
	return s.replica.follow(ctx, s.lifeline.addr())
}

// Ways to break the connection of an instance to Redis.
const (
	Cut  = "cut"  // connections end, new ones are refused
	Slow = "slow" // everything takes some hundred milliseconds longer, each way
	Deaf = "deaf" // connections stand, and nothing comes through
)

// BreakLink breaks the connection of instance n to Redis until MendLink.
func (s *Testbed) BreakLink(n int, how string) error {
	l := s.instances[n].link
	switch how {
	case Cut:
		l.cut()
		return nil
	case Slow:
		return l.slow(300)
	case Deaf:
		return l.deafen()
	}
	return fmt.Errorf("no way %q to break a link", how)
}

// MendLink undoes BreakLink.
func (s *Testbed) MendLink(n int) error { return s.instances[n].link.heal() }

// Publishing sets what is wrong with publishing; the zero value is nothing.
func (s *Testbed) Publishing(f PublishFault) { s.queue.publishing.Store(&f) }

// Pushing sets what is wrong with calls of persist; the zero value is nothing.
func (s *Testbed) Pushing(f PushFault) { s.queue.pushing.Store(&f) }

// StoreDown makes the store fail; see archive.Archive.Down.
func (s *Testbed) StoreDown(down, half bool) { s.archive.Down(down, half) }
