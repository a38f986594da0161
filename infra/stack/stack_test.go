package stack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

var page = fstest.MapFS{"index.html": {Data: []byte("<!doctype html><title>Phoenix Chat</title>")}}

func start(t *testing.T, o Options) *Stack {
	t.Helper()
	if o.Client == nil {
		o.Client = page
	}
	o.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		began := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > closeTime {
			t.Errorf("Close took %v", took)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// testWriter shows what a stack logs in the test's own output.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// person is somebody with an account and one device.
type person struct {
	t     *testing.T
	uid   string
	token string
	conn  *websocket.Conn
}

// join signs somebody up at the stack and opens their socket at url.
func join(t *testing.T, s *Stack, name, url string) *person {
	t.Helper()
	email := name + "@example.org"
	const password = "warm embers at night"
	call(t, http.MethodPost, s.URL+"/api/signup", "", map[string]any{"email": email, "password": password, "username": name, "display_name": name}, http.StatusCreated)
	return enter(t, s, email, password, url)
}

// enter signs somebody in and opens their socket at url.
func enter(t *testing.T, s *Stack, email, password, url string) *person {
	t.Helper()
	in := call(t, http.MethodPost, "http://"+s.AuthAddr+"/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=local", "",
		map[string]any{"email": email, "password": password, "returnSecureToken": true}, http.StatusOK)
	p := &person{t: t, uid: in["localId"].(string), token: in["idToken"].(string)}
	d := websocket.Dialer{Subprotocols: []string{"chat.v1"}}
	conn, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/ws", http.Header{"Origin": {url}})
	if err != nil {
		t.Fatalf("dial: %v (%+v)", err, resp)
	}
	t.Cleanup(func() { conn.Close() })
	p.conn = conn
	p.send(map[string]any{"type": "hello", "token": p.token, "device": "device-" + p.uid, "cursor": ""})
	p.await("caught_up")
	return p
}

func (p *person) send(frame map[string]any) {
	p.t.Helper()
	if err := p.conn.WriteJSON(frame); err != nil {
		p.t.Fatal(err)
	}
}

// await reads until a frame of the type, or an event of it, comes.
func (p *person) await(what string) map[string]any {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	for {
		var f map[string]any
		if err := p.conn.ReadJSON(&f); err != nil {
			p.t.Fatalf("waiting for %q: %v", what, err)
		}
		event, _ := f["event"].(map[string]any)
		if f["type"] == what || event["type"] == what {
			return f
		}
		if f["type"] == "error" {
			p.t.Fatalf("waiting for %q: %v", what, f)
		}
	}
}

// write sends a message and returns its id.
func (p *person) write(to *person, body string) string {
	p.t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	p.send(map[string]any{"type": "send", "id": id, "to": to.uid, "body": body, "at": chat.MicrosOf(time.Now())})
	p.await("sent")
	return id
}

// call makes a request and returns its JSON answer.
func call(t *testing.T, method, url, token string, body any, status int) map[string]any {
	t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d\n%s", method, url, resp.Status, status, b)
	}
	var out map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, url, err, b)
		}
	}
	return out
}

// converse sends a message through the stack, acknowledges it and waits until it is saved.
func converse(t *testing.T, s *Stack, ann, bob *person, body string) string {
	t.Helper()
	id := ann.write(bob, body)
	if history := s.history(t, ann, bob); len(history) > 0 && history[len(history)-1] == body {
		t.Error("saved before the acknowledgement")
	}
	got := bob.await("message")
	bob.send(map[string]any{"type": "ack", "cursor": got["cursor"]})
	ann.await("delivered")
	testwait.Until(t, "saved: "+body, func() bool {
		history := s.history(t, ann, bob)
		return len(history) > 0 && history[len(history)-1] == body
	})
	return id
}

// history returns the saved bodies of the conversation as its members see it.
func (s *Stack) history(t *testing.T, ann, bob *person) (bodies []string) {
	t.Helper()
	id := chat.ConversationID(ann.uid, bob.uid)
	out := call(t, http.MethodGet, s.URL+"/api/messages?conversation="+id, ann.token, nil, http.StatusOK)
	for _, m := range out["messages"].([]any) {
		bodies = append(bodies, m.(map[string]any)["body"].(string))
	}
	return bodies
}

func TestEmbedded(t *testing.T) {
	s := start(t, Options{})
	converse(t, s, join(t, s, "ann", s.URL), join(t, s, "bob", s.URL), "hello")
}

