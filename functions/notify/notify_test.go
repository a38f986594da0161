package notify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/notify"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// sent is a push that a sender was given.
type sent struct {
	device, topic string
	content       map[string]any
}

// world is a function with its surroundings.
type world struct {
	t         *testing.T
	store     *storebolt.Store
	log       bytes.Buffer
	notify    *notify.Function
	published []away.Event
	refreshed []string // users whose gates were sent

	mu      sync.Mutex
	sent    []sent
	answers map[string][]push.Result // by device; the last one is repeated; none: accepted
	fail    error                    // of Publish
}

func newWorld(t *testing.T) *world {
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{t: t, store: db, answers: map[string][]push.Result{}}
	w.notify = notify.New(notify.Deps{Store: db, Sender: w, Publisher: w, Gates: w,
		Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for _, uid := range []string{"ada", "bob"} {
		now := w.now()
		lease, err := db.Reserve(t.Context(), uid+"@example.org", uid, uid, "attempt", now, time.Minute)
		if err == nil {
			err = db.Commit(t.Context(), lease, store.User{UID: uid, Username: uid, DisplayName: strings.ToUpper(uid),
				Email: uid + "@example.org", CreatedAt: now})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) now() chat.Micros { return chat.MicrosOf(time.Now()) }

// Send is the sender of the function.
func (w *world) Send(_ context.Context, to store.Subscription, topic string, content []byte) push.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := sent{device: to.Device, topic: topic}
	if err := json.Unmarshal(content, &s.content); err != nil {
		w.t.Errorf("content: %v", err)
	}
	w.sent = append(w.sent, s)
	list := w.answers[to.Device]
	if len(list) == 0 {
		return push.Result{Outcome: push.Accepted, Status: 201}
	}
	if len(list) > 1 {
		w.answers[to.Device] = list[1:]
	}
	return list[0]
}

// RefreshGate is the sender of gates of the function.
func (w *world) RefreshGate(_ context.Context, uid string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refreshed = append(w.refreshed, uid)
	return errors.New("may fail")
}

// Publish publishes to the topic of the function.
func (w *world) Publish(_ context.Context, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	var n away.Event
	if err := json.Unmarshal(data, &n); err != nil {
		w.t.Error(err)
	}
	w.published = append(w.published, n)
	return nil
}

// reached returns the devices that were sent to since the last call, sorted.
func (w *world) reached() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var devices []string
	for _, s := range w.sent {
		devices = append(devices, s.device)
	}
	w.sent = nil
	slices.Sort(devices)
	return strings.Join(devices, " ")
}

// subscribe registers devices of bob.
func (w *world) subscribe(devices ...string) {
	w.t.Helper()
	for _, d := range devices {
		_, err := w.store.Subscribe(w.t.Context(), "bob", store.Subscription{Device: d,
			Endpoint: "https://push.example/secret-" + d, Preview: d != "discreet", SignIn: w.now(), At: w.now()})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// secretText is in no log.
const secretText = "the text of a message"

// message returns an event about messages of ada to bob.
func (w *world) message(n int) away.Event {
	e := away.Event{V: 1, UID: "bob", Conversation: "ada~bob", From: "ada", Text: secretText, At: w.now()}
	for range n {
		e.IDs = append(e.IDs, uuid.Must(uuid.NewV7()).String())
	}
	return e
}

func (w *world) handle(data any) error {
	w.t.Helper()
	b, ok := data.([]byte)
	if !ok {
		var err error
		if b, err = json.Marshal(data); err != nil {
			w.t.Fatal(err)
		}
	}
	e := event.New()
	e.SetID("1")
	err := e.SetData(event.ApplicationJSON, map[string]any{"message": map[string]any{"data": b, "messageId": "1"}})
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.notify.Handle(w.t.Context(), e)
	if logged := w.log.String(); strings.Contains(logged, "secret") || strings.Contains(logged, secretText) {
		w.t.Errorf("logged: %s", logged)
	}
	return err
}

func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("phone", "discreet")
		n := w.message(1)
		n.Text = strings.Repeat("é", 300)
		if err := w.handle(n); err != nil {
			t.Fatal(err)
		}
		if len(w.sent) != 2 {
			t.Fatalf("sent: %+v", w.sent)
		}
		for _, s := range w.sent {
			want := map[string]any{"v": 1.0, "to": "bob", "conversation": "ada~bob", "from": "ada", "name": "ADA",
				"ids": []any{n.IDs[0]}, "count": 1.0}
			if s.device == "phone" {
				want["text"] = strings.Repeat("é", 200)
			}
			if fmt.Sprint(s.content) != fmt.Sprint(want) {
				t.Errorf("%s got %v, want %v", s.device, s.content, want)
			}
			if _, err := base64.RawURLEncoding.DecodeString(s.topic); len(s.topic) != 32 || err != nil {
				t.Errorf("topic %q", s.topic)
			}
		}
	})
}

// The largest content fits into a push.
func TestLargestContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("phone")
		n := w.message(100)
		n.Text = strings.Repeat("\U0001F600", 300)
		if err := w.handle(n); err != nil {
			t.Fatal(err)
		}
		got := w.sent[0].content
		b, err := json.Marshal(got)
		ids, _ := got["ids"].([]any)
		if err != nil || len(b) > push.MaxContent || got["text"] == nil || got["count"] != 100.0 || len(ids) != 20 ||
			ids[19] != n.IDs[99] {
			t.Errorf("%d bytes: %s", len(b), b)
		}
	})
}

