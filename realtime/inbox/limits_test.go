package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// largest returns a message whose event is as large as possible.
func largest(t testing.TB, from, to string) chat.Message {
	t.Helper()
	pad := func(uid string) string { return uid + strings.Repeat("u", chat.MaxUID-len(uid)) }
	m := message(pad(from), pad(to), strings.Repeat("\u2028", chat.MaxBody-1)+"\U0001f30d")
	m.At, m.AcceptedAt, m.ReplyTo = 1<<53-1, 1<<53-1, chat.KeyOf(uuid.Must(uuid.NewV7()).String(), m.To)
	if err := chat.CheckBody(m.Body); err != nil {
		t.Fatal(err)
	}
	return m
}

// surrogatePair matches the JSON escape of a code point above U+FFFF.
var surrogatePair = regexp.MustCompile(`^\\u[dD][89abAB]`)

func TestLargestEvent(t *testing.T) {
	var every strings.Builder // all code points, although bodies may not contain all of them
	for r := range utf8.MaxRune + 1 {
		if utf8.ValidRune(r) {
			every.WriteRune(r)
		}
	}
	data, err := chat.Marshal(every.String())
	if err != nil {
		t.Fatal(err)
	}
	most := 0 // bytes of JSON for one code point
	for rest := string(data[1 : len(data)-1]); rest != ""; {
		_, n := utf8.DecodeRuneInString(rest)
		switch {
		case rest[0] != '\\':
		case surrogatePair.MatchString(rest):
			n = 12
		case rest[1] == 'u':
			n = 6
		default:
			n = 2
		}
		most = max(most, n)
		rest = rest[n:]
	}
	event, sent, err := wire.MarshalMessage(largest(t, "ann", "ben"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "most bytes of a code point", most, len(`\u2028`))
	if n := max(len(event), len(sent)); n > inbox.MaxEvent || n < inbox.MaxEvent-1<<10 {
		t.Errorf("the largest event has %d bytes, MaxEvent is %d", n, inbox.MaxEvent)
	}
	l := inbox.Limits{}.WithDefaults()
	for name, limit := range map[string]int{"inbox": l.Bytes, "pair": l.PairBytes, "stranger": l.StrangerBytes,
		"sender": l.SenderBytes} {
		if limit < inbox.MaxEvent {
			t.Errorf("the limit of bytes per %s, %d, does not admit the largest event", name, limit)
		}
	}
}

func TestEventsAreNotEscapedForHTML(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		body := strings.Repeat("<&>", 1000)
		m := s.send(t, "ann", "ben", body)
		for _, uid := range []string{"ann", "ben"} {
			events := s.retained(t, uid)
			same(t, "events", len(events), 1)
			if n := len(events[0].Data); n > len(body)+400 {
				t.Errorf("a body of %d bytes is an event of %d bytes", len(body), n)
			}
			want, err := json.Marshal(wire.MessageEvent{Type: events[0].Type, Message: m})
			if err != nil {
				t.Fatal(err)
			}
			var got, wanted any
			if err := errors.Join(json.Unmarshal(events[0].Data, &got), json.Unmarshal(want, &wanted)); err != nil {
				t.Fatal(err)
			}
			same(t, "event", got, wanted)
		}
	})
}

// deliver settles everything that waits for uid, and reports it to the senders, as package settle does.
func (s *setup) deliver(t testing.TB, uid string) {
	t.Helper()
	s.report(t, uid, wire.EventDelivered)
	s.settle(t, uid, s.end(t, uid))
}

// report appends delivered or refused events for everything that waits for uid.
func (s *setup) report(t testing.TB, uid, kind string) {
	t.Helper()
	for _, e := range s.retained(t, uid) {
		if e.Type != wire.EventMessage {
			continue
		}
		m, err := e.Message()
		if err != nil {
			t.Fatal(err)
		}
		refs := []wire.MessageRef{{ID: m.ID, At: m.At}}
		var event any = wire.DeliveredEvent{Type: kind, Conversation: m.Conversation, Messages: refs, DeliveredAt: m.At}
		if kind == wire.EventRefused {
			event = wire.RefusedEvent{Type: kind, Conversation: m.Conversation, Messages: refs, Code: "x", Message: "x"}
		}
		if err := s.Append(t.Context(), []inbox.Entry{{UID: m.From, Type: kind, Event: event}})[0]; err != nil {
			t.Fatal(err)
		}
	}
}

