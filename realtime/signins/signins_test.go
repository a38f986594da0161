package signins_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/signins"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// topic keeps what was published.
type topic struct {
	t    *testing.T
	mu   sync.Mutex
	seen []delivery.Seen
	fail int // calls that fail
}

func (p *topic) Publish(_ context.Context, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail > 0 {
		p.fail--
		return errors.New("not now")
	}
	raw, err := delivery.Decode(data)
	for _, entry := range raw.Seen {
		s, derr := delivery.DecodeSeen(entry)
		err = errors.Join(err, derr)
		p.seen = append(p.seen, s)
	}
	if err != nil {
		p.t.Error(err)
	}
	return nil
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

// run runs a Recorder, which reports the uses before it ends.
func run(t *testing.T, b *redistest.Redis, pub *topic, uses ...signins.Use) {
	t.Helper()
	r := signins.New(script.NewRunner(b.Client(t, nil), script.Options{}), pub, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	}()
	for _, u := range uses {
		r.Opened(u)
	}
	cancel()
	<-ended
}

// Each sign-in is reported once in an hour, by whichever instance, and a user has at most 10 of them.
func TestOnceAnHour(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := &topic{t: t}
		at := time.Now().Truncate(time.Second)
		use := func(uid string, n int) signins.Use {
			return signins.Use{UID: uid, AuthTime: at.Add(time.Duration(n) * time.Second), At: at,
				Client: useragent.Client{Browser: "Firefox"}}
		}
		run(t, b, pub, use("ann", 1), use("ann", 1), use("ben", 1), use("ann", 2))
		run(t, b, pub, use("ann", 1), use("ben", 1))
		var got []string
		for _, s := range pub.seen {
			got = append(got, fmt.Sprint(s.UID, (s.SignIn-chat.MicrosOf(at))/1e6, s.Browser))
		}
		if fmt.Sprint(got) != "[ann1Firefox ben1Firefox ann2Firefox]" {
			t.Errorf("reported %v", got)
		}
		var many []signins.Use
		for n := range 2 * signins.MaxDue {
			many = append(many, use("eve", n))
		}
		pub.seen = nil
		run(t, b, pub, many...)
		if len(pub.seen) != signins.MaxDue {
			t.Errorf("reported %d sign-ins of one user", len(pub.seen))
		}
	})
}

// Redis forgets a report after an hour, and each of them on its own.
func TestDueAgain(t *testing.T) {
	b := redistest.Mini(t)
	pub := &topic{t: t}
	began := time.Now()
	b.Mini.SetTime(began)
	use := signins.Use{UID: "ann", AuthTime: began, At: began}
	run(t, b, pub, use)
	b.Mini.SetTime(began.Add(signins.Every - time.Second))
	run(t, b, pub, use, signins.Use{UID: "ann", AuthTime: began.Add(-time.Hour), At: began})
	if len(pub.seen) != 2 {
		t.Fatalf("reported %+v", pub.seen)
	}
	b.Mini.SetTime(began.Add(signins.Every + time.Second))
	run(t, b, pub, use, signins.Use{UID: "ann", AuthTime: began.Add(-time.Hour), At: began})
	if len(pub.seen) != 3 || pub.seen[2].SignIn != chat.Micros(began.Unix())*1e6 {
		t.Errorf("reported %+v", pub.seen)
	}
}

// A full queue drops uses, and does not block the sockets.
func TestFullQueue(t *testing.T) {
	b := redistest.Mini(t)
	r := signins.New(script.NewRunner(b.Client(t, nil), script.Options{}), &topic{t: t}, slog.New(slog.DiscardHandler))
	for range signins.Queue + 3 {
		r.Opened(signins.Use{UID: "ann"})
	}
	counters, err := json.Marshal(r.Counters())
	if err != nil || r.Counters().Dropped.Load() != 3 {
		t.Errorf("counters %s, %v", counters, err)
	}
}
