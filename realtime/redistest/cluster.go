package redistest

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// slots is the number of hash slots of a cluster.
const slots = 16384

func startCluster(t testing.TB) *Redis {
	t.Helper()
	ctx := context.Background()
	r := &Redis{Kind: "cluster"}
	var bus []int
	for range 3 {
		b := freePort(t)
		s := start(t, "--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(b),
			"--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no")
		r.nodes = append(r.nodes, s)
		r.Addrs = append(r.Addrs, s.Addr)
		bus = append(bus, b)
	}
	for i, addr := range r.Addrs {
		c := redis.NewClient(&redis.Options{Protocol: 2, Addr: addr})
		must(t, c.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		must(t, c.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
		_ = c.Close()
	}
	c := redis.NewClient(&redis.Options{Protocol: 2, Addr: r.Addrs[0]})
	defer c.Close()
	for i, addr := range r.Addrs[1:] { // the nodes then introduce each other
		_, port, _ := net.SplitHostPort(addr)
		must(t, c.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", port, bus[i+1]).Err())
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-again.C {
		ready := 0
		r.Nodes(t, func(c *redis.Client) {
			info, err := c.ClusterInfo(ctx).Result()
			shards, err2 := c.ClusterShards(ctx).Result()
			served := 0
			for _, shard := range shards {
				if len(shard.Slots) > 0 {
					served++
				}
			}
			if err == nil && err2 == nil && strings.Contains(info, "cluster_state:ok") && served == 3 {
				ready++
			}
		})
		if ready == 3 {
			return r
		}
		if time.Now().After(deadline) {
			for _, n := range r.nodes {
				n.Stop()
			}
			t.Fatal("the cluster is not ready after 20 s")
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// MoveSlot moves the slot of key to the next master, one key at a time, as resharding does, and returns how many keys
// it moved. Clients may use the cluster in the meantime.
func (r *Redis) MoveSlot(t testing.TB, key string) (moved int) {
	t.Helper()
	ctx := context.Background()
	clients := make([]*redis.Client, len(r.Addrs))
	ids := make([]string, len(r.Addrs))
	for i, addr := range r.Addrs {
		clients[i] = redis.NewClient(&redis.Options{Protocol: 2, Addr: addr})
		defer clients[i].Close()
		id, err := clients[i].Do(ctx, "CLUSTER", "MYID").Text()
		must(t, err)
		ids[i] = id
	}
	slot, err := clients[0].ClusterKeySlot(ctx, key).Result()
	must(t, err)
	from := -1
	shards, err := clients[0].ClusterShards(ctx).Result()
	must(t, err)
	for _, shard := range shards {
		for _, r := range shard.Slots {
			if r.Start <= slot && slot <= r.End {
				from = slices.Index(ids, shard.Nodes[0].ID)
			}
		}
	}
	if from < 0 {
		t.Fatalf("no node serves slot %d", slot)
	}
	to := (from + 1) % len(clients)
	must(t, clients[to].Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from]).Err())
	must(t, clients[from].Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to]).Err())
	host, port, _ := net.SplitHostPort(r.Addrs[to])
	for {
		keys, err := clients[from].ClusterGetKeysInSlot(ctx, int(slot), 1).Result()
		must(t, err)
		if len(keys) == 0 {
			break
		}
		must(t, clients[from].Migrate(ctx, host, port, keys[0], 0, 5*time.Second).Err())
		moved++
	}
	for _, i := range []int{to, from, (to + 1) % len(clients)} {
		must(t, clients[i].Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", ids[to]).Err())
	}
	return moved
}