// Each limit refuses a message for now, does not refuse the repeat of one that waits, and has room again when messages
// were delivered. With the events of 1,000 bytes and more below, limits of bytes are reached with the third message.
func TestEveryLimit(t *testing.T) {
	big := strings.Repeat("x", 1000)
	fast := inbox.Tuning{Refresh: 1, Heal: 1, Ask: 1}
	for name, c := range map[string]struct {
		limit   func(*inbox.Limits)
		from    [4]string // of four messages; the last is refused
		to      [4]string
		refused error
		counter func(*inbox.Counters) int64
	}{
		"messages in an inbox": {func(l *inbox.Limits) { l.Messages = 3 },
			[4]string{"a1", "a2", "a3", "a4"}, [4]string{"ben", "ben", "ben", "ben"}, inbox.ErrInboxFull,
			func(c *inbox.Counters) int64 { return c.Full.Load() }},
		"bytes in an inbox": {func(l *inbox.Limits) { l.Bytes = 4200 },
			[4]string{"a1", "a2", "a3", "a4"}, [4]string{"ben", "ben", "ben", "ben"}, inbox.ErrInboxFull,
			func(c *inbox.Counters) int64 { return c.Full.Load() }},
		"messages of a pair": {func(l *inbox.Limits) { l.PairMessages = 3 },
			[4]string{"ann", "ann", "ann", "ann"}, [4]string{"ben", "ben", "ben", "ben"}, inbox.ErrInboxFull,
			func(c *inbox.Counters) int64 { return c.Full.Load() }},
		"bytes of a pair": {func(l *inbox.Limits) { l.PairBytes = 4200 },
			[4]string{"ann", "ann", "ann", "ann"}, [4]string{"ben", "ben", "ben", "ben"}, inbox.ErrInboxFull,
			func(c *inbox.Counters) int64 { return c.Full.Load() }},
		"messages of a stranger": {func(l *inbox.Limits) { l.StrangerMessages = 3 },
			[4]string{"ann", "ann", "ann", "ann"}, [4]string{"ben", "ben", "ben", "ben"}, inbox.ErrAnswerAwaited,
			func(c *inbox.Counters) int64 { return c.Strangers.Load() }},
		"bytes of a stranger": {func(l *inbox.Limits) { l.StrangerBytes = 4200 },
			[4]string{"ann", "ann", "ann", "ann"}, [4]string{"ben", "ben", "ben", "ben"}, inbox.ErrAnswerAwaited,
			func(c *inbox.Counters) int64 { return c.Strangers.Load() }},
		"messages of a sender": {func(l *inbox.Limits) { l.SenderMessages = 3 },
			[4]string{"ann", "ann", "ann", "ann"}, [4]string{"b1", "b2", "ben", "b4"}, inbox.ErrOutboxFull,
			func(c *inbox.Counters) int64 { return c.OutboxFull.Load() }},
		"bytes of a sender": {func(l *inbox.Limits) { l.SenderBytes = 4200 },
			[4]string{"ann", "ann", "ann", "ann"}, [4]string{"b1", "b2", "ben", "b4"}, inbox.ErrOutboxFull,
			func(c *inbox.Counters) int64 { return c.OutboxFull.Load() }},
		"new people": {func(l *inbox.Limits) { l.NewPeople = 3 },
			[4]string{"ann", "ann", "ann", "ann"}, [4]string{"b1", "b2", "ben", "b4"}, inbox.ErrTooManyNewPeople,
			func(c *inbox.Counters) int64 { return c.NewPeople.Load() }},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
				o := inbox.Options{Limits: inbox.Generous()}
				c.limit(&o.Limits)
				s := open(t, b, o.WithTuning(fast))
				var sent []chat.Message
				for i := range 3 {
					sent = append(sent, s.send(t, c.from[i], c.to[i], big))
				}
				last := message(c.from[3], c.to[3], big)
				for range 2 {
					_, err := s.Enqueue(t.Context(), last)
					if p := problem.Of(err); !errors.Is(err, c.refused) || p.RetryAfter <= 0 {
						t.Fatalf("the fourth message: %v, retry after %v", err, p.RetryAfter)
					}
				}
				if n := c.counter(s.Counters()); n != 2 {
					t.Errorf("%d refusals are counted, want 2", n)
				}
				// Another instance, which knows nothing, answers repeats and refuses the same.
				other := open(t, b, o.WithTuning(fast))
				for _, on := range []*setup{s, other} {
					for _, m := range sent {
						repeat := m
						repeat.AcceptedAt = 0
						if at, err := on.Enqueue(t.Context(), repeat); err != nil || at != m.AcceptedAt {
							t.Errorf("a repeated send: %v, %v; the first answer was %v", at, err, m.AcceptedAt)
						}
					}
				}
				if _, err := other.Enqueue(t.Context(), last); !errors.Is(err, c.refused) {
					t.Errorf("on another instance: %v", err)
				}
				if c.refused == inbox.ErrTooManyNewPeople {
					s.send(t, "ann", "b1", "one that is not new")
					s.send(t, "b4", "ann", "hello") // who wrote first is not new either
				} else {
					s.deliver(t, "ben")
				}
				if _, err := s.Enqueue(t.Context(), last); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

// A limit of bytes that is smaller than a message admits it if nothing else waits.
func TestLimitsOfBytesAdmitOneMessage(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := inbox.Options{Limits: inbox.Generous()}
		o.Limits.Bytes, o.Limits.PairBytes, o.Limits.StrangerBytes, o.Limits.SenderBytes = 10, 10, 10, 10
		s := open(t, b, o)
		if _, err := s.Enqueue(t.Context(), largest(t, "ann", "ben")); err != nil {
			t.Error(err)
		}
	})
}

