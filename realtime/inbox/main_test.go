package inbox_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

// setup is one instance on a backend.
type setup struct {
	*inbox.Inboxes
	rdb    redis.UniversalClient
	b      *redistest.Redis
	l      *redissub.Subscriber
	probes *probes
}

// open starts an instance: Inboxes and their Listener.
func open(t testing.TB, b *redistest.Redis, o inbox.Options) *setup {
	t.Helper()
	rdb := b.Client(t, nil)
	return openOn(t, b, rdb, o)
}

func openOn(t testing.TB, b *redistest.Redis, rdb redis.UniversalClient, o inbox.Options) *setup {
	t.Helper()
	p := &probes{first: make(chan struct{})}
	rdb.AddHook(p)
	l := redissub.New(rdb, redissub.Options{Retry: 50 * time.Millisecond})
	o.Subscriber = l
	x := inbox.New(rdb, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- l.Run(ctx) }()
	go func() { done <- x.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	return &setup{x, rdb, b, l, p}
}

// probes sees when an instance has learnt which life Redis lives, where that is
// one node: its key is in Redis some moments before. It is a redis.Hook.
type probes struct {
	once  sync.Once
	first chan struct{} // closed by the first
}

// wait returns once there was a probe.
func (p *probes) wait(t testing.TB) {
	t.Helper()
	select {
	case <-p.first:
	case <-time.After(15 * time.Second):
		t.Fatal("redis was not asked who it is")
	}
}

func (p *probes) DialHook(next redis.DialHook) redis.DialHook { return next }

func (p *probes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (p *probes) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		// A script's arguments are its name, its text or digest, and the number of its
		// keys. That of a probe, its last step, is the only one without keys.
		if args := cmd.Args(); err == nil && strings.HasPrefix(cmd.Name(), "eval") && fmt.Sprint(args[2]) == "0" {
			p.once.Do(func() { close(p.first) })
		}
		return err
	}
}

// message makes a message of the given people.
func message(from, to, body string) chat.Message {
	return chat.Message{ID: uuid.Must(uuid.NewV7()).String(), Conversation: chat.ConversationID(from, to),
		From: from, To: to, Body: body, At: chat.MicrosOf(time.Now())}
}

func (s *setup) send(t testing.TB, from, to, body string) chat.Message {
	t.Helper()
	m := message(from, to, body)
	at, err := s.Enqueue(t.Context(), m)
	if err != nil {
		t.Fatalf("enqueue: %v", err)
	}
	m.AcceptedAt = at
	return m
}

// attach fails the test on an error.
func (s *setup) attach(t testing.TB, uid, cursor string) inbox.Attachment {
	t.Helper()
	a, err := s.Attach(t.Context(), uid, cursor)
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	return a
}

// all reads from p to the end.
func (s *setup) all(t testing.TB, uid string, p inbox.Position) (events []inbox.Event, gap bool, end inbox.Position) {
	t.Helper()
	for {
		page, err := s.Read(t.Context(), uid, p, 0)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		events = append(events, page.Events...)
		gap = gap || page.Gap
		p = page.Next
		if !page.More {
			return events, gap, p
		}
	}
}

// retained returns everything that a new device would be sent.
func (s *setup) retained(t testing.TB, uid string) []inbox.Event {
	t.Helper()
	events, _, _ := s.all(t, uid, s.attach(t, uid, "").From)
	return events
}

// settle settles all of uid's inbox up to c, as the settle package does, without publishing.
func (s *setup) settle(t testing.TB, uid string, c inbox.Cursor) inbox.SettleResult {
	t.Helper()
	for {
		u := s.Unsettled(t.Context(), []inbox.Claim{{UID: uid, To: c.ID}}, 200)[0]
		if u.Err != nil {
			t.Fatalf("unsettled: %v", u.Err)
		}
		r := s.Settle(t.Context(), []inbox.Settlement{{UID: uid, Epoch: c.Epoch, Expected: u.Settled, To: u.To, Messages: settled(t, u.Events)}})[0]
		if r.Err != nil {
			t.Fatalf("settle: %v", r.Err)
		}
		if r.Outcome != inbox.SettleDone || u.To == c.ID {
			return r
		}
	}
}

func settled(t testing.TB, events []inbox.Event) []inbox.SettledMessage {
	var list []inbox.SettledMessage
	for _, e := range events {
		if e.Type == "message" {
			m, err := e.Message()
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, inbox.SettledMessage{ID: e.ID, From: m.From, MessageID: m.ID})
		}
	}
	return list
}

func bodies(t testing.TB, events []inbox.Event) (out []string) {
	for _, e := range events {
		m, err := e.Message()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Type+" "+m.Body)
	}
	return out
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
