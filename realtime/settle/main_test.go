package settle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

// topic is a Publisher that keeps the Pub/Sub messages it confirmed.
type topic struct {
	mu      sync.Mutex
	batches []delivery.Batch
	sizes   []int
	down    bool
	before  func(delivery.Batch) error // called before a confirmation, without mu
}

func newTopic() *topic { return &topic{} }

var errDown = errors.New("pub/sub is down")

func (p *topic) Publish(ctx context.Context, data []byte) error {
	var b delivery.Batch
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	p.mu.Lock()
	down, before := p.down, p.before
	p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if down {
		return errDown
	}
	if before != nil {
		if err := before(b); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batches = append(p.batches, b)
	p.sizes = append(p.sizes, len(data))
	return nil
}

func (p *topic) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// intercept has f called before each confirmation. An error of f refuses the Pub/Sub message.
func (p *topic) intercept(f func(delivery.Batch) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = f
}

// refuse refuses the Pub/Sub messages that contain a message with that body.
func (p *topic) refuse(body string) {
	p.intercept(func(b delivery.Batch) error {
		for _, d := range b.Delivered {
			if d.Body == body {
				return errDown
			}
		}
		return nil
	})
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

// instance is the part of one realtime instance that settles.
type instance struct {
	*Settler
	in   *inbox.Inboxes
	rdb  redis.UniversalClient
	loss *lossHook
	stop func()
}

func start(t testing.TB, b *redistest.Redis, pub Publisher, o Options) *instance {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	rdb := b.Client(t, nil)
	loss := &lossHook{}
	redistest.AddHook(t, rdb, loss)
	l := redissub.New(rdb, redissub.Options{Retry: 50 * time.Millisecond})
	in := inbox.New(rdb, inbox.Options{Subscriber: l, Limits: inbox.Generous()})
	s := New(in, pub, o)
	ctx, cancel := context.WithCancel(context.Background())
	lctx, lcancel := context.WithCancel(context.Background())
	settled, others := make(chan error, 1), make(chan error, 2)
	go func() { settled <- s.Run(ctx) }()
	go func() { others <- l.Run(lctx) }()
	go func() { others <- in.Run(lctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		<-settled
		lcancel()
		<-others
		<-others
	})
	t.Cleanup(stop)
	return &instance{s, in, rdb, loss, stop}
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

// device is a socket of a user that reads the user's stream itself.
type device struct {
	t   testing.TB
	x   *instance
	uid string
	at  inbox.Attachment
	pos inbox.Position
	w   *Window
	got []inbox.Event
}

func (x *instance) attach(t testing.TB, uid, cursor string) *device {
	t.Helper()
	a, err := x.in.Attach(t.Context(), uid, "", cursor)
	if err != nil {
		t.Fatal(err)
	}
	return &device{t: t, x: x, uid: uid, at: a, pos: a.From, w: x.Open(uid, a)}
}

// receive reads all new events and records them as sent.
func (d *device) receive() []inbox.Event {
	d.t.Helper()
	var fresh []inbox.Event
	for {
		p, err := d.x.in.Read(d.t.Context(), d.uid, d.pos, 0)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, e := range p.Events {
			d.w.Sent(p.Next.Cursor, e)
		}
		fresh = append(fresh, p.Events...)
		d.pos = p.Next
		if !p.More {
			d.got = append(d.got, fresh...)
			return fresh
		}
	}
}

// ack acknowledges everything that was received.
func (d *device) ack() { d.w.Ack(d.pos.Cursor) }

func (d *device) close() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.w.Close(ctx); err != nil {
		d.t.Errorf("close: %v", err)
	}
}

// waiting returns the number of messages that wait in uid's inbox, without those that are marked and not forgotten yet.
func (x *instance) waiting(t testing.TB, uid string) (n int) {
	t.Helper()
	ctx := context.Background()
	nonce := x.rdb.HGet(ctx, "meta:{"+uid+"}", "nonce").Val()
	var marked inbox.ID
	for _, z := range x.rdb.ZRangeWithScores(ctx, "marked:{"+uid+"}", 0, -1).Val() {
		if epoch, _ := z.Member.(string); strings.HasSuffix(epoch, "."+nonce) {
			marked = inbox.ID{Ms: uint64(z.Score) / 1024, Seq: uint64(z.Score) % 1024}
		}
	}
	// After the marks, because what is forgotten in between has neither a mark nor a record.
	records, err := x.rdb.HGetAll(ctx, "pending:{"+uid+"}").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		text, _, _ := strings.Cut(record, " ")
		id, err := inbox.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		if id.After(marked) {
			n++
		}
	}
	return n
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
	a, err := x.in.Attach(context.Background(), uid, "", "")
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
