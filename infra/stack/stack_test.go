package stack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
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
			t.Errorf("Close took %v, want at most %v", took, closeTime)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// testWriter writes the log of a stack to the output of the test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// user is a user with an account and one device.
type user struct {
	t       *testing.T
	uid     string
	token   string
	refresh string // the refresh token
	conn    *websocket.Conn
}

// signUp signs up a user and opens a socket at url.
func signUp(t *testing.T, s *Stack, name, url string) *user {
	t.Helper()
	email := name + "@example.org"
	const password = "warm embers at night"
	form := map[string]any{"email": email, "password": password, "username": name, "display_name": name}
	call(t, http.MethodPost, s.URL+"/api/signup", "", form, http.StatusCreated)
	return signIn(t, s, email, password, url)
}

// signIn signs in a user and opens a socket at url.
func signIn(t *testing.T, s *Stack, email, password, url string) *user {
	t.Helper()
	in := call(t, http.MethodPost,
		"http://"+s.AuthAddr+"/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=local", "",
		map[string]any{"email": email, "password": password, "returnSecureToken": true}, http.StatusOK)
	p := &user{t: t, uid: in["localId"].(string), token: in["idToken"].(string), refresh: in["refreshToken"].(string)}
	p.connect(url, nil)
	return p
}

// connect opens a socket at url, whose hello also has the given fields.
func (p *user) connect(url string, fields map[string]any) {
	t := p.t
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"chat.v1"}}
	conn, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/ws", http.Header{"Origin": {url}})
	if err != nil {
		t.Fatalf("dial: %v (%+v)", err, resp)
	}
	t.Cleanup(func() { conn.Close() })
	p.conn = conn
	hello := map[string]any{"type": "hello", "token": p.token, "device": "device-" + p.uid, "cursor": ""}
	maps.Copy(hello, fields)
	p.sendFrame(hello)
	p.awaitFrame("caught_up")
}

func (p *user) sendFrame(frame map[string]any) {
	p.t.Helper()
	if err := p.conn.WriteJSON(frame); err != nil {
		p.t.Fatal(err)
	}
}

// awaitFrame reads frames until one has the type what or an event of that type.
func (p *user) awaitFrame(what string) map[string]any {
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

// sendMessage sends a message and returns its id.
func (p *user) sendMessage(to *user, body string) string {
	p.t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	p.sendFrame(map[string]any{
		"type": "send", "id": id, "to": to.uid, "body": body, "at": chat.MicrosOf(time.Now()),
	})
	p.awaitFrame("sent")
	return id
}

// call makes a request, checks its status and returns the JSON answer.
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

// exchange sends a message from ann to bob, acknowledges it, waits until it is saved, and returns its id.
func exchange(t *testing.T, s *Stack, ann, bob *user, body string) string {
	t.Helper()
	id := ann.sendMessage(bob, body)
	if history := s.history(t, ann, bob); len(history) > 0 && history[len(history)-1] == body {
		t.Error("the message is saved before it is acknowledged")
	}
	got := bob.awaitFrame("message")
	bob.sendFrame(map[string]any{"type": "ack", "cursor": got["cursor"]})
	ann.awaitFrame("delivered")
	testwait.Until(t, "the message to be saved: "+body, func() bool {
		history := s.history(t, ann, bob)
		return len(history) > 0 && history[len(history)-1] == body
	})
	return id
}

// history returns the bodies of the saved messages of the conversation.
func (s *Stack) history(t *testing.T, ann, bob *user) (bodies []string) {
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
	exchange(t, s, signUp(t, s, "ann", s.URL), signUp(t, s, "bob", s.URL), "hello")
}

func TestEmulators(t *testing.T) {
	firestore, pubsub := os.Getenv("PHOENIX_TEST_FIRESTORE"), os.Getenv("PHOENIX_TEST_PUBSUB")
	if firestore == "" || pubsub == "" || os.Getenv("PHOENIX_TEST_REDIS_SERVER") == "" {
		t.Skip("PHOENIX_TEST_REDIS_SERVER, PHOENIX_TEST_FIRESTORE and PHOENIX_TEST_PUBSUB are not all set")
	}
	s := start(t, Options{Emulators: true, Firestore: firestore, PubSub: pubsub,
		project: "demo-stack-" + strings.ToLower(rand.Text()[:8])})
	ann, bob := signUp(t, s, "ann", s.URL), signUp(t, s, "bob", s.URL)
	exchange(t, s, ann, bob, "hello")
	exchange(t, s, bob, ann, "hello yourself")
	checkDeadLetters(t, s)
}

func TestAccountsAndMessagesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, Options{Data: dir})
	exchange(t, first, signUp(t, first, "ann", first.URL), signUp(t, first, "bob", first.URL), "hello")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, Options{Data: dir})
	ann := signIn(t, second, "ann@example.org", "warm embers at night", second.URL)
	bob := signIn(t, second, "bob@example.org", "warm embers at night", second.URL)
	if got := second.history(t, ann, bob); len(got) != 1 || got[0] != "hello" {
		t.Errorf("history %q", got)
	}
}

