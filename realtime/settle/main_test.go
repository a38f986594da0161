package settle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

// topic is a Publisher that keeps what it confirmed.
type topic struct {
	mu      sync.Mutex
	batches []delivery.Batch
	sizes   []int
	down    bool
	before  func(delivery.Batch) error // called without mu before a confirmation
	news    chan struct{}
}

func newTopic() *topic { return &topic{news: make(chan struct{}, 1)} }

var errDown = errors.New("pub/sub is down")

func (p *topic) Publish(ctx context.Context, data []byte) error {
	var b delivery.Batch
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	p.mu.Lock()
	down, before := p.down, p.before
	p.mu.Unlock()
	if down {
		return errDown
	}
	if before != nil {
		if err := before(b); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.batches = append(p.batches, b)
	p.sizes = append(p.sizes, len(data))
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
	return nil
}

func (p *topic) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// delivered returns the bodies of all published messages, in order, repeats included.
func (p *topic) delivered() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.batches {
		for _, d := range b.Delivered {
			out = append(out, d.Body)
		}
	}
	return out
}

func (p *topic) reads() (out []delivery.Read) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.batches {
		out = append(out, b.Read...)
	}
	return out
}

func (p *topic) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.batches)
}

// instance is one realtime instance as far as this package goes.
type instance struct {
	*settle.Settler
	in   *inbox.Inboxes
	rdb  redis.UniversalClient
	stop func()
}

func start(t testing.TB, b *redistest.Redis, pub settle.Publisher, o settle.Options) *instance {
	t.Helper()
	rdb := b.Client(t, nil)
	return startOn(t, rdb, pub, o)
}

func startOn(t testing.TB, rdb redis.UniversalClient, pub settle.Publisher, o settle.Options) *instance {
	t.Helper()
	l := redissub.New(rdb, redissub.Options{Retry: 50 * time.Millisecond})
	in := inbox.New(rdb, inbox.Options{Subscriber: l})
	s := settle.New(in, pub, o)
	ctx, cancel := context.WithCancel(context.Background())
	lctx, lcancel := context.WithCancel(context.Background())
	settled, rest := make(chan error, 1), make(chan error, 2)
	go func() { settled <- s.Run(ctx) }()
	go func() { rest <- l.Run(lctx) }()
	go func() { rest <- in.Run(lctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		<-settled
		lcancel()
		<-rest
		<-rest
	})
	t.Cleanup(stop)
	return &instance{s, in, rdb, stop}
}

func message(from, to, body string) chat.Message {
	return chat.Message{ID: uuid.Must(uuid.NewV7()).String(), Conversation: chat.ConversationID(from, to),
		From: from, To: to, Body: body, At: chat.MicrosOf(time.Now())}
}

func (x *instance) send(t testing.TB, from, to, body string) chat.Message {
	t.Helper()
	m := message(from, to, body)
	at, err := x.in.Enqueue(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	m.AcceptedAt = at
	return m
}

// device is a socket of a user that reads its stream by itself.
type device struct {
	t   testing.TB
	x   *instance
	uid string
	at  inbox.Attachment
	pos inbox.Position
	acc *settle.Window
	got []inbox.Event
}

func (x *instance) attach(t testing.TB, uid, cursor string) *device {
	t.Helper()
	a, err := x.in.Attach(t.Context(), uid, cursor)
	if err != nil {
		t.Fatal(err)
	}
	return &device{t: t, x: x, uid: uid, at: a, pos: a.From, acc: x.Open(uid, a)}
}

// receive reads everything there is, and notes it as sent.
func (d *device) receive() []inbox.Event {
	d.t.Helper()
	var fresh []inbox.Event
	for {
		p, err := d.x.in.Read(d.t.Context(), d.uid, d.pos, 0)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, e := range p.Events {
			d.acc.Sent(p.Next.Epoch, e)
		}
		fresh = append(fresh, p.Events...)
		d.pos = p.Next
		if !p.More {
			d.got = append(d.got, fresh...)
			return fresh
		}
	}
}

// ack acknowledges everything received.
func (d *device) ack() { d.acc.Ack(d.pos.Cursor) }

func (d *device) close() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.acc.Close(ctx); err != nil {
		d.t.Errorf("close: %v", err)
	}
}

// waiting returns the number of messages that wait in uid's inbox.
func (x *instance) waiting(t testing.TB, uid string) int {
	t.Helper()
	n, err := x.rdb.HLen(context.Background(), "pending:{"+uid+"}").Result()
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// types returns the types of all events retained for uid.
func (x *instance) types(t testing.TB, uid string) (out []string) {
	t.Helper()
	for _, e := range x.events(t, uid) {
		out = append(out, e.Type)
	}
	return out
}

func (x *instance) events(t testing.TB, uid string) (out []inbox.Event) {
	t.Helper()
	a, err := x.in.Attach(context.Background(), uid, "")
	if err != nil {
		t.Fatal(err)
	}
	for p := a.From; ; {
		page, err := x.in.Read(context.Background(), uid, p, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page.Events...)
		if p = page.Next; !page.More {
			return out
		}
	}
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