// clock returns the time of Redis.
func (s *setup) clock(t testing.TB) time.Time {
	t.Helper()
	now, err := s.rdb.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func TestSendsPerMinute(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := inbox.Options{Limits: inbox.Generous()}
		o.Limits.SendsPerMinute = 5
		instances := []*setup{open(t, b, o), open(t, b, o)}
		minute := func() int64 { return instances[0].clock(t).Unix() / 60 }
		before, accepted := minute(), 0
		for i := range 20 {
			_, err := instances[i%2].Enqueue(t.Context(), message("ann", "ben", "x"))
			instances[i%2].WaitCalls(t.Context()) // a send under way is not counted yet
			switch p := problem.Of(err); {
			case err == nil:
				accepted++
			case !errors.Is(err, inbox.ErrRateLimited), p.RetryAfter <= 0, p.RetryAfter > time.Minute:
				t.Errorf("%v, retry after %v", err, p.RetryAfter)
			}
		}
		// Each instance learns of the others' sends with its own next one. A minute may end in between.
		if accepted < 5 || accepted > 6*int(1+minute()-before) {
			t.Errorf("%d messages were accepted", accepted)
		}
		if n := instances[0].Counters().TooFast.Load(); n == 0 {
			t.Error("no refusal is counted")
		}
	})
}