// Google's emulator has no authenticator apps, so admins need none there.
func TestAdminFactor(t *testing.T) {
	if s := start(t, Options{}); !s.AdminFactor {
		t.Error("with the stand-in, admins do not need a second factor")
	}
	for what, o := range map[string]Options{
		"AdminFactorOff": {AdminFactorOff: true}, "an emulator": {Auth: authstubtest.Start(t, defaultProject)},
	} {
		if s := start(t, o); s.AdminFactor {
			t.Errorf("with %s, admins need a second factor", what)
		}
	}
}

func TestSeveralInstancesShareOneRedis(t *testing.T) {
	s := start(t, Options{Instances: 2})
	ann := signUp(t, s, "ann", s.Instances[0].URL)
	bob := signUp(t, s, "bob", s.Instances[1].URL)
	exchange(t, s, ann, bob, "across")
	for url, want := range map[string]string{s.URL: s.URL, s.Instances[1].URL: s.Instances[1].URL} {
		c := call(t, http.MethodGet, url+"/config.json", "", nil, http.StatusOK)
		if got := c["realtime_url"]; got != "ws"+strings.TrimPrefix(want, "http")+"/ws" {
			t.Errorf("at %s the configured socket address is %v", url, got)
		}
	}
	// As on a deploy, sockets move and the address of the system uses the other instance.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- s.Instances[0].Drain(ctx) }()
	ann.awaitFrame("goaway")
	ann.conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	exchange(t, s, signIn(t, s, "ann@example.org", "warm embers at night", s.URL), bob, "after the deploy")
}

// A person who can open the links of mails owns every account, so config.json names them only where a stack was asked
// to. The configuration of an instance, the program that runs on Google Cloud, never does.
func TestOnlyTheFrontShowsMails(t *testing.T) {
	for _, show := range []bool{false, true} {
		s := start(t, Options{ShowMails: show, Instances: 2})
		got := call(t, http.MethodGet, s.URL+"/config.json", "", nil, http.StatusOK)["local_mails"]
		if path, _ := got.(string); (path != "") != show {
			t.Errorf("with ShowMails %v, config.json has %v", show, got)
		} else if show {
			call(t, http.MethodGet, s.URL+path, "", nil, http.StatusOK)
		}
		c := call(t, http.MethodGet, s.Instances[0].URL+"/config.json", "", nil, http.StatusOK)
		if _, ok := c["local_mails"]; ok {
			t.Errorf("an instance's config.json has %v", c)
		}
	}
}

func TestChangesReachOpenSocketsOnEveryInstance(t *testing.T) {
	s := start(t, Options{Instances: 2})
	ann := signUp(t, s, "ann", s.Instances[0].URL)
	again := signIn(t, s, "ann@example.org", "warm embers at night", s.Instances[1].URL)
	sockets := []*websocket.Conn{ann.conn, again.conn}
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
			t.Errorf("the socket of a disabled user on instance %d: %v", i, err)
		}
		took := time.Since(began).Round(time.Millisecond)
		t.Logf("the socket on instance %d closed %v after the user was disabled", i, took)
	}
}

// A sign-out closes the sockets of that sign-in on every instance within 5 s, and no others. Its refresh token makes no
// token that is accepted. A change of the password closes the sockets of all earlier sign-ins.
func TestEndedSignInsCloseTheirSockets(t *testing.T) {
	s := start(t, Options{Instances: 2})
	ann := signUp(t, s, "ann", s.Instances[0].URL)
	nextSecond(t)
	laptop := signIn(t, s, "ann@example.org", "warm embers at night", s.Instances[1].URL)
	began := time.Now()
	call(t, http.MethodPost, s.URL+"/api/me/sign-out", ann.token, nil, http.StatusNoContent)
	awaitEnded(t, ann.conn, began)
	call(t, http.MethodGet, s.URL+"/api/me", ann.token, nil, http.StatusUnauthorized)
	call(t, http.MethodGet, s.URL+"/api/me", laptop.token, nil, http.StatusOK)
	laptop.sendFrame(map[string]any{"type": "ping"})
	laptop.awaitFrame("pong")
	refreshed := refresh(t, s, ann)
	call(t, http.MethodGet, s.URL+"/api/me", refreshed, nil, http.StatusUnauthorized)
	if code, text := hello(t, s.URL, refreshed); code != 4401 {
		t.Errorf("a socket of an ended sign-in: closed with %d %s", code, text)
	}

	nextSecond(t)
	password := "battery staple battery"
	if err := s.Accounts.Update(t.Context(), ann.uid, accounts.Change{Password: &password}); err != nil {
		t.Fatal(err)
	}
	nextSecond(t)
	again := signIn(t, s, "ann@example.org", password, s.Instances[0].URL)
	began = time.Now()
	call(t, http.MethodGet, s.URL+"/api/me", again.token, nil, http.StatusOK)
	awaitEnded(t, laptop.conn, began)
	again.sendFrame(map[string]any{"type": "ping"})
	again.awaitFrame("pong")
}

