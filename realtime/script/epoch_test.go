package script_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// infos returns how often the server has run INFO.
func infos(t *testing.T, rdb redis.UniversalClient) int {
	t.Helper()
	text, err := rdb.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(text, "cmdstat_info:calls=")
	if !found {
		return 0
	}
	calls, _, _ := strings.Cut(after, ",")
	n, err := strconv.Atoi(calls)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Under load, scripts use the epoch that a probe has found, instead of asking the server each time. Each connection
// asks once, and calls that follow each other closely may use more than one.
func TestScriptsDoNotAskForTheEpoch(t *testing.T) {
	o := open(t, redistest.Single(t).Client(t, nil), script.Tuning{Lease: never})
	o.epochNow(t)
	before := infos(t, o.rdb)
	for range 100 {
		if _, err := o.Run(t.Context(), epochOf("x")); err != nil {
			t.Fatal(err)
		}
	}
	n := infos(t, o.rdb) - before - 1 // one by this test
	if connections := int(o.rdb.PoolStats().TotalConns); n > connections {
		t.Errorf("100 scripts on %d connections asked for the epoch %d times", connections, n)
	}
}

// A restart, also of a server that kept its data, has another epoch at once.
func TestRestart(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	o := open(t, server.Redis().Client(t, nil), script.Tuning{Lease: never})
	for range 3 {
		before := o.epochNow(t)
		server.Kill()
		server.Restart(t)
		if after := o.epochNow(t); after == before {
			t.Error("the epoch is the same after a restart")
		}
	}
}

// A promoted replica has another epoch at once, although it has the same data.
func TestPromotedReplica(t *testing.T) {
	p := redistest.StartPair(t)
	o := open(t, p.Client(t), script.Tuning{Lease: never})
	before := o.epochNow(t)
	p.WaitForReplica()
	p.CutReplica()
	p.Failover()
	if after := o.epochNow(t); after == before {
		t.Error("the epoch is the same after a failover")
	}
}

// A primary that becomes a replica, and then a primary again, keeps its connections and its scripts. It has another
// epoch as soon as the lease of the old one is over, and at once if it has refused anything as a replica.
func TestDemotedAndPromotedAgain(t *testing.T) {
	p := redistest.StartPair(t)
	const short = 50 * time.Millisecond
	for name, c := range map[string]struct {
		lease   time.Duration
		refused bool // a call meets the replica
	}{"unused": {lease: short}, "refused": {lease: never, refused: true}} {
		t.Run(name, func(t *testing.T) {
			o := open(t, p.Client(t), script.Tuning{Lease: c.lease})
			before := o.epochNow(t)
			p.Switch()
			if c.refused {
				_, err := o.Run(t.Context(), epochOf("x"))
				if !redis.HasErrorPrefix(err, "READONLY") {
					t.Errorf("the replica answered %v", err)
				}
			}
			p.Switch()
			if !c.refused {
				<-time.After(2 * c.lease)
			}
			if after := o.epochNow(t); after == before {
				t.Error("the epoch is the same after two failovers")
			}
		})
	}
}

// A lease that the instance takes to be valid, because it had no CPU for a while, is refused by the server.
func TestTheServerEndsTheLease(t *testing.T) {
	p := redistest.StartPair(t)
	const lease = 200 * time.Millisecond
	o := open(t, p.Client(t), script.Tuning{Lease: lease})
	before := o.epochNow(t)
	// The batch is ready, with the epoch in it, and its goroutine gets no CPU until two failovers are over.
	o.close()
	stale := o.start(t.Context(), epochOf("x"))
	<-o.began
	p.Switch()
	p.Switch()
	<-time.After(2 * lease)
	o.release()
	<-stale.done
	if stale.err != nil || stale.value == before {
		t.Errorf("%v, %v: a script relied on the epoch of before", stale.value, stale.err)
	}
}