// Nothing is sent to people who must not get it or do not want it.
func TestNobody(t *testing.T) {
	always := chat.Setting{Conversation: "ada~bob", Kind: chat.SettingMute}
	for name, change := range map[string]func(*world) error{
		"a disabled recipient": func(w *world) error {
			_, err := w.store.SetDisabled(w.t.Context(), "bob", true)
			return err
		},
		"a disabled sender": func(w *world) error {
			_, err := w.store.SetDisabled(w.t.Context(), "ada", true)
			return err
		},
		"a recipient who leaves": func(w *world) error {
			_, err := w.store.BeginErase(w.t.Context(), "bob", w.now())
			return err
		},
		"a blocked sender": func(w *world) error {
			_, err := w.store.SetBlocked(w.t.Context(), "bob", "ada", true)
			return err
		},
		"a blocked recipient": func(w *world) error {
			_, err := w.store.SetBlocked(w.t.Context(), "ada", "bob", true)
			return err
		},
		"ended sign-ins": func(w *world) error {
			_, err := w.store.EndSessions(w.t.Context(), "bob", w.now()+1e6)
			return err
		},
		"a muted conversation": func(w *world) error {
			s := always
			s.Choice = chat.Choice{Value: chat.MutedAlways, At: w.now(), ID: w.message(1).IDs[0]}
			_, err := w.store.Choose(w.t.Context(), "bob", s, w.now())
			return err
		},
		"no subscription": func(w *world) error {
			_, err := w.store.Unsubscribe(w.t.Context(), "bob", func(store.Subscription) bool { return true })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.subscribe("phone")
				if err := change(w); err != nil {
					t.Fatal(err)
				}
				if err := w.handle(w.message(1)); err != nil || w.reached() != "" {
					t.Errorf("sent: %+v (%v)", w.sent, err)
				}
			})
		})
	}
	// A mute that has ended has no effect.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("phone")
		s := always
		s.Choice = chat.Choice{Value: w.now() + 1e6, At: w.now(), ID: w.message(1).IDs[0]}
		if _, err := w.store.Choose(t.Context(), "bob", s, w.now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := w.handle(w.message(1)); err != nil || w.reached() != "phone" {
			t.Errorf("after the mute has ended: %v", err)
		}
	})
}

// A device in its quiet hours gets nothing, and the others do.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("phone")
		for device, quiet := range map[string]store.Quiet{
			"asleep": {From: 0, To: 1439}, "busy": {Until: w.now() + 5e6}, "awake": {From: 1439, To: 0},
		} {
			_, err := w.store.Subscribe(t.Context(), "bob", store.Subscription{Device: device,
				Endpoint: "https://push.example/" + device, Quiet: quiet, SignIn: w.now(), At: w.now()})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"awake phone", "awake busy phone"} {
			if err := w.handle(w.message(1)); err != nil {
				t.Fatal(err)
			}
			if got := w.reached(); got != want {
				t.Errorf("reached %q, want %q", got, want)
			}
			time.Sleep(5 * time.Second)
		}
		if len(w.refreshed) > 0 {
			t.Errorf("the gates of %v were sent", w.refreshed)
		}
	})
}

// Several events of a conversation within 3 s share a push.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("phone")
		first, second, third := w.message(1), w.message(1), w.message(2)
		start := time.Now()
		var wg sync.WaitGroup
		for _, n := range []away.Event{first, second, third, second} {
			wg.Go(func() {
				if err := w.handle(n); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if got := w.reached(); got != "phone" {
			t.Errorf("at once: %q, want the first alone", got)
		}
		wg.Wait()
		if len(w.sent) != 1 || w.sent[0].content["count"] != 3.0 || time.Since(start) != notify.Gather {
			t.Errorf("after %v: %+v, want one push about three messages", time.Since(start), w.sent)
		}
		w.reached()
		time.Sleep(notify.Gather)
		if err := w.handle(w.message(1)); err != nil || w.reached() != "phone" {
			t.Errorf("after the window: not sent at once (%v)", err)
		}
	})
}

