package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/persist"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

const (
	project = "demo-api"
	origin  = "https://chat.example.org"
)

// signingKey signs the tokens of all tests, since generating a key takes long.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// realtimeLog is an internalapi.API that records its calls, and fails on demand.
type realtimeLog struct {
	mu    sync.Mutex
	gates []internalapi.Gate
	gone  []string
	purge []internalapi.Purge

	profiles    []string // uids of ProfileChanged
	ownProfiles []string // uids of OwnProfileChanged
	settings    []internalapi.Setting
	fail        error
}

func (r *realtimeLog) GateChanged(_ context.Context, g internalapi.Gate) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gates = append(r.gates, g)
	return r.fail
}

func (r *realtimeLog) Gone(_ context.Context, uid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = append(r.gone, uid)
	return r.fail
}

func (r *realtimeLog) ProfileChanged(_ context.Context, uid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.profiles = append(r.profiles, uid)
	return r.fail
}

func (r *realtimeLog) OwnProfileChanged(_ context.Context, uid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ownProfiles = append(r.ownProfiles, uid)
	return r.fail
}

func (r *realtimeLog) Purge(_ context.Context, p internalapi.Purge) (internalapi.Purged, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.purge = append(r.purge, p)
	return internalapi.Purged{Complete: true}, r.fail
}

func (r *realtimeLog) Corrected(context.Context, []delivery.Delivered) error { return r.fail }

func (r *realtimeLog) Set(_ context.Context, s internalapi.Setting) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings = append(r.settings, s)
	return r.fail
}

func (r *realtimeLog) Waiting(context.Context) (internalapi.Waiting, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return internalapi.Waiting{Complete: true}, r.fail
}

func (r *realtimeLog) Figures(context.Context) (internalapi.Figures, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return internalapi.Figures{Sockets: map[string]int64{"one": 3}, Queued: 2, OldestAge: 1500, Complete: true}, r.fail
}

// sent returns the number of gates, also of those that were answered with an error.
func (r *realtimeLog) sent() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.gates)
}

func (r *realtimeLog) last() internalapi.Gate {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gates) == 0 {
		return internalapi.Gate{}
	}
	return r.gates[len(r.gates)-1]
}