// Of many concurrent messages to new people, an instance accepts exactly as many as the limit allows.
func TestNewPeopleAtOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{Limits: inbox.Limits{}.WithDefaults()})
		var wg sync.WaitGroup
		var mu sync.Mutex
		accepted := 0
		for i := range 40 {
			wg.Go(func() {
				_, err := s.Enqueue(context.Background(), message("ann", fmt.Sprint("new", i), "hello"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					accepted++
				} else if !errors.Is(err, inbox.ErrTooManyNewPeople) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		same(t, "new people reached", accepted, 20)
		if d := s.ttl(t, "reach:{ann}"); d <= 0 || d > 24*time.Hour {
			t.Errorf("the new people of today are kept for %v", d)
		}
	})
}

// A person who was never answered reaches many people with few bytes, whatever they write.
func TestHostileSender(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		const friends, sockets, most = 40, 4, 1 << 19
		// Production's limits, with fewer bytes per sender so that the test is quick.
		o := inbox.Options{Limits: inbox.Limits{SenderBytes: most, SendsPerMinute: 1 << 30}.WithDefaults()}
		instances := []*setup{open(t, b, o), open(t, b, o)}
		var people []string
		for i := range friends {
			people = append(people, fmt.Sprint("friend", i))
			instances[0].send(t, people[i], "eve", "I know you") // answered in advance, and waits in front of her copies
		}
		for i := range 40 {
			people = append(people, fmt.Sprint("stranger", i))
		}
		body := strings.Repeat("<", chat.MaxBody)
		var wg sync.WaitGroup
		for n := range sockets {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(n), 1))
				for range 75 {
					to := people[r.IntN(len(people))]
					if _, err := instances[n%2].Enqueue(context.Background(), message("eve", to, body)); err != nil &&
						problem.Of(err).RetryAfter <= 0 {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s := instances[0]
		bytes := func(uid string) (n int) {
			for _, e := range s.retained(t, uid) {
				n += len(e.Data)
			}
			return n
		}
		total, strangers := 0, 0
		for _, uid := range people {
			n := bytes(uid)
			total += n
			if strings.HasPrefix(uid, "stranger") && n > 0 {
				if strangers++; n > 64<<10 {
					t.Errorf("%d bytes wait for %s, who never answered", n, uid)
				}
			}
		}
		// The totals lag by one message per socket.
		if total > most+sockets*inbox.MaxEvent || total < most-inbox.MaxEvent {
			t.Errorf("%d bytes wait in the inboxes of others, want about %d", total, most)
		}
		if strangers > 20+1 {
			t.Errorf("%d strangers got messages", strangers)
		}
		if n := bytes("eve"); n > 2<<20+friends*300 {
			t.Errorf("eve's own inbox has %d bytes", n)
		}
	})
}

// retainedBytes returns what meta says and what the stream has.
func (s *setup) countedBytes(t testing.TB, uid string) (meta, stream int) {
	t.Helper()
	meta, err := s.rdb.HGet(t.Context(), "meta:{"+uid+"}", "bytes").Int()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := s.rdb.XRange(t.Context(), "inbox:{"+uid+"}", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		stream += len(fmt.Sprint(e.Values["e"]))
	}
	return meta, stream
}

// The sender's own copies are bounded in bytes, also while a message that nobody acknowledges keeps them from being
// trimmed.
func TestOwnCopiesAreBounded(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprint("a message waits in front: ", waits), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
				const limit = 50_000
				s := open(t, b, inbox.Tuned(inbox.Tuning{KeepBytes: limit}))
				if waits {
					s.send(t, "eve", "ann", "never acknowledged")
				}
				r := rand.New(rand.NewPCG(5, 5))
				for range 60 {
					s.send(t, "ann", "ben", strings.Repeat("x", 1+r.IntN(8000)))
					meta, stream := s.countedBytes(t, "ann")
					same(t, "bytes in meta", meta, stream)
					if stream > limit+300 {
						t.Fatalf("ann's own inbox has %d bytes", stream)
					}
				}
				if _, stream := s.countedBytes(t, "ann"); stream < limit-8500 {
					t.Errorf("only %d bytes are kept", stream)
				}
				if waits {
					same(t, "first event", s.retained(t, "ann")[0].Type, wire.EventMessage)
				}
			})
		})
	}
}

// sums returns the bytes that wait for uid, as meta has them, and as the records have them.
func (s *setup) sums(t testing.TB, uid string) (meta map[string]string, records map[string]string) {
	t.Helper()
	all, err := s.rdb.HGetAll(t.Context(), "meta:{"+uid+"}").Result()
	if err != nil {
		t.Fatal(err)
	}
	meta, records = map[string]string{}, map[string]string{}
	for k, v := range all {
		if strings.HasPrefix(k, "from:") || k == "waiting_bytes" {
			meta[k] = v
		}
	}
	pending, err := s.rdb.HGetAll(t.Context(), "pending:{"+uid+"}").Result()
	if err != nil {
		t.Fatal(err)
	}
	count, size, total := map[string]int{}, map[string]int{}, 0
	for field, record := range pending {
		from, _, _ := strings.Cut(field, "/")
		part := strings.Fields(record)
		if len(part) != 5 {
			t.Fatalf("record %q", record)
		}
		n, err := strconv.Atoi(part[3])
		if err != nil {
			t.Fatal(err)
		}
		count[from]++
		size[from] += n
		total += n
	}
	for from := range count {
		records["from:"+from] = fmt.Sprint(count[from], " ", size[from])
	}
	records["waiting_bytes"] = fmt.Sprint(total)
	return meta, records
}