// Only the devices that failed are tried again.
func TestRetries(t *testing.T) {
	unavailable := push.Result{Outcome: push.Later, Status: 503}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("phone", "desktop", "tablet")
		w.answers["phone"] = []push.Result{unavailable}
		w.answers["tablet"] = []push.Result{{Outcome: push.Refused, Status: 403}}
		n := w.message(1)
		if err := w.handle(n); err != nil {
			t.Fatal(err)
		}
		if got := w.reached(); got != "desktop phone tablet" {
			t.Errorf("at first: %s", got)
		}
		if len(w.published) != 1 || fmt.Sprint(w.published[0].Only) != "[phone]" || w.published[0].At != n.At {
			t.Fatalf("published: %+v", w.published)
		}
		rest := w.published[0]
		// While the device cannot be reached, Pub/Sub repeats the event.
		for range 2 {
			if err := w.handle(rest); !errors.Is(err, problem.ErrUnavailable) || w.reached() != "phone" {
				t.Errorf("repeated: %v", err)
			}
		}
		delete(w.answers, "phone")
		if err := w.handle(rest); err != nil || w.reached() != "phone" || len(w.published) != 1 {
			t.Errorf("at last: %v", err)
		}
		// An event of which every device fails is not published again, and neither is one that cannot be.
		for _, d := range []string{"phone", "desktop", "tablet"} {
			w.answers[d] = []push.Result{unavailable}
		}
		time.Sleep(notify.Gather)
		if err := w.handle(w.message(1)); err == nil || len(w.published) != 1 {
			t.Errorf("all fail: %v", err)
		}
		time.Sleep(notify.Gather)
		w.answers, w.fail = map[string][]push.Result{"phone": {unavailable}}, problem.ErrUnavailable
		if err := w.handle(w.message(1)); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("the rest cannot be published: %v", err)
		}
	})
}

func TestShortPausesAreWaitedFor(t *testing.T) {
	for after, calls := range map[time.Duration]int{5 * time.Second: 2, 6 * time.Second: 1, 0: 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.subscribe("phone")
			w.answers["phone"] = []push.Result{{Outcome: push.Later, Status: 429, After: after},
				{Outcome: push.Accepted, Status: 201}}
			start := time.Now()
			err := w.handle(w.message(1))
			if len(w.sent) != calls || (err == nil) != (calls == 2) || calls == 2 && time.Since(start) != after {
				t.Errorf("Retry-After of %v: %d calls in %v, %v", after, len(w.sent), time.Since(start), err)
			}
		})
	}
}

func TestGoneSubscriptionsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("phone", "desktop")
		w.answers["phone"] = []push.Result{{Outcome: push.Gone, Status: 410}}
		if err := w.handle(w.message(1)); err != nil || len(w.published) != 0 {
			t.Fatal(err, w.published)
		}
		list, err := w.store.Subscriptions(t.Context(), "bob")
		if err != nil || len(list) != 1 || list[0].Device != "desktop" {
			t.Errorf("left: %+v (%v)", list, err)
		}
		if len(w.refreshed) > 0 {
			t.Errorf("the gates of %v were sent although a subscription is left", w.refreshed)
		}
		// With the last one, realtime/ learns that there is nothing to publish anymore.
		w.answers["desktop"] = []push.Result{{Outcome: push.Gone, Status: 404}}
		time.Sleep(notify.Gather)
		if err := w.handle(w.message(1)); err != nil || len(w.refreshed) != 1 || w.refreshed[0] != "bob" {
			t.Errorf("sent the gates of %v (%v)", w.refreshed, err)
		}
		// An event shows that it has not.
		time.Sleep(notify.Gather)
		if err := w.handle(w.message(1)); err != nil || len(w.refreshed) != 2 {
			t.Errorf("sent the gates of %v (%v)", w.refreshed, err)
		}
	})
}

// Events that can never be sent are dropped and counted.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("phone")
		bad := func(change func(*away.Event)) away.Event {
			n := w.message(1)
			change(&n)
			return n
		}
		for name, data := range map[string]any{
			"not JSON":           []byte("{" + secretText),
			"another version":    bad(func(n *away.Event) { n.V = 2 }),
			"no conversation":    bad(func(n *away.Event) { n.Conversation = "ada" }),
			"of others":          bad(func(n *away.Event) { n.Conversation = "ada~cyd" }),
			"from somebody else": bad(func(n *away.Event) { n.From = "cyd" }),
			"no message":         bad(func(n *away.Event) { n.IDs = nil }),
			"a bad id":           bad(func(n *away.Event) { n.IDs = []string{secretText} }),
			"no time":            bad(func(n *away.Event) { n.At = 0 }),
			"a large one":        bad(func(n *away.Event) { n.Text = strings.Repeat("x", 16<<10) }),
			"an old one":         bad(func(n *away.Event) { n.At -= chat.Micros(notify.MaxAge.Microseconds()) + 1 }),
		} {
			w.log.Reset()
			if err := w.handle(data); err != nil || w.reached() != "" || !strings.Contains(w.log.String(), "push dropped") {
				t.Errorf("%s: %v, logged %s", name, err, &w.log)
			}
		}
	})
}

// While the store cannot be read, Pub/Sub repeats the event.
func TestStoreUnavailable(t *testing.T) {
	w := newWorld(t)
	w.store.Close()
	if err := w.handle(w.message(1)); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}