func (r *realtimeLog) failWith(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// clock is a clock that tests advance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// system is the API over the real parts of a chat on one machine.
type system struct {
	t        testing.TB
	store    *storebolt.Store
	accounts *accounts.Firebase
	realtime *realtimeLog
	persist  *persist.Function
	clock    *clock
	deps     api.Deps
	handler  http.Handler
	authHost string
}

func newSystem(t testing.TB, change ...func(*api.Deps)) *system {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &system{t: t, store: db, realtime: &realtimeLog{}, clock: &clock{now: time.Now().Truncate(time.Second)}}
	s.authHost = authstubtest.StartAt(t, project, s.clock.Now)
	if s.accounts, err = accounts.NewFirebase(t.Context(), accounts.Options{Project: project, APIKey: "any",
		EmulatorHost: s.authHost}); err != nil {
		t.Fatal(err)
	}
	verifier, err := identity.NewFirebase(project, identity.StaticKeys{"k1": &signingKey().PublicKey}, s.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	dead := deadletter.Local{Store: db}
	s.persist = persist.New(persist.Deps{Store: db, DeadLetters: dead, Realtime: s.realtime, Now: s.clock.Now, Log: quiet})
	s.deps = api.Deps{Store: db, Accounts: s.accounts, Verifier: verifier, Realtime: s.realtime, DeadLetters: dead,
		Replayer: s.persist,
		PushKeys: push.NewFileKeys(filepath.Join(t.TempDir(), "push.json")), PushServices: pushServices,
		Pushes: &pushLog{}, Origins: []string{origin}, Now: s.clock.Now, Log: quiet, SignupsHourly: 1000}
	for _, c := range change {
		c(&s.deps)
	}
	s.rebuild()
	return s
}

// rebuild creates the API again, with the present deps.
func (s *system) rebuild() { s.handler = api.New(s.deps).Handler() }

// noAudit is a store whose audit log cannot be written.
type noAudit struct{ store.Store }

func (noAudit) AddAudit(context.Context, store.Audit) error { return problem.ErrUnavailable }

// token returns a token for uid as Firebase would issue it now, with changed claims.
func (s *system) token(uid string, change ...func(jwt.MapClaims)) string {
	now := s.clock.Now()
	claims := jwt.MapClaims{"iss": "https://securetoken.google.com/" + project, "aud": project, "sub": uid,
		"email": uid + "@example.org", "email_verified": true,
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	for _, c := range change {
		c(claims)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = "k1"
	signed, err := t.SignedString(signingKey())
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

// knownToken creates a user and their account, and returns a token of a sign-in that is recorded.
func (s *system) knownToken(name string) string {
	s.t.Helper()
	token := s.token(s.account(name))
	s.call("GET", "/me", token, nil).must(200, nil)
	return token
}

func asAdmin(c jwt.MapClaims) { c["admin"] = true }

// user creates a user in the store, but no account. The uid is the username.
func (s *system) user(name string) string {
	s.t.Helper()
	ctx := s.t.Context()
	now := chat.MicrosOf(s.clock.Now())
	lease, err := s.store.Reserve(ctx, name+"@example.org", name, name, "a", now, time.Minute)
	if err == nil {
		err = s.store.Commit(ctx, lease, store.User{UID: name, Username: name,
			DisplayName: strings.ToUpper(name[:1]) + name[1:], Email: name + "@example.org", EmailVerified: true,
			EmailAt: now, CreatedAt: now})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return name
}

// account creates a user and their account, whose address is verified.
func (s *system) account(name string) string {
	s.t.Helper()
	s.user(name)
	if err := s.accounts.Create(s.t.Context(), accounts.New{UID: name, Email: name + "@example.org", EmailVerified: true,
		Password: "correct horse", DisplayName: name}); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// admin creates an admin, and returns their token.
func (s *system) admin(name string) (uid, token string) {
	s.t.Helper()
	s.account(name)
	if _, err := s.store.SetAdmin(s.t.Context(), name, true, true); err != nil {
		s.t.Fatal(err)
	}
	if err := s.accounts.SetAdmin(s.t.Context(), name, true); err != nil {
		s.t.Fatal(err)
	}
	return name, s.token(name, asAdmin)
}

// save saves messages of one user to another, a second apart, and returns them.
func (s *system) save(from, to string, bodies ...string) (list []delivery.Delivered) {
	s.t.Helper()
	at := chat.MicrosOf(s.clock.Now().Add(-time.Hour))
	for i, body := range bodies {
		id := uuid.Must(uuid.NewV7()).String()
		list = append(list, delivery.Delivered{Message: chat.Message{ID: id, Conversation: chat.ConversationID(from, to),
			From: from, To: to, Body: body,
			At: at + chat.Micros(i)*1e6, AcceptedAt: at + chat.Micros(i)*1e6}, DeliveredAt: at + chat.Micros(i)*1e6 + 5})
	}
	if _, err := s.store.Save(s.t.Context(), list, nil); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// answer is a response.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// call sends a request. Its body is in, encoded as JSON unless it is nil or a string.
func (s *system) call(method, path, token string, in any, header ...string) *answer {
	s.t.Helper()
	var body io.Reader
	switch v := in.(type) {
	case nil:
	case string:
		body = strings.NewReader(v)
	default:
		b, err := json.Marshal(in)
		if err != nil {
			s.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, "/api"+path, body)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	validate(s.t, r, in, w)
	return &answer{s.t, w.Code, w.Result().Header, w.Body.Bytes()}
}

// must fails the test unless the answer has the status, and decodes it into v.
func (a *answer) must(status int, v any) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if v != nil {
		if err := json.Unmarshal(a.body, v); err != nil {
			a.t.Fatalf("%v in %s", err, a.body)
		}
	}
	return a
}

// details is the body of an error.
type details struct {
	Status       int
	Code, Detail string
	Fields       map[string]string
	FieldCodes   map[string]string `json:"field_codes"`
	RetryAfterMS int64             `json:"retry_after_ms"`
}

// refused fails the test unless the answer is an error with the status and the code.
func (a *answer) refused(status int, code string) details {
	a.t.Helper()
	var d details
	a.must(status, &d)
	if d.Code != code || d.Status != status || d.Detail == "" ||
		a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Fatalf("answer %s (%s), want the code %s", a.body, a.header.Get("Content-Type"), code)
	}
	return d
}

var _ internalapi.API = (*realtimeLog)(nil)
