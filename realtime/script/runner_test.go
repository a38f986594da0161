package script_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// never is a time that no test waits for.
const never = time.Hour

// A call without company leaves at once. Those that arrive meanwhile share the next round trip.
func TestCallsShareRoundTrips(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := open(t, b.Client(t, nil), script.Tuning{Wait: never, Lease: never})
		o.close()
		all := []*waiting{o.start(t.Context(), echoes("{x}0", "0"))}
		<-o.began
		for i := 1; i < 50; i++ {
			all = append(all, o.start(t.Context(), echoes(fmt.Sprint("{x}", i), fmt.Sprint(i))))
		}
		o.awaitQueued(t, 49)
		o.release()
		for i, w := range all {
			w.want(t, fmt.Sprint(i), nil)
		}
		if got := o.sizes(); !slices.Equal(got, []int{1, 49}) {
			t.Errorf("calls per round trip: %v, want 1 and 49", got)
		}
	})
}

// A batch that is not answered within the wait does not hold up the next one, until all lanes are in use.
func TestASlowBatchHoldsNobodyUp(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := open(t, b.Client(t, nil), script.Tuning{MaxLanes: 3, Wait: time.Millisecond, Lease: never})
		o.close()
		var held []*waiting
		for i := range 3 {
			held = append(held, o.start(t.Context(), echoes("{x}", fmt.Sprint(i))))
			<-o.began
		}
		last := o.start(t.Context(), echoes("{x}", "last"))
		o.awaitQueued(t, 1)
		select {
		case <-o.began:
			t.Error("a fourth batch left, and there are three lanes")
		case <-time.After(20 * time.Millisecond):
		}
		o.release()
		for i, w := range held {
			w.want(t, fmt.Sprint(i), nil)
		}
		last.want(t, "last", nil)
	})
}

// A caller that gives up neither waits nor cancels the calls of others.
func TestOneTimeoutCancelsNoOtherCall(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := open(t, b.Client(t, nil), script.Tuning{Wait: never, Lease: never})
		o.close()
		ctx, cancel := context.WithCancel(t.Context())
		inFlight := o.start(ctx, adds("{x}a", 1))
		<-o.began
		queued := o.start(ctx, adds("{x}b", 1))
		o.awaitQueued(t, 1)
		other := o.start(t.Context(), adds("{x}c", 1))
		o.awaitQueued(t, 2)
		cancel()
		inFlight.want(t, nil, context.Canceled)
		queued.want(t, nil, context.Canceled)
		o.release()
		other.want(t, int64(1), nil)
		if got := o.rdb.Get(t.Context(), "{x}a").Val(); got != "1" {
			t.Errorf("the call in flight ran %q times, want 1", got)
		}
		if got := o.rdb.Exists(t.Context(), "{x}b").Val(); got != 0 {
			t.Error("a call ran for which nobody waited when its batch left")
		}
		ended, end := context.WithCancel(t.Context())
		end()
		o.start(ended, adds("{x}d", 1)).want(t, nil, context.Canceled)
	})
}

// Beyond the limits of the queue, in calls or bytes, calls fail at once. Those in the queue are not affected.
func TestOverload(t *testing.T) {
	for name, tuning := range map[string]script.Tuning{
		"calls": {MaxLanes: 1, Wait: never, MaxQueue: 5},
		"bytes": {MaxLanes: 1, Wait: never, MaxQueueBytes: 5 * 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, redistest.Mini(t).Client(t, nil), tuning)
			big := strings.Repeat("x", 10_000)
			o.close()
			first := o.start(t.Context(), echoes("a", big))
			<-o.began
			calls := slices.Repeat([]script.Call{echoes("a", big)}, 8)
			results := make(chan []script.Result)
			go func() { results <- o.RunAll(t.Context(), calls) }()
			o.awaitQueued(t, 5)
			if _, err := o.Run(t.Context(), echoes("a", "small")); !errors.Is(err, script.ErrOverloaded) {
				t.Errorf("beyond the limit: %v", err)
			}
			o.release()
			first.want(t, big, nil)
			for i, r := range <-results {
				if i < 5 && (r.Value != big || r.Err != nil) || i >= 5 && !errors.Is(r.Err, script.ErrOverloaded) {
					t.Errorf("call %d: %v", i, r.Err)
				}
			}
		})
	}
}

// A large list leaves in several batches, so that no other call waits for all of it.
func TestBatchesAreBounded(t *testing.T) {
	o := open(t, redistest.Mini(t).Client(t, nil),
		script.Tuning{MaxLanes: 1, Wait: never, Lease: never, MaxBatch: 10, MaxBatchBytes: 50_000})
	var calls []script.Call
	for i := range 40 {
		size := 10
		if i >= 30 {
			size = 20_000
		}
		calls = append(calls, echoes("a", strings.Repeat("x", size)))
	}
	for i, r := range o.RunAll(t.Context(), calls) {
		if r.Value != calls[i].Args[0] || r.Err != nil {
			t.Errorf("call %d: %v", i, r.Err)
		}
	}
	if got := o.sizes(); !slices.Equal(got, []int{10, 10, 10, 2, 2, 2, 2, 2}) {
		t.Errorf("calls per round trip: %v", got)
	}
	if v, err := o.Run(t.Context(), echoes("a", strings.Repeat("x", 60_000))); len(fmt.Sprint(v)) != 60_000 {
		t.Errorf("a call larger than a batch: %v", err)
	}
}