func TestEmulators(t *testing.T) {
	firestore, pubsub := os.Getenv("PHOENIX_TEST_FIRESTORE"), os.Getenv("PHOENIX_TEST_PUBSUB")
	if firestore == "" || pubsub == "" || os.Getenv("PHOENIX_TEST_REDIS_SERVER") == "" {
		t.Skip("PHOENIX_TEST_REDIS_SERVER, PHOENIX_TEST_FIRESTORE and PHOENIX_TEST_PUBSUB are not all set: no emulators to run on")
	}
	s := start(t, Options{Emulators: true, Firestore: firestore, PubSub: pubsub, Project: "demo-stack-" + strings.ToLower(rand.Text()[:8])})
	ann, bob := join(t, s, "ann", s.URL), join(t, s, "bob", s.URL)
	converse(t, s, ann, bob, "hello")
	converse(t, s, bob, ann, "hello yourself")
	keepsDeadLetters(t, s)
}

func TestAccountsAndMessagesOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, Options{Data: dir})
	converse(t, first, join(t, first, "ann", first.URL), join(t, first, "bob", first.URL), "hello")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, Options{Data: dir})
	ann := enter(t, second, "ann@example.org", "warm embers at night", second.URL)
	bob := enter(t, second, "bob@example.org", "warm embers at night", second.URL)
	if got := second.history(t, ann, bob); len(got) != 1 || got[0] != "hello" {
		t.Errorf("history %q", got)
	}
}

func TestSeveralInstancesShareOneRedis(t *testing.T) {
	s := start(t, Options{Instances: 2})
	ann := join(t, s, "ann", s.Instances[0].URL)
	bob := join(t, s, "bob", s.Instances[1].URL)
	converse(t, s, ann, bob, "across")
	for url, want := range map[string]string{s.URL: s.URL, s.Instances[1].URL: s.Instances[1].URL} {
		c := call(t, http.MethodGet, url+"/config.json", "", nil, http.StatusOK)
		if got := c["realtime_url"]; got != "ws"+strings.TrimPrefix(want, "http")+"/ws" {
			t.Errorf("at %s sockets open at %v", url, got)
		}
	}
	// On a deploy sockets are moved, and the address of the system leads elsewhere.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- s.Instances[0].Drain(ctx) }()
	ann.await("goaway")
	ann.conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	converse(t, s, enter(t, s, "ann@example.org", "warm embers at night", s.URL), bob, "after the deploy")
}

func TestChangesReachOpenSocketsOnEveryInstance(t *testing.T) {
	s := start(t, Options{Instances: 2})
	ann := join(t, s, "ann", s.Instances[0].URL)
	sockets := []*websocket.Conn{ann.conn, enter(t, s, "ann@example.org", "warm embers at night", s.Instances[1].URL).conn}
	began := time.Now()
	if _, err := s.Users.SetDisabled(t.Context(), ann.uid, true); err != nil {
		t.Fatal(err)
	}
	for i, conn := range sockets {
		if err := conn.SetReadDeadline(began.Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var err error
		for err == nil {
			_, _, err = conn.ReadMessage()
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != websocket.ClosePolicyViolation {
			t.Errorf("the socket of somebody disabled, on instance %d: %v", i, err)
		}
		t.Logf("the socket on instance %d closed %v after the account was disabled", i, time.Since(began).Round(time.Millisecond))
	}
}

func TestResetLinksAreMailed(t *testing.T) {
	mails := make(chan authstub.Mail, 1)
	s := start(t, Options{Mail: func(m authstub.Mail) { mails <- m }})
	join(t, s, "ann", s.URL)
	if err := s.Accounts.SendPasswordReset(t.Context(), "ann@example.org"); err != nil {
		t.Fatal(err)
	}
	if m := <-mails; m.To != "ann@example.org" || !strings.HasPrefix(m.Link, s.URL+"/reset?") {
		t.Errorf("mail %+v", m)
	}
}

func TestOnlyTheSecretPathPushes(t *testing.T) {
	s := start(t, Options{})
	resp, err := http.Post(s.URL+"/local/push/", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("push without the secret: %s", resp.Status)
	}
}

func TestASecondStackOnTheSameData(t *testing.T) {
	dir := t.TempDir()
	start(t, Options{Data: dir})
	if _, err := Start(t.Context(), Options{Data: dir}); !errors.Is(err, authstub.ErrInUse) {
		t.Errorf("error %v", err)
	}
}

func TestARedisThatIsNotThere(t *testing.T) {
	_, err := Start(t.Context(), Options{Redis: "127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "no Redis answers at 127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}

func TestWhatCannotBeSavedIsKept(t *testing.T) { keepsDeadLetters(t, start(t, Options{})) }

// keepsDeadLetters publishes what nobody can read and looks for it.
func keepsDeadLetters(t *testing.T, s *Stack) {
	t.Helper()
	data, err := delivery.Batch{Delivered: []delivery.Delivered{{}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "one letter", func() bool {
		if _, err := s.Collector.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		letters, _, err := s.Store.DeadLetters(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(letters) == 1
	})
}
