package persist

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// flaky is a store whose Save fails on demand.
type flaky struct {
	*storebolt.Store
	mu    sync.Mutex
	err   error
	saves int

	changesErr error // of SaveChanges
}

func (f *flaky) SaveChanges(ctx context.Context, list []store.MessageChanges, now chat.Micros) error {
	if f.changesErr != nil {
		return f.changesErr
	}
	return f.Store.SaveChanges(ctx, list, now)
}

func (f *flaky) RecordSignIn(ctx context.Context, uid string, s store.Seen) (store.User, bool, error) {
	if f.err != nil {
		return store.User{}, false, f.err
	}
	return f.Store.RecordSignIn(ctx, uid, s)
}

func (f *flaky) Save(ctx context.Context, d []delivery.Delivered, r []delivery.Read) ([]delivery.Delivered, error) {
	f.mu.Lock()
	f.saves++
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return f.Store.Save(ctx, d, r)
}

// corrections records the calls of realtime/, and fails on demand.
type corrections struct {
	mu       sync.Mutex
	calls    [][]delivery.Delivered
	signedIn []string
	err      error
}

func (c *corrections) OwnProfileChanged(_ context.Context, uid string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signedIn = append(c.signedIn, uid)
	return c.err
}

func (c *corrections) Corrected(_ context.Context, list []delivery.Delivered) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, list)
	return c.err
}