// rounds is the number of random sequences that a test tries on a backend. miniredis interprets scripts slowly, so most
// sequences run on the real server.
func rounds(b *redistest.Redis) int {
	if b.Mini != nil {
		return 3
	}
	return 12
}

// The sums in meta are those of the records, after any sequence of sends, settlements and losses.
func TestSumsAreExact(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 5, KeepFor: time.Millisecond}))
		for seed := range uint64(rounds(b)) {
			r := rand.New(rand.NewPCG(seed, 1))
			uid := fmt.Sprint("user", seed)
			for step := range 25 {
				switch r.IntN(10) {
				case 0:
					s.settle(t, uid, s.end(t, uid))
				case 1:
					if events := s.retained(t, uid); len(events) > 0 {
						to := events[r.IntN(len(events))].ID
						s.settle(t, uid, inbox.Cursor{Epoch: s.end(t, uid).Epoch, ID: to})
					}
				case 2:
					s.rdb.Del(t.Context(), "meta:{"+uid+"}")
				case 3:
					s.rdb.Del(t.Context(), "inbox:{"+uid+"}")
				default:
					from := []string{"ann", "ben"}[r.IntN(2)]
					s.send(t, from, uid, strings.Repeat("x", 1+r.IntN(3000)))
				}
				s.receipts(t, uid, 1)
				meta, records := s.sums(t, uid)
				same(t, "sums", meta, records)
				counted, stream := s.countedBytes(t, uid)
				same(t, "bytes", counted, stream)
				if t.Failed() {
					t.Fatalf("after step %d of seed %d", step, seed)
				}
			}
		}
	})
}

// totals returns the totals of a sender, and what the fields of out add up to.
func (s *setup) totals(t testing.TB, uid string) (totals, fields string) {
	t.Helper()
	all, err := s.rdb.HGetAll(t.Context(), "out:{"+uid+"}").Result()
	if err != nil {
		t.Fatal(err)
	}
	n, bytes := 0, 0
	for field, value := range all {
		part := strings.Fields(value)
		if field == "bytes" {
			totals = value
			continue
		}
		n++
		b, err := strconv.Atoi(part[0])
		if err != nil {
			t.Fatal(err)
		}
		bytes += b
	}
	if totals != "" {
		totals = fmt.Sprint(n, " ", totals)
	}
	return totals, fmt.Sprint(n, " ", bytes)
}

// The totals of a sender are those of the messages that wait, whatever is repeated, and although a failover loses the
// last writes of the sender's node: as soon as they would refuse a send, and outboxes have sent again what waits.
func TestTotalsHeal(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := inbox.Options{Limits: inbox.Generous()}
		o.Limits.SenderBytes = 30_000
		s := open(t, b, o.WithTuning(inbox.Tuning{Refresh: 1, Heal: 1}))
		refused := 0
		for seed := range uint64(rounds(b)) {
			r := rand.New(rand.NewPCG(seed, 2))
			from := fmt.Sprint("sender", seed)
			key := "out:{" + from + "}"
			to := func() string { return from + []string{"x", "y", "z"}[r.IntN(3)] }
			waits := map[string]int{} // bytes by message id
			messages := map[string]chat.Message{}
			snapshot := map[string]string{}
			resend := func() {
				for id := range waits {
					if _, err := s.Enqueue(t.Context(), messages[id]); err != nil {
						t.Fatal(err)
					}
				}
			}
			bytes := func() (sum int) {
				for _, n := range waits {
					sum += n
				}
				return sum
			}
			for range 40 {
				switch r.IntN(10) {
				case 0:
					snapshot = s.rdb.HGetAll(t.Context(), key).Val()
				case 1: // a failover to a node that has only the snapshot
					s.rdb.Del(t.Context(), key)
					if len(snapshot) > 0 {
						s.rdb.HSet(t.Context(), key, snapshot)
					}
				case 2:
					uid := to()
					s.deliver(t, uid)
					for id := range waits {
						if messages[id].To == uid {
							delete(waits, id)
						}
					}
				case 3: // the receipt of a message that waits on, as after a crash before it was settled
					s.report(t, to(), wire.EventDelivered)
				case 4:
					resend()
				default:
					m := message(from, to(), strings.Repeat("x", 1+r.IntN(6000)))
					messages[m.ID] = m
					event, _, err := wire.MarshalMessage(m)
					if err != nil {
						t.Fatal(err)
					}
					size := len(event) + 15 // accepted_at has 16 digits
					switch _, err := s.Enqueue(t.Context(), m); {
					case err == nil:
						waits[m.ID] = size
					case !errors.Is(err, inbox.ErrOutboxFull):
						t.Fatal(err)
					default:
						refused++
						if bytes()+size <= o.Limits.SenderBytes {
							t.Errorf("seed %d: a message of %d bytes is refused, although only %d wait", seed, size, bytes())
						}
					}
				}
				if totals, fields := s.totals(t, from); totals != "" && totals != fields {
					t.Fatalf("seed %d: totals %s, but the fields add up to %s", seed, totals, fields)
				}
			}
			resend()
			if err := s.Heal(t.Context(), from); err != nil {
				t.Fatal(err)
			}
			totals, _ := s.totals(t, from)
			if want := fmt.Sprint(len(waits), " ", bytes()); totals != want && len(waits) > 0 {
				t.Errorf("seed %d: totals %q after they healed, want %q", seed, totals, want)
			}
		}
		if refused < rounds(b) {
			t.Errorf("only %d sends were refused, so little was tested", refused)
		}
		if s.Counters().Healed.Load() == 0 {
			t.Error("nothing was healed")
		}
	})
}

