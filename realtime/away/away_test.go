package away_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// publisher keeps what is published, with the time since it was made.
type publisher struct {
	t       *testing.T
	made    time.Time
	mu      sync.Mutex
	got     []string
	attempt int
	fail    error
	hang    bool
}

func (p *publisher) Publish(ctx context.Context, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempt++
	if p.hang {
		p.mu.Unlock()
		<-ctx.Done()
		p.mu.Lock()
		return ctx.Err()
	}
	if p.fail != nil {
		return p.fail
	}
	e, err := away.Decode(data)
	if err != nil {
		p.t.Error(err)
	}
	if e.At != chat.MicrosOf(time.Now()) {
		p.t.Errorf("at %v", e.At.Time())
	}
	p.got = append(p.got, fmt.Sprintf("%.0f %s %d %s", time.Since(p.made).Seconds(), e.UID, len(e.IDs), e.Text))
	return nil
}

func (p *publisher) set(fail error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

// check compares the events since the last call: "<second> <recipient> <messages> <text>" each.
func (p *publisher) check(what, want string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := strings.Join(p.got, ", "); got != want {
		p.t.Errorf("%s: got %q, want %q", what, got, want)
	}
	p.got = nil
}

// run runs a Notifier in a bubble.
func run(t *testing.T, test func(p *publisher, n *away.Notifier, stop func())) {
	t.Helper()
	runWith(t, away.Options{}, test)
}

func runWith(t *testing.T, o away.Options, test func(p *publisher, n *away.Notifier, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{t: t, made: time.Now()}
		o.Log = slog.New(slog.DiscardHandler)
		n := away.New(p, o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		})
		defer stop()
		test(p, n, stop)
	})
}

func message(from, to, body string) chat.Message {
	return chat.Message{ID: uuid.Must(uuid.NewV7()).String(), Conversation: chat.ConversationID(from, to), From: from,
		To: to, Body: body, At: 1}
}

func TestGather(t *testing.T) {
	run(t, func(p *publisher, n *away.Notifier, _ func()) {
		m := message("ann", "bob", "one")
		n.Notify(m)
		n.Notify(m)
		testwait.Advance(500 * time.Millisecond)
		n.Notify(message("ann", "bob", "two"))
		n.Notify(message("bob", "ann", "back"))
		n.Notify(message("cat", "bob", "other"))
		testwait.Advance(700 * time.Millisecond)
		p.check("a second after the first", "1 bob 2 two")
		testwait.Advance(500 * time.Millisecond)
		p.mu.Lock()
		if len(p.got) != 2 {
			t.Errorf("got %v", p.got)
		}
		p.got = nil
		p.mu.Unlock()
		// A conversation has one event in 3 s.
		n.Notify(message("ann", "bob", "three"))
		testwait.Advance(2200 * time.Millisecond)
		p.check("too early", "")
		n.Notify(message("ann", "bob", strings.Repeat("é", 1000)))
		testwait.Advance(500 * time.Millisecond)
		p.check("3 s after the last", "4 bob 2 "+strings.Repeat("é", away.MaxText))
		testwait.Advance(10 * time.Second)
		n.Notify(message("ann", "bob", "four"))
		testwait.Advance(1200 * time.Millisecond)
		p.check("much later", "16 bob 1 four")
		if c := n.Counters(); c.Published.Load() != 5 || c.Dropped.Load() != 0 || c.Messages.Load() != 8 {
			t.Errorf("counters %+v", c)
		}
	})
}

