package inbox_test

import (
	"context"
	"fmt"
	"reflect"
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

// setup is one instance that uses a backend.
type setup struct {
	*inbox.Inboxes
	rdb        redis.UniversalClient
	subscriber *redissub.Subscriber
	probes     *probes
}

// open starts an instance: Inboxes and their Subscriber. Without limits in o, they are generous.
func open(t testing.TB, b *redistest.Redis, o inbox.Options) *setup {
	t.Helper()
	return openWith(t, b.Client(t, nil), o)
}

// openWith starts an instance that uses a given client.
func openWith(t testing.TB, rdb redis.UniversalClient, o inbox.Options) *setup {
	t.Helper()
	p := &probes{first: make(chan struct{})}
	redistest.AddHook(t, rdb, p)
	subscriber := redissub.New(rdb, redissub.Options{Retry: 50 * time.Millisecond})
	o.Subscriber = subscriber
	if o.Limits == (inbox.Limits{}) {
		o.Limits = inbox.Generous()
	}
	boxes := inbox.New(rdb, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- subscriber.Run(ctx) }()
	go func() { done <- boxes.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	return &setup{boxes, rdb, subscriber, p}
}

// probes is a redis.Hook that observes when an instance has read the epoch of a Redis with one node. The epoch key
// exists some moments earlier, so it cannot be used for that.
type probes struct {
	once  sync.Once
	first chan struct{} // closed after the first probe
}

// wait returns after the first probe.
func (p *probes) wait(t testing.TB) {
	t.Helper()
	select {
	case <-p.first:
	case <-time.After(15 * time.Second):
		t.Fatal("the epoch of Redis was not probed")
	}
}

func (p *probes) DialHook(next redis.DialHook) redis.DialHook { return next }

func (p *probes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (p *probes) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		// The arguments are the command, the text or digest of the script, and the number of keys. The script of a probe
		// is its last step and the only one without keys.
		if args := redistest.Args(cmd); err == nil && strings.HasPrefix(cmd.Name(), "eval") && fmt.Sprint(args[2]) == "0" {
			p.once.Do(func() { close(p.first) })
		}
		return err
	}
}

// message returns a new message between the given users.
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

// attach attaches a device, and checks that Read returns the same first page. Something else may change the inbox
// between the two, so it repeats both a few times.
func (s *setup) attach(t testing.TB, uid, cursor string) inbox.Attachment {
	t.Helper()
	const limit = 3
	for attempt := 1; ; attempt++ {
		a, first, err := s.AttachAndRead(t.Context(), uid, "", cursor, limit)
		if err != nil {
			t.Fatalf("attach: %v", err)
		}
		same, err := s.Read(t.Context(), uid, a.From, limit)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if reflect.DeepEqual(first, same) {
			return a
		}
		if attempt == 5 {
			t.Fatalf("first page of a device at %q:\n got %+v\nRead %+v", cursor, first, same)
		}
	}
}

// all reads all pages from p on.
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

// retained returns everything that a new device would get.
func (s *setup) retained(t testing.TB, uid string) []inbox.Event {
	t.Helper()
	events, _, _ := s.all(t, uid, s.attach(t, uid, "").From)
	return events
}

// settle settles uid's inbox up to c like the settle package, but without publishing.
func (s *setup) settle(t testing.TB, uid string, c inbox.Cursor) inbox.SettleResult {
	t.Helper()
	for {
		u := s.Unsettled(t.Context(), []inbox.Claim{{UID: uid, To: c.ID}}, 200)[0]
		if u.Err != nil {
			t.Fatalf("unsettled: %v", u.Err)
		}
		r := s.settleList(t, uid, c.Epoch, u)
		if r.Err != nil {
			t.Fatalf("settle: %v", r.Err)
		}
		if r.Outcome != inbox.SettleDone || u.To == c.ID {
			return r
		}
	}
}

// settleList settles what is listed in u.
func (s *setup) settleList(t testing.TB, uid, epoch string, u inbox.Unsettled) inbox.SettleResult {
	t.Helper()
	return s.Settle(t.Context(), []inbox.Settlement{
		{UID: uid, Epoch: epoch, Expected: u.Settled, To: u.To, Messages: settledMessages(t, u.Events)}})[0]
}

func settledMessages(t testing.TB, events []inbox.Event) []inbox.SettledMessage {
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

// bodies returns the types and message bodies of events.
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

// same compares the printed forms of two values.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
