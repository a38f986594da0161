package testbed

import (
	"os/exec"
	"testing"
)

// After the append-only file was cut, Redis has what was written before the mark, and nothing that was written later.
func TestCutAppendOnlyFile(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server was not found; this test did not run")
	}
	r, err := newRedis(t.Context(), redisDir(t.TempDir(), 1))
	if err != nil {
		t.Fatal(err)
	}
	tb := &Testbed{redis: r}
	t.Cleanup(func() { tb.redis.kill() })
	if err := tb.CutAppendOnlyFile(t.Context()); err == nil {
		t.Error("cut without a mark")
	}
	for _, step := range []func() error{
		func() error { return r.do(t.Context(), "SET", "before", "1") },
		tb.MarkAppendOnlyFile,
		func() error { return r.do(t.Context(), "SET", "after", "1") },
		func() error { return tb.CutAppendOnlyFile(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	c := r.client()
	defer c.Close()
	before, after := c.Exists(t.Context(), "before").Val(), c.Exists(t.Context(), "after").Val()
	if before != 1 || after != 0 {
		t.Errorf("%d of the keys before the mark, %d of those after it; want 1 and 0", before, after)
	}
}

// The replica has what was written before AwaitReplica, although it is cut off then.
func TestAwaitReplica(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server was not found; this test did not run")
	}
	tb := &Testbed{opts: Options{Dir: t.TempDir(), Replica: true}}
	t.Cleanup(tb.Close)
	if err := tb.startRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return tb.redis.do(t.Context(), "SET", "before", "1") },
		func() error { return tb.AwaitReplica(t.Context()) },
		tb.SeverReplica,
		func() error { return tb.redis.do(t.Context(), "SET", "after", "1") },
		func() error { return tb.FailOver(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	c := tb.redis.client()
	defer c.Close()
	before, after := c.Exists(t.Context(), "before").Val(), c.Exists(t.Context(), "after").Val()
	if before != 1 || after != 0 {
		t.Errorf("%d of the keys written before, %d of those after; want 1 and 0", before, after)
	}
}