// Nobody is notified of the messages of somebody whom they have not answered. While it is not known, the event waits.
func TestRequests(t *testing.T) {
	var mu sync.Mutex
	answered, fail := false, errors.New("redis is down")
	set := func(now bool) {
		mu.Lock()
		defer mu.Unlock()
		answered, fail = now, nil
	}
	o := away.Options{Answered: func(_ context.Context, uid, other string) (bool, error) {
		if uid != "bob" || other != "ann" {
			t.Errorf("asked whether %s has answered %s", uid, other)
		}
		mu.Lock()
		defer mu.Unlock()
		return answered, fail
	}}
	runWith(t, o, func(p *publisher, n *away.Notifier, _ func()) {
		n.Notify(message("ann", "bob", "one"))
		testwait.Advance(4 * time.Second)
		set(true)
		testwait.Advance(2 * time.Second)
		p.check("not known for 4 s", "5 bob 1 one")
		set(false)
		n.Notify(message("ann", "bob", "two"))
		n.Notify(message("ann", "bob", "three"))
		testwait.Advance(10 * time.Second)
		p.check("a request", "")
		set(true)
		n.Notify(message("ann", "bob", "four"))
		testwait.Advance(2 * time.Second)
		p.check("answered", "17 bob 1 four")
		if c := n.Counters(); c.Requests.Load() != 2 || c.PublishFailed.Load() == 0 || c.Dropped.Load() != 0 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestManyMessages(t *testing.T) {
	run(t, func(p *publisher, n *away.Notifier, _ func()) {
		for i := range 250 {
			n.Notify(message("ann", "bob", strings.Repeat("\U0001F600", 500+i)))
		}
		testwait.Advance(1100 * time.Millisecond)
		p.check("the newest ids", fmt.Sprintf("1 bob %d %s", away.MaxIDs, strings.Repeat("\U0001F600", away.MaxText)))
	})
}

func TestPublisherFails(t *testing.T) {
	run(t, func(p *publisher, n *away.Notifier, _ func()) {
		p.set(errors.New("broken"))
		n.Notify(message("ann", "bob", "one"))
		testwait.Advance(5 * time.Second)
		n.Notify(message("ann", "bob", "two"))
		p.set(nil)
		testwait.Advance(3 * time.Second)
		p.check("it works again", "5 bob 2 two")
		p.set(errors.New("broken"))
		testwait.Advance(5 * time.Second)
		n.Notify(message("ann", "bob", "three"))
		testwait.Advance(away.Expire + 2*time.Second)
		p.set(nil)
		testwait.Advance(10 * time.Second)
		p.check("after a minute", "")
		if c := n.Counters(); c.Dropped.Load() != 1 || c.PublishFailed.Load() < 5 {
			t.Errorf("counters %+v", c)
		}
	})
}

// A publisher that hangs delays no caller, and takes no more memory than the limit.
func TestPublisherHangs(t *testing.T) {
	run(t, func(p *publisher, n *away.Notifier, stop func()) {
		p.hang = true
		began := time.Now()
		for i := range away.Waiting + 50 {
			n.Notify(message(fmt.Sprint("a", i), fmt.Sprint("u", i), "one"))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Notify took %v", took)
		}
		if c := n.Counters(); c.Dropped.Load() != 50 {
			t.Errorf("%d dropped, want 50", c.Dropped.Load())
		}
		testwait.Advance(away.Expire + 15*time.Second) // the last attempts take 10 s
		p.mu.Lock()
		started := p.attempt
		p.mu.Unlock()
		if c := n.Counters(); started > 8*16 || c.Dropped.Load() != away.Waiting+50 {
			t.Errorf("%d dropped, %d started", c.Dropped.Load(), started)
		}
		n.Notify(message("ann", "zoe", "there is room again"))
		stopping := time.Now()
		stop()
		if took := time.Since(stopping); took > 2*time.Second {
			t.Errorf("Run took %v to end", took)
		}
	})
}

// One sender cannot make an instance publish as many events as it sends messages, and delays nobody else's.
func TestOneSender(t *testing.T) {
	run(t, func(p *publisher, n *away.Notifier, _ func()) {
		published := func() int64 { return n.Counters().Published.Load() }
		for i := range 40 {
			n.Notify(message("ann", fmt.Sprint("u", i), "one"))
		}
		n.Notify(message("cid", "dan", "two"))
		testwait.Advance(1100 * time.Millisecond)
		if got := published(); got != away.SenderBurst+1 {
			t.Errorf("%d events after a second, want %d", got, away.SenderBurst+1)
		}
		late := int64(away.Expire/away.SenderEvery) - 1
		testwait.Advance(away.Expire)
		if got := published(); got != away.SenderBurst+1+late {
			t.Errorf("%d events in the end, want %d", got, away.SenderBurst+1+late)
		}
		c := n.Counters()
		if got, want := c.Limited.Load(), 40-away.SenderBurst-late; got != want || c.Dropped.Load() != 0 {
			t.Errorf("%d messages limited, want %d; %d dropped", got, want, c.Dropped.Load())
		}
		n.Notify(message("ann", "zoe", "later"))
		testwait.Advance(1100 * time.Millisecond)
		if got := published(); got != away.SenderBurst+2+late {
			t.Error("the sender is not allowed again")
		}
	})
}

// An instance that ends publishes the events that wait at once.
func TestStop(t *testing.T) {
	run(t, func(p *publisher, n *away.Notifier, stop func()) {
		n.Notify(message("ann", "bob", "one"))
		testwait.Advance(200 * time.Millisecond)
		stop()
		p.check("at the end", "0 bob 1 one")
	})
	run(t, func(p *publisher, n *away.Notifier, stop func()) {
		p.set(errors.New("broken"))
		n.Notify(message("ann", "bob", "one"))
		testwait.Advance(200 * time.Millisecond)
		stop()
		if c := n.Counters(); c.Dropped.Load() != 1 || c.PublishFailed.Load() != 1 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestDecode(t *testing.T) {
	for _, data := range []string{"", "[]", `{"v":1}`, strings.Repeat(" ", away.MaxData) + "{}",
		`{"v":2,"uid":"bob","conversation":"ann~bob","from":"ann","ids":["019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e"],"at":1}`,
		`{"v":1,"uid":"bob","conversation":"ann~bob","from":"bob","ids":["019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e"],"at":1}`,
		`{"v":1,"uid":"bob","conversation":"ann~bob","from":"ann","ids":[],"at":1}`,
		`{"v":1,"uid":"bob","conversation":"ann~bob","from":"ann","ids":["x"],"at":1}`,
		`{"v":1,"uid":"bob","conversation":"ann~bob","from":"ann","ids":["019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e"]}`,
	} {
		if e, err := away.Decode([]byte(data)); err == nil {
			t.Errorf("%.100s was decoded: %+v", data, e)
		}
	}
}
