package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The methods in this file make Redis lose what was written last, as the failure of a machine does.

// errNoMark is the error of CutAppendOnlyFile without MarkAppendOnlyFile.
var errNoMark = errors.New("cut append-only file: no length was marked")

// MarkAppendOnlyFile remembers the present length of the append-only file. Redis writes the file before it answers, so
// the file has everything that was answered, although it may be on disk only a second later.
func (tb *Testbed) MarkAppendOnlyFile() error {
	path, err := tb.redis.appendOnlyFile()
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	tb.markedFile, tb.markedSize = path, info.Size()
	return nil
}

// CutAppendOnlyFile kills Redis, cuts the append-only file to the marked length, and restarts Redis.
func (tb *Testbed) CutAppendOnlyFile(ctx context.Context) error {
	if tb.markedFile == "" {
		return errNoMark
	}
	tb.redis.kill()
	path, err := tb.redis.appendOnlyFile()
	if err != nil {
		return err
	}
	if path != tb.markedFile {
		return fmt.Errorf("cut append-only file: redis has rewritten %s meanwhile", tb.markedFile)
	}
	if err := os.Truncate(path, tb.markedSize); err != nil {
		return err
	}
	tb.markedFile = ""
	return tb.redis.start(ctx)
}

// appendOnlyFile returns the path of the file to which the server appends.
func (r *redisServer) appendOnlyFile() (string, error) {
	files, err := filepath.Glob(filepath.Join(r.dir, "appendonlydir", "*.incr.aof"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("find the append-only file: %d files in %s", len(files), r.dir)
	}
	return files[0], nil
}

// AwaitReplica waits until the replica has everything that was written before.
func (tb *Testbed) AwaitReplica(ctx context.Context) error {
	if tb.replica == nil {
		return errNoReplica
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := tb.redis.client()
	defer c.Close()
	for {
		// WAIT counts the replicas that have the writes of its connection.
		if err := c.Set(ctx, "fault:written", "1", time.Minute).Err(); err != nil {
			return fmt.Errorf("await replica: %w", err)
		}
		n, err := c.Wait(ctx, 1, time.Second).Result()
		if err != nil {
			return fmt.Errorf("await replica: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
}