type fixture struct {
	*Function
	store     *flaky
	corrected *corrections
	now       time.Time
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	f := &fixture{store: &flaky{Store: db}, corrected: &corrections{}, now: t0}
	f.Function = New(Deps{Store: f.store, DeadLetters: deadletter.Local{Store: db}, Realtime: f.corrected,
		Now: func() time.Time { return f.now },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return f
}

func message1(from, to, body string, at time.Time) delivery.Delivered {
	m := chat.MicrosOf(at)
	return delivery.Delivered{Message: chat.Message{ID: uuid.Must(uuid.NewV7()).String(),
		Conversation: chat.ConversationID(from, to), From: from, To: to,
		Body: body, At: m, AcceptedAt: m}, DeliveredAt: m}
}

func data(t testing.TB, b delivery.Batch) []byte {
	t.Helper()
	d, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// push posts data like Pub/Sub, and returns the status.
func (f *fixture) push(id string, data []byte) int {
	return f.post(fmt.Sprintf(`{"subscription":"projects/p/subscriptions/s","message":{"data":%q,"attributes":{"k":"v"},`+
		`"messageId":%q,"message_id":%q,"publishTime":"2026-03-01T12:00:00.5Z"}}`,
		base64.StdEncoding.EncodeToString(data), id, id))
}

func (f *fixture) post(body string) int {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	return w.Code
}

func (f *fixture) history(t *testing.T, conversation string) (bodies []string) {
	t.Helper()
	page, _, err := f.store.Messages(t.Context(), conversation, store.Position{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range page {
		bodies = append(bodies, m.Body)
	}
	return bodies
}

func (f *fixture) deadLetters(t *testing.T) []store.DeadLetter {
	t.Helper()
	list, _, err := f.store.DeadLetters(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPush(t *testing.T) {
	f := newFixture(t)
	first, second := message1("ada", "bob", "one", t0), message1("bob", "ada", "two", t0.Add(time.Second))
	read := delivery.Read{Conversation: "ada~bob", By: "bob", At: first.At}
	batches := [][]byte{data(t, delivery.Batch{Delivered: []delivery.Delivered{second}, Read: []delivery.Read{read}}),
		data(t, delivery.Batch{Delivered: []delivery.Delivered{first, second}})}
	for range 2 { // repeated
		for i, b := range batches { // out of order
			if code := f.push(fmt.Sprint(i), b); code != 200 {
				t.Fatalf("status %d", code)
			}
		}
	}
	if got := f.history(t, "ada~bob"); len(got) != 2 || got[0] != "one" || got[1] != "two" {
		t.Errorf("saved %v", got)
	}
	if l := f.deadLetters(t); len(l) != 0 {
		t.Errorf("dead letters %v", l)
	}
	f.now = f.now.Add(time.Minute)
	if code := f.push("empty", data(t, delivery.Batch{})); code != 200 {
		t.Errorf("empty batch: status %d, want 200", code)
	}
}

// Concurrent deliveries of one message save each of its entries once.
func TestConcurrentPushes(t *testing.T) {
	f := newFixture(t)
	var batch delivery.Batch
	for i := range 20 {
		batch.Delivered = append(batch.Delivered, message1("ada", "bob", fmt.Sprint(i), t0.Add(time.Duration(i))))
	}
	body := data(t, batch)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if code := f.push("same", body); code != 200 {
				t.Errorf("status %d", code)
			}
		})
	}
	wg.Wait()
	if got := f.history(t, "ada~bob"); len(got) != 20 {
		t.Errorf("%d messages saved, want 20", len(got))
	}
}

// An entry that can never be saved becomes a dead letter with its reason. The good entries beside it are saved, and
// the call succeeds.
func TestMalformed(t *testing.T) {
	good := message1("ada", "bob", "good", t0)
	entry := func(change func(*delivery.Delivered)) string {
		d := message1("ada", "bob", "x", t0)
		change(&d)
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	goodJSON := entry(func(d *delivery.Delivered) { *d = good })
	for name, bad := range map[string]string{
		"no object":          `7`,
		"empty":              `{}`,
		"no uuid":            entry(func(d *delivery.Delivered) { d.ID = "x" }),
		"other conversation": entry(func(d *delivery.Delivered) { d.Conversation = "ada~cyd" }),
		"no members":         entry(func(d *delivery.Delivered) { d.Conversation = "../users" }),
		"to oneself":         entry(func(d *delivery.Delivered) { d.To = "ada" }),
		"empty body":         entry(func(d *delivery.Delivered) { d.Body = " " }),
		"body too long":      entry(func(d *delivery.Delivered) { d.Body = strings.Repeat("x", chat.MaxBody+1) }),
		"no time":            entry(func(d *delivery.Delivered) { d.At = 0 }),
		"far future":         entry(func(d *delivery.Delivered) { d.At = chat.MicrosOf(t0.Add(time.Hour)) }),
		"wrong types":        `{"id":7,"at":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for range 2 { // a repeat does not add a second dead letter
				read := `{"conversation":"ada~bob","by":"eve","at":5},{"conversation":"ada~bob","by":"bob","at":5}`
				body := `{"v":1,"delivered":[` + bad + `,` + goodJSON + `],"read":[` + read + `]}`
				if code := f.push("m1", []byte(body)); code != 200 {
					t.Fatalf("status %d", code)
				}
			}
			if got := f.history(t, "ada~bob"); len(got) != 1 || got[0] != "good" {
				t.Errorf("saved %v", got)
			}
			l := f.deadLetters(t)
			if len(l) != 2 || l[0].Reason == "" || !strings.Contains(string(l[0].Data), bad) {
				t.Fatalf("dead letters %+v", l)
			}
			// The dead letter can be replayed, and becomes one again.
			if err := f.Replay(t.Context(), l[0].Data); err != nil {
				t.Fatal(err)
			}
			if l := f.deadLetters(t); len(l) != 3 {
				t.Errorf("%d dead letters after a replay", len(l))
			}
		})
	}
	for name, body := range map[string]string{"no JSON": "hello", "another version": `{"v":3,"delivered":[]}`,
		"nothing": "", "a list": "[]", "not UTF-8": "\xff\xfe"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if code := f.push("m1", []byte(body)); code != 200 {
				t.Fatalf("status %d", code)
			}
			if l := f.deadLetters(t); len(l) != 1 || l[0].ID != "lm1" || !bytes.Equal(l[0].Data, []byte(body)) {
				t.Errorf("dead letters %+v", l)
			}
		})
	}
}

// A dead letter is saved by replaying it if its reason no longer applies.
func TestReplay(t *testing.T) {
	f := newFixture(t)
	m := message1("ada", "bob", "from the future", t0.Add(time.Hour))
	if code := f.push("m1", data(t, delivery.Batch{Delivered: []delivery.Delivered{m}})); code != 200 {
		t.Fatalf("status %d", code)
	}
	f.now = f.now.Add(time.Hour)
	if err := f.Replay(t.Context(), f.deadLetters(t)[0].Data); err != nil {
		t.Fatal(err)
	}
	if got := f.history(t, "ada~bob"); len(got) != 1 {
		t.Errorf("saved %v", got)
	}
}

// A transient failure is an error, so that Pub/Sub delivers the message again. It does not produce dead letters.
func TestTransientFailures(t *testing.T) {
	f := newFixture(t)
	body := data(t, delivery.Batch{Delivered: []delivery.Delivered{message1("ada", "bob", "one", t0)}})
	f.store.err = problem.ErrUnavailable.WithCause(errors.New("connection refused"))
	if code := f.push("m1", body); code != 500 {
		t.Errorf("status %d", code)
	}
	f.store.err = nil
	if code := f.push("m1", body); code != 200 {
		t.Errorf("status %d", code)
	}
	if l := f.deadLetters(t); len(l) != 0 {
		t.Errorf("dead letters %v", l)
	}
	// A dead letter that cannot be stored is an error, too.
	broken := New(Deps{Store: f.store, DeadLetters: brokenShelf{}, Now: f.deps.Now, Log: f.deps.Log})
	if err := broken.Replay(t.Context(), []byte("x")); err == nil {
		t.Error("a dead letter that could not be stored is not an error")
	}
}

type brokenShelf struct{}

func (brokenShelf) Put(context.Context, []store.DeadLetter) error { return problem.ErrUnavailable }

// If an id is used again with other content after the first message was saved, the archive keeps the first content, and
// persist corrects the devices. If that call fails, Pub/Sub delivers the message again, and persist repeats the call. A
// repeat with the same content, accepted again after a failover, needs no call; nor does the id of another sender.
func TestIDUsedAgain(t *testing.T) {
	f := newFixture(t)
	push := func(want int, ds ...delivery.Delivered) {
		t.Helper()
		if code := f.push("m", data(t, delivery.Batch{Delivered: ds})); code != want {
			t.Fatalf("status %d, want %d", code, want)
		}
	}
	first := message1("ada", "bob", "first", t0)
	repeat, theirs, changed := first, message1("bob", "ada", "theirs", t0), first
	repeat.AcceptedAt++
	theirs.ID = first.ID
	changed.Body = "changed"
	push(200, first)
	push(200, repeat, theirs)
	if len(f.corrected.calls) != 0 {
		t.Fatalf("calls %+v", f.corrected.calls)
	}
	f.corrected.err = problem.ErrUnavailable.WithCause(errors.New("connection refused"))
	push(500, changed, theirs)
	f.corrected.err = nil
	push(200, changed, theirs)
	want := [][]delivery.Delivered{{first}, {first}}
	if !reflect.DeepEqual(f.corrected.calls, want) {
		t.Errorf("calls %+v, want %+v", f.corrected.calls, want)
	}
	if got := f.history(t, "ada~bob"); fmt.Sprint(got) != "[first theirs]" {
		t.Errorf("saved %v", got)
	}
	if l := f.deadLetters(t); len(l) != 0 {
		t.Errorf("dead letters %v", l)
	}
}

// A request that is not a push is refused.
func TestNotAPush(t *testing.T) {
	f := newFixture(t)
	for _, body := range []string{"", "x", "{}", `{"message":null}`, `{"message":{"data":"%%%","messageId":"1"}}`,
		`{"message":{"data":"eA=="}}`, `{"message":{"messageId":"1","publishTime":"x"}}`} {
		if code := f.post(body); code != 400 {
			t.Errorf("%q: status %d", body, code)
		}
	}
}

// Late messages of a deleted user are not saved. Messages of others to them are.
func TestDeletedAuthors(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	lease, err := f.store.Reserve(ctx, "eve@example.org", "eve", "eve", "a", chat.MicrosOf(t0), time.Minute)
	if err == nil {
		err = f.store.Commit(ctx, lease, store.User{UID: "eve", Username: "eve"})
	}
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	both := func() {
		t.Helper()
		n++
		b := delivery.Batch{Delivered: []delivery.Delivered{message1("eve", "ada", fmt.Sprint("from eve ", n), t0),
			message1("ada", "eve", fmt.Sprint("to eve ", n), t0)},
			Read: []delivery.Read{{Conversation: "ada~eve", By: "eve", At: chat.MicrosOf(t0)}}}
		if code := f.push(fmt.Sprint(n), data(t, b)); code != 200 {
			t.Fatalf("status %d", code)
		}
	}
	both()
	if _, err := f.store.BeginErase(ctx, "eve", chat.MicrosOf(t0)); err != nil {
		t.Fatal(err)
	}
	if err := f.store.EraseContent(ctx, "eve"); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(erasedEvery)
	both()
	if got := f.history(t, "ada~eve"); fmt.Sprint(got) != "[to eve 1 to eve 2]" {
		t.Errorf("saved %v", got)
	}
	list, _, err := f.store.Conversations(ctx, "ada", "", 1)
	if err != nil || len(list[0].Read) != 0 {
		t.Errorf("read marks %v, %v", list[0].Read, err)
	}
}

// Activity is recorded at most hourly, however much is saved.
func TestActivity(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for _, n := range []string{"ada", "bob"} {
		lease, err := f.store.Reserve(ctx, n+"@example.org", n, n, "a", chat.MicrosOf(t0), time.Minute)
		if err == nil {
			err = f.store.Commit(ctx, lease, store.User{UID: n, Username: n})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		f.now = f.now.Add(25 * time.Minute)
		if code := f.push("x", data(t, delivery.Batch{Delivered: []delivery.Delivered{message1("ada", "bob", "x",
			f.now)}})); code != 200 {
			t.Fatalf("status %d", code)
		}
	}
	u, err := f.store.User(ctx, "bob")
	if want := chat.MicrosOf(t0.Add(100 * time.Minute)); err != nil || u.LastActiveAt != want {
		t.Errorf("bob was active at %v, want %v (%v)", u.LastActiveAt.Time(), want.Time(), err)
	}
}

func FuzzPush(f *testing.F) {
	fx := newFixture(f)
	good := message1("ada", "bob", "hi", t0)
	d, err := delivery.Batch{Delivered: []delivery.Delivered{good},
		Read: []delivery.Read{{Conversation: "ada~bob", By: "ada", At: 5}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{d, []byte(`{"v":1}`), []byte(`{"v":1,"delivered":[{}],"read":[null]}`), []byte("\xff"),
		{}} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, body []byte, wrap bool) {
		if wrap { // as the data of a push, it is saved or becomes a dead letter
			if code := fx.push("fuzz", body); code != 200 {
				t.Errorf("%q: status %d", body, code)
			}
			return
		}
		if code := fx.post(string(body)); code != 200 && code != 400 {
			t.Errorf("%q: status %d", body, code)
		}
	})
}