// An idle sender leaves no totals behind, and those of a sender whose messages wait expire after the messages.
func TestTotalsExpire(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "one")
		if d := s.ttl(t, "out:{ann}"); d < 30*24*time.Hour || d > 31*24*time.Hour {
			t.Errorf("while a message waits, the totals expire in %v", d)
		}
		s.report(t, "ben", wire.EventRefused)
		if n := s.rdb.Exists(t.Context(), "out:{ann}").Val(); n != 0 {
			t.Error("when nothing waits, there are totals")
		}
	})
}

// One account holds at most 16 MiB of Redis, whatever it writes; see DESIGN §5. This test has a quarter of the limits.
func TestMemoryOfOneAccount(t *testing.T) {
	b := redistest.Single(t)
	o := inbox.Options{Limits: inbox.Limits{SendsPerMinute: 1 << 30, NewPeople: 1 << 30, StrangerMessages: 1 << 30,
		StrangerBytes: 1 << 30, SenderBytes: 1 << 20, SenderMessages: 2_500}}
	s := open(t, b, o.WithTuning(inbox.Tuning{KeepBytes: 512 << 10, KeepEvents: 25, KeepAtMost: 500, MaxEntries: 5_000,
		Refresh: 1})) // because the subtests empty Redis
	used := func() int64 {
		t.Helper()
		text, err := s.rdb.Info(t.Context(), "memory").Result()
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(text, "used_memory:")
		number, _, _ := strings.Cut(after, "\r\n")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, body := range map[string]string{"largest": strings.Repeat("\u2028", chat.MaxBody-1) + "x",
		"escaped in HTML": strings.Repeat("<", chat.MaxBody), "smallest": "x"} {
		t.Run(name, func(t *testing.T) {
			redistest.Single(t) // empties it
			uid := func(i int) string { return fmt.Sprintf("%028d", i) }
			s.send(t, uid(0), uid(1), "loads the scripts")
			before := used()
			eve := strings.Repeat("e", 28)
			s.send(t, uid(0), eve, "waits in front of her own copies")
			refused := 0
			for i := 0; refused < 50; i++ {
				switch _, err := s.Enqueue(t.Context(), message(eve, uid(1+i%30), body)); {
				case errors.Is(err, inbox.ErrOutboxFull):
					refused++
				case err != nil:
					t.Fatal(err)
				}
			}
			if n := used() - before; n > 4<<20 || n < 1<<20 {
				t.Errorf("the account holds %d KiB, want 1 to 4 MiB", n>>10)
			} else {
				t.Logf("the account holds %d KiB", n>>10)
			}
		})
	}
}