// The failure of one script is its own.
func TestOneScriptFails(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := open(t, b.Client(t, nil), script.Tuning{})
		if err := o.rdb.Set(t.Context(), "{x}word", "word", 0).Err(); err != nil {
			t.Fatal(err)
		}
		r := o.RunAll(t.Context(), []script.Call{adds("{x}1", 1), adds("{x}word", 1), adds("{x}2", 2)})
		var refused redis.Error
		if r[0].Value != int64(1) || r[2].Value != int64(2) || r[0].Err != nil || r[2].Err != nil ||
			!errors.As(r[1].Err, &refused) {
			t.Errorf("%+v", r)
		}
	})
}

// Connections that broke while nobody used them, and a server without its scripts, are not seen by callers.
func TestBrokenConnections(t *testing.T) {
	for _, b := range []*redistest.Redis{redistest.Single(t), redistest.Cluster(t)} {
		t.Run(b.Kind, func(t *testing.T) {
			o := open(t, b.Client(t, nil), script.Tuning{})
			for i := range 3 {
				b.Nodes(t, func(c *redis.Client) {
					if err := c.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal").Err(); err != nil {
						t.Fatal(err)
					}
				})
				if v, err := o.Run(t.Context(), adds("sum", 1)); v != int64(2*i+1) || err != nil {
					t.Errorf("after its connection was killed: %v, %v", v, err)
				}
				b.Nodes(t, func(c *redis.Client) { c.ScriptFlush(t.Context()) })
				if v, err := o.Run(t.Context(), adds("sum", 1)); v != int64(2*i+2) || err != nil {
					t.Errorf("after the scripts were flushed: %v, %v", v, err)
				}
			}
		})
	}
}

// A server that does not answer in time is not asked again.
func TestASlowServerIsAskedOnce(t *testing.T) {
	b := redistest.Mini(t)
	g := newGate()
	rdb := b.Client(t, nil)
	rdb.AddHook(g)
	o := opened{Runner: script.NewRunner(rdb, script.Options{Timeout: 50 * time.Millisecond}), gate: g, rdb: rdb}
	g.close()
	_, err := o.Run(t.Context(), echoes("a", "x"))
	if !isTimeout(err) || len(o.sizes()) != 1 {
		t.Errorf("%v after %d attempts", err, len(o.sizes()))
	}
	o.release()
	if v, err := o.Run(t.Context(), echoes("a", "x")); v != "x" || err != nil {
		t.Errorf("afterwards: %v, %v", v, err)
	}
}

// Calls follow their keys to another node of a cluster.
func TestMovedKeys(t *testing.T) {
	b := redistest.Cluster(t)
	o := open(t, b.Client(t, nil), script.Tuning{})
	for i := range 3 {
		var wanted []*waiting
		for range 20 {
			wanted = append(wanted, o.start(t.Context(), adds("{moving}", 0)))
		}
		for _, w := range wanted {
			<-w.done
			if w.err != nil {
				t.Error(w.err)
			}
		}
		if v, err := o.Run(t.Context(), adds("{moving}", 1)); v != int64(i+1) || err != nil {
			t.Errorf("%v, %v; want %d", v, err, i+1)
		}
		b.MoveSlot(t, "{moving}")
	}
}

// A call that must follow another one does, also if the server does not know the script of the first one yet.
func TestCallsInOrder(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := open(t, b.Client(t, nil), script.Tuning{MaxBatch: 1})
		for range 3 {
			o.rdb.Del(t.Context(), "{x}n")
			if err := o.rdb.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			get := script.Call{Command: "GET", Keys: []string{"{x}n"}, After: true}
			r := o.RunAll(t.Context(), []script.Call{adds("{x}n", 7), get, get})
			if fmt.Sprintf("%v %v %v", r[0].Value, r[1].Value, r[2].Value) != "7 7 7" {
				t.Errorf("%+v", r)
			}
		}
	})
}

// Go does not wait. Wait does, for all calls.
func TestGo(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := open(t, b.Client(t, nil), script.Tuning{})
		o.close()
		var got []script.Result
		o.Go([]script.Call{adds("{x}n", 1), adds("{x}n", 2)}, func(r []script.Result) { got = r })
		<-o.began
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		o.Wait(ended) // gives up
		o.release()
		o.Wait(t.Context())
		if len(got) != 2 || got[0].Err != nil || got[1].Err != nil {
			t.Errorf("results: %+v", got)
		}
	})
}

// A call that must not run twice fails if its connection breaks. Others are repeated.
func TestOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		rdb := b.Client(t, nil)
		o := open(t, rdb, script.Tuning{})
		if _, err := o.Run(t.Context(), adds("{x}n", 0)); err != nil {
			t.Fatal(err)
		}
		o.loseAnswers(2)
		once := adds("{x}once", 1)
		once.Once = true
		r := o.RunAll(t.Context(), []script.Call{once, adds("{x}n", 1)})
		if r[0].Err == nil || r[1].Err != nil {
			t.Errorf("results: %+v", r)
		}
		if n := o.rdb.Get(t.Context(), "{x}once").Val(); n != "1" {
			t.Errorf("the call ran %q times, want 1", n)
		}
	})
}
