package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// A send succeeds only after the replica has the message. While the replica processes nothing, a send is refused for
// now, and so is each repeated one, although another connection wrote the message.
func TestSendWaitsForTheReplica(t *testing.T) {
	p := redistest.StartPair(t)
	patient := openWith(t, p.Client(t), inbox.Options{ReplicaWait: 10 * time.Second})
	s := openWith(t, p.Client(t), inbox.Options{ReplicaWait: 100 * time.Millisecond})
	patient.send(t, "ann", "ben", "before")
	resume := p.PauseReplica()
	defer resume()
	m := message("ann", "ben", "one")
	for range 2 {
		if _, err := s.Enqueue(t.Context(), m); !errors.Is(err, problem.ErrUnavailable) {
			t.Fatalf("without an answer of the replica: %v", err)
		}
	}
	other := openWith(t, p.Client(t), inbox.Options{ReplicaWait: 100 * time.Millisecond})
	if _, err := other.Enqueue(t.Context(), m); !errors.Is(err, problem.ErrUnavailable) {
		t.Fatalf("repeated on a new connection, without an answer of the replica: %v", err)
	}
	same(t, "not replicated", s.Counters().Unreplicated.Load(), 2)
	same(t, "ann", s.types(t, "ann"), "[sent]")
	resume()
	p.WaitForReplica()
	if _, err := patient.Enqueue(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	same(t, "ben", bodies(t, s.retained(t, "ben")), "[message before message one]")
	same(t, "ann", s.types(t, "ann"), "[sent sent]")
}

// A repeated send of a message that waits writes something, so that WAIT covers it on any server: Redis waits for the
// writes of the connection.
func TestRepeatedSendWrites(t *testing.T) {
	p := redistest.StartPair(t)
	s := openWith(t, p.Client(t), inbox.Options{ReplicaWait: time.Second})
	m := s.send(t, "ann", "ben", "one")
	// The second step writes keys of the sender. These writes do not count.
	if err := s.rdb.ConfigSet(t.Context(), "notify-keyspace-events", "Kg").Err(); err != nil {
		t.Fatal(err)
	}
	written := s.rdb.Subscribe(t.Context(), "__keyspace@0__:meta:{ben}")
	defer written.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := written.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enqueue(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"expire", "persist"} {
		if n, err := written.ReceiveMessage(ctx); err != nil || n.Payload != want {
			t.Fatalf("the repeated send wrote %v, %v; want %s", n, err, want)
		}
	}
	if ttl := s.rdb.PTTL(t.Context(), "meta:{ben}").Val(); ttl != -1 {
		t.Errorf("an inbox in which a message waits expires in %v", ttl)
	}
}

// The replica is cut off while users send, and takes over. Nothing that was accepted is lost.
func TestFailoverLosesNothingThatWaitedForTheReplica(t *testing.T) {
	p := redistest.StartPair(t)
	s := openWith(t, p.Client(t), inbox.Options{ReplicaWait: 50 * time.Millisecond})
	var mu sync.Mutex
	var accepted []chat.Message
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 25 {
				m := message(fmt.Sprint("ann", n), "ben", fmt.Sprint(n, " ", i))
				if _, err := s.Enqueue(context.Background(), m); err == nil {
					mu.Lock()
					accepted = append(accepted, m)
					mu.Unlock()
				}
				if n == 0 && i == 10 {
					p.CutReplica()
				}
			}
		})
	}
	wg.Wait()
	p.Failover()
	client := p.Client(t)
	kept := client.HGetAll(t.Context(), "pending:{ben}").Val()
	if len(accepted) == 0 || len(accepted) == 200 {
		t.Fatalf("%d of 200 messages were accepted", len(accepted))
	}
	for _, m := range accepted {
		if _, ok := kept[m.From+"/"+m.ID]; !ok {
			t.Errorf("%s of %s was accepted and is lost", m.Body, m.From)
		}
	}
}

// On a cluster, the script and the WAIT go to the node of the recipient, also after the slot has moved. The nodes of
// the test have no replica, so the message is queued and not accepted.
func TestWaitingOnACluster(t *testing.T) {
	b := redistest.Cluster(t)
	s := open(t, b, inbox.Options{ReplicaWait: time.Millisecond})
	for i := range 6 {
		to := fmt.Sprint("ben", i)
		if _, err := s.Enqueue(t.Context(), message("ann", to, "x")); !errors.Is(err, problem.ErrUnavailable) {
			t.Fatal(err)
		}
		same(t, "waiting for "+to, s.rdb.HLen(t.Context(), "pending:{"+to+"}").Val(), 1)
	}
	b.MoveSlot(t, "inbox:{ben0}")
	m := message("ann", "ben0", "y")
	if _, err := s.Enqueue(t.Context(), m); !errors.Is(err, problem.ErrUnavailable) {
		t.Fatal(err)
	}
	same(t, "not replicated", s.Counters().Unreplicated.Load(), 7)
	same(t, "waiting for ben0", s.rdb.HLen(t.Context(), "pending:{ben0}").Val(), 2)
}

// BenchmarkReplicaWait measures what a send costs without and with the wait for a replica: its latency, and the CPU
// time of the primary.
func BenchmarkReplicaWait(b *testing.B) {
	for name, wait := range map[string]time.Duration{"off": 0, "on": time.Second} {
		b.Run(name, func(b *testing.B) {
			p := redistest.StartPair(b)
			s := openWith(b, p.Client(b), inbox.Options{ReplicaWait: wait})
			cpu := func() (seconds float64) {
				c := redis.NewClient(&redis.Options{Protocol: 2, Addr: p.Addrs[0]})
				defer c.Close()
				for line := range strings.Lines(c.Info(context.Background(), "cpu").Val()) {
					for _, kind := range []string{"used_cpu_sys:", "used_cpu_user:"} {
						if v, ok := strings.CutPrefix(strings.TrimSpace(line), kind); ok {
							var f float64
							_, _ = fmt.Sscan(v, &f)
							seconds += f
						}
					}
				}
				return seconds
			}
			before := cpu()
			n := 0
			for b.Loop() {
				if _, err := s.Enqueue(b.Context(), message("ann", fmt.Sprint("ben", n%100), "x")); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric((cpu()-before)*1e6/float64(n), "µs-of-redis/op")
		})
	}
}