// nextSecond waits until the clock shows another second: sign-ins within a second are one.
func nextSecond(t *testing.T) {
	t.Helper()
	now := time.Now()
	select {
	case <-time.After(now.Truncate(time.Second).Add(time.Second).Sub(now)):
	case <-t.Context().Done():
	}
}

// refresh returns a new ID token that the stand-in makes of the user's refresh token.
func refresh(t *testing.T, s *Stack, p *user) string {
	t.Helper()
	resp, err := http.PostForm("http://"+s.AuthAddr+"/securetoken.googleapis.com/v1/token?key=local",
		url.Values{"grant_type": {"refresh_token"}, "refresh_token": {p.refresh}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		IDToken string `json:"id_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.IDToken == "" {
		t.Fatalf("refresh: %s, %v", resp.Status, err)
	}
	return out.IDToken
}

// hello opens a socket, and returns the code and reason with which it is closed.
func hello(t *testing.T, at, token string) (int, string) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"chat.v1"}}
	conn, _, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(at, "http")+"/ws", http.Header{"Origin": {at}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	frame := map[string]any{"type": "hello", "token": token, "device": "another", "cursor": ""}
	if err := errors.Join(conn.WriteJSON(frame), conn.SetReadDeadline(time.Now().Add(5*time.Second))); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		t.Fatal(err)
	}
	return closed.Code, closed.Text
}

// awaitEnded waits until a socket is closed with token_ended, at most 5 s after began.
func awaitEnded(t *testing.T, conn *websocket.Conn, began time.Time) {
	t.Helper()
	if err := conn.SetReadDeadline(began.Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != 4401 || closed.Text != "token_ended" {
		t.Errorf("the socket of an ended sign-in: %v", err)
	}
	t.Logf("the socket closed %v after the sign-in ended", time.Since(began).Round(time.Millisecond))
}

func TestResetLinksAreMailed(t *testing.T) {
	mails := make(chan authstub.Mail, 1)
	s := start(t, Options{Mail: func(m authstub.Mail) { mails <- m }})
	ann := signUp(t, s, "ann", s.URL)
	if err := s.Accounts.SendPasswordReset(t.Context(), ann.uid); err != nil {
		t.Fatal(err)
	}
	if m := <-mails; m.To != "ann@example.org" || !strings.HasPrefix(m.Link, s.URL+"/mail?") {
		t.Errorf("mail %+v", m)
	}
}

// Reset links are shown only at the addresses of the stack: not to a page whose name resolves to this machine.
func TestAccountsAreServedOnlyAtTheirAddresses(t *testing.T) {
	s := start(t, Options{Instances: 2})
	for _, at := range []string{s.URL, s.Instances[0].URL, s.Instances[1].URL} {
		for host, want := range map[string]int{"": http.StatusOK, "evil.example": http.StatusMisdirectedRequest,
			"localhost": http.StatusMisdirectedRequest} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
				at+"/emulator/v1/projects/"+s.Project+"/oobCodes", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s with the host %q: %s, want %d", at, host, resp.Status, want)
			}
		}
	}
}

func TestPushesRequireTheSecretPath(t *testing.T) {
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

func TestAMissingRedis(t *testing.T) {
	_, err := Start(t.Context(), Options{Redis: "127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "no Redis answers at 127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}

func TestDeadLettersAreKept(t *testing.T) { checkDeadLetters(t, start(t, Options{})) }

// checkDeadLetters publishes a malformed message and waits until it is a dead letter.
func checkDeadLetters(t *testing.T, s *Stack) {
	t.Helper()
	data, err := delivery.Batch{Delivered: []delivery.Delivered{{}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "one dead letter", func() bool {
		if _, err := s.Collector.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		deadLetters, _, err := s.Store.DeadLetters(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(deadLetters) == 1
	})
}
