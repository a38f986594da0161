package authstub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/auth"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	options := []goleak.Option{goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start")}
	if os.Getenv("PHOENIX_TEST_AUTH_EMULATOR") != "" {
		// The Admin SDK keeps its connections open, and this server outlives the tests.
		options = append(options, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
			goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
	}
	goleak.VerifyTestMain(m, options...)
}

// testProject is the project of the official emulator, which supports only one for requests with an API key.
const testProject = "demo-chat"

// clock is a clock that a test sets.
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

// stub is a running stand-in.
type stub struct {
	*Server
	url   string // http://host:port
	mails chan Mail
}

func start(t *testing.T, path string, now func() time.Time) *stub {
	t.Helper()
	mails := make(chan Mail, 100)
	s, err := Open(Options{Project: testProject, Path: path, Now: now, HashMemory: 64,
		Mail: func(m Mail) { mails <- m }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &stub{s, srv.URL, mails}
}

func dbPath(t *testing.T) string { return filepath.Join(t.TempDir(), "accounts.db") }

// sdk returns an unmodified Admin SDK that is connected to host.
func sdk(t *testing.T, host string) *auth.Client {
	t.Helper()
	t.Setenv("FIREBASE_AUTH_EMULATOR_HOST", strings.TrimPrefix(host, "http://"))
	app, err := firebase.NewApp(context.Background(), &firebase.Config{ProjectID: testProject})
	if err != nil {
		t.Fatal(err)
	}
	c, err := app.Auth(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// browser makes the same requests as the browser SDK. Its errors are the messages of the answers.
type browser struct{ url string }

func (b browser) call(method string, in any) (map[string]any, error) {
	req, err := jsonRequest(b.url+"/identitytoolkit.googleapis.com/v1/accounts:"+method+"?key=local", in)
	if err != nil {
		return nil, err
	}
	return answerOf(http.DefaultClient.Do(req))
}

func jsonRequest(address string, in any) (*http.Request, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, err
}

func (b browser) refresh(token any) (map[string]any, error) {
	return answerOf(http.PostForm(b.url+"/securetoken.googleapis.com/v1/token?key=local",
		url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.(string)}}))
}

func answerOf(resp *http.Response, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return nil, err
	}
	if e, ok := out["error"].(map[string]any); ok {
		return nil, errors.New(e["message"].(string))
	}
	return out, nil
}

func (b browser) signIn(email, password string) (map[string]any, error) {
	return b.call("signInWithPassword", map[string]any{"email": email, "password": password, "returnSecureToken": true})
}

type m = map[string]any

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// createAnn creates an account with the uid ann.
func createAnn(t *testing.T, admin *auth.Client) {
	t.Helper()
	u := (&auth.UserToCreate{}).UID("ann").Email("ann@example.com").Password("correct horse")
	must(admin.CreateUser(t.Context(), u))(t)
}

// wantError checks that err begins with code, on which the SDKs branch.
func wantError(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || !(err.Error() == code || strings.HasPrefix(err.Error(), code+" ")) {
		t.Errorf("error %v, want %s", err, code)
	}
}

func TestAccountsSurviveARestart(t *testing.T) {
	path := dbPath(t)
	var refresh any
	t.Run("before", func(t *testing.T) {
		s := start(t, path, time.Now)
		createAnn(t, sdk(t, s.url))
		refresh = must(browser{s.url}.signIn("ann@example.com", "correct horse"))(t)["refreshToken"]
	})
	s := start(t, path, time.Now)
	b := browser{s.url}
	must(b.signIn("ann@example.com", "correct horse"))(t)
	if got := must(b.refresh(refresh))(t)["user_id"]; got != "ann" {
		t.Errorf("refreshed as %v", got)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	path := dbPath(t)
	start(t, path, time.Now)
	if _, err := Open(Options{Project: testProject, Path: path}); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v, want ErrInUse", err)
	}
}

func TestPublicSignUpAndDeletionAreRefused(t *testing.T) {
	b := browser{start(t, dbPath(t), time.Now).url}
	for _, method := range []string{"signUp", "delete"} {
		_, err := b.call(method, m{"email": "ann@example.com", "password": "correct horse"})
		wantError(t, err, "ADMIN_ONLY_OPERATION")
	}
}

func TestAdministratorsNeedTheBearerToken(t *testing.T) {
	s := start(t, dbPath(t), time.Now)
	for _, path := range []string{"accounts", "accounts:lookup", "accounts:update", "accounts:delete", "accounts:query",
		"accounts:sendOobCode"} {
		resp, err := http.Post(s.url+"/identitytoolkit.googleapis.com/v1/projects/"+testProject+"/"+path,
			"application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %s", path, resp.Status)
		}
	}
}

func TestWrongPasswordsLockAnAddress(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	admin, b := sdk(t, s.url), browser{s.url}
	for _, name := range []string{"ann", "bob"} {
		u := (&auth.UserToCreate{}).UID(name).Email(name + "@example.com").Password("correct horse")
		must(admin.CreateUser(t.Context(), u))(t)
	}
	for range maxFailures {
		_, err := b.signIn("Ann@example.com", "wrong")
		wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
	}
	_, err := b.signIn("ann@example.com", "correct horse")
	wantError(t, err, "TOO_MANY_ATTEMPTS_TRY_LATER")
	must(b.signIn("bob@example.com", "correct horse"))(t)
	c.advance(failureWindow)
	must(b.signIn("ann@example.com", "correct horse"))(t)
}

func TestUserDisabledRequiresThePassword(t *testing.T) {
	s := start(t, dbPath(t), time.Now)
	b := browser{s.url}
	u := (&auth.UserToCreate{}).Email("ann@example.com").Password("correct horse").Disabled(true)
	must(sdk(t, s.url).CreateUser(t.Context(), u))(t)
	_, err := b.signIn("ann@example.com", "wrong")
	wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
	_, err = b.signIn("ann@example.com", "correct horse")
	wantError(t, err, "USER_DISABLED")
}

func TestChangingThePasswordRequiresARecentSignIn(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b := browser{s.url}
	createAnn(t, sdk(t, s.url))
	in := must(b.signIn("ann@example.com", "correct horse"))(t)
	c.advance(recentLogin + time.Second)
	in = must(b.refresh(in["refreshToken"]))(t) // a new token does not make the sign-in recent
	_, err := b.call("update", m{"idToken": in["id_token"], "password": "battery staple"})
	wantError(t, err, "CREDENTIAL_TOO_OLD_LOGIN_AGAIN")
}

func TestIDTokensExpire(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b := browser{s.url}
	createAnn(t, sdk(t, s.url))
	in := must(b.signIn("ann@example.com", "correct horse"))(t)
	c.advance(tokenLifetime)
	_, err := b.call("lookup", m{"idToken": in["idToken"]})
	wantError(t, err, "TOKEN_EXPIRED")
	fresh := must(b.refresh(in["refreshToken"]))(t)
	must(b.call("lookup", m{"idToken": fresh["id_token"]}))(t)
}

func TestRevokingCoversRefreshTokensOfTheSameSecond(t *testing.T) {
	c := &clock{now: time.Now().Truncate(time.Second).Add(time.Millisecond)}
	s := start(t, dbPath(t), c.Now)
	b := browser{s.url}
	createAnn(t, sdk(t, s.url))
	in := must(b.signIn("ann@example.com", "correct horse"))(t)
	c.advance(time.Millisecond)
	must(s.updateAccount("ann", func(tx *bolt.Tx, a *account) error {
		return s.applyFields(tx, a, &fields{ValidSince: new(strconv.FormatInt(c.Now().Unix(), 10))})
	}))(t)
	_, err := b.refresh(in["refreshToken"])
	wantError(t, err, "TOKEN_EXPIRED")
	c.advance(time.Millisecond)
	in = must(b.signIn("ann@example.com", "correct horse"))(t)
	must(b.refresh(in["refreshToken"]))(t)
}

func TestForgedRefreshTokensAreRefused(t *testing.T) {
	s := start(t, dbPath(t), time.Now)
	b := browser{s.url}
	createAnn(t, sdk(t, s.url))
	other := start(t, dbPath(t), time.Now)
	forged := must(other.refreshToken(session{UID: "ann", AuthTime: time.Now().Unix()}))(t)
	for _, token := range []string{forged, "x", "x.y", strings.Split(forged, ".")[0]} {
		_, err := b.refresh(token)
		wantError(t, err, "INVALID_REFRESH_TOKEN")
	}
}

// In these, the emulator differs from production, so they are not in the conformance tests.
func TestChangesOfTheAddressAreProved(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	admin, b := sdk(t, s.url), browser{s.url}
	createAnn(t, admin)
	must(admin.CreateUser(t.Context(), (&auth.UserToCreate{}).UID("bob").Email("bob@example.com")))(t)
	in := must(b.signIn("ann@example.com", "correct horse"))(t)
	_, err := b.call("update", m{"idToken": in["idToken"], "email": "new@example.com"})
	wantError(t, err, "OPERATION_NOT_ALLOWED")
	must(b.call("update", m{"idToken": in["idToken"], "email": "Ann@example.com"}))(t) // not a change
	if u := must(admin.GetUser(t.Context(), "ann"))(t); u.Email != "ann@example.com" {
		t.Errorf("address %s", u.Email)
	}
	// A taken address is answered like a free one, without a mail.
	request := m{"requestType": "VERIFY_AND_CHANGE_EMAIL", "idToken": in["idToken"], "newEmail": "bob@example.com"}
	must(b.call("sendOobCode", request))(t)
	request["newEmail"] = "new@example.com"
	_, err = b.call("sendOobCode", request) // it counts like one with a mail
	wantError(t, err, "TOO_MANY_ATTEMPTS_TRY_LATER")
	c.advance(mailEvery)
	must(b.call("sendOobCode", request))(t)
	mail := <-s.mails
	if mail.To != "new@example.com" || mail.Type != VerifyNewEmail || len(s.mails) != 0 {
		t.Errorf("mail %+v, and %d more", mail, len(s.mails))
	}
	c.advance(time.Second)
	id := must(url.Parse(mail.Link))(t).Query().Get("oobCode")
	must(b.call("update", m{"oobCode": id}))(t)
	if undo := <-s.mails; undo.To != "ann@example.com" || undo.Type != RecoverEmail {
		t.Errorf("mail to the old address %+v", undo)
	}
	_, err = b.refresh(in["refreshToken"])
	wantError(t, err, "TOKEN_EXPIRED")
	after := time.UnixMilli(must(admin.GetUser(t.Context(), "ann"))(t).TokensValidAfterMillis)
	if !after.Equal(c.Now().Truncate(time.Second)) {
		t.Errorf("valid after %v", after)
	}
	in = must(b.signIn("new@example.com", "correct horse"))(t)
	c.advance(recentLogin + time.Second)
	_, err = b.call("sendOobCode", m{"requestType": "VERIFY_AND_CHANGE_EMAIL", "idToken": in["idToken"],
		"newEmail": "another@example.com"})
	wantError(t, err, "CREDENTIAL_TOO_OLD_LOGIN_AGAIN")
	in = must(b.signIn("new@example.com", "correct horse"))(t)
	_, err = b.call("update", m{"idToken": in["idToken"], "password": "7 chars"})
	wantError(t, err, "PASSWORD_DOES_NOT_MEET_REQUIREMENTS")
	_, err = b.call("sendOobCode", m{"requestType": "EMAIL_SIGNIN", "email": "new@example.com"})
	wantError(t, err, "OPERATION_NOT_ALLOWED")
}

// The code in the mail to the old address undoes a change, also after another one, and ends all sign-ins.
func TestAChangeOfTheAddressIsUndone(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	admin, b := sdk(t, s.url), browser{s.url}
	createAnn(t, admin)
	change := func(from, to string) (undo string) {
		t.Helper()
		c.advance(mailEvery)
		in := must(b.signIn(from, "correct horse"))(t)
		must(b.call("sendOobCode", m{"requestType": VerifyNewEmail, "idToken": in["idToken"], "newEmail": to}))(t)
		for _, mail := range []string{to, from} {
			got := <-s.mails
			if got.To != mail {
				t.Fatalf("mail %+v, want one to %s", got, mail)
			}
			link := must(url.Parse(got.Link))(t)
			if undo = link.Query().Get("oobCode"); mail == to {
				must(b.call("update", m{"oobCode": undo}))(t)
			} else if link.Path != "/mail" || link.Query().Get("mode") != "recoverEmail" {
				t.Errorf("link %s", got.Link)
			}
		}
		return undo
	}
	undo := change("ann@example.com", "thief@example.com")
	change("thief@example.com", "thief2@example.com")
	in := must(b.signIn("thief2@example.com", "correct horse"))(t)
	info := must(b.call("resetPassword", m{"oobCode": undo}))(t)
	if info["email"] != "ann@example.com" || info["newEmail"] != "thief@example.com" ||
		info["requestType"] != RecoverEmail {
		t.Errorf("the code is for %v", info)
	}
	_, err := b.call("resetPassword", m{"oobCode": undo, "newPassword": "battery staple"})
	wantError(t, err, "INVALID_OOB_CODE")
	c.advance(time.Second)
	must(b.call("update", m{"oobCode": undo}))(t)
	if u := must(admin.GetUser(t.Context(), "ann"))(t); u.Email != "ann@example.com" || !u.EmailVerified {
		t.Errorf("account %+v", u)
	}
	_, err = b.refresh(in["refreshToken"])
	wantError(t, err, "TOKEN_EXPIRED")
	_, err = b.call("update", m{"oobCode": undo})
	wantError(t, err, "INVALID_OOB_CODE")
	_, err = b.call("sendOobCode", m{"requestType": RecoverEmail, "email": "ann@example.com"})
	wantError(t, err, "OPERATION_NOT_ALLOWED")
}

// A user causes one mail a minute and five an hour. Resets are not counted.
func TestMailsAreLimited(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b := browser{s.url}
	createAnn(t, sdk(t, s.url))
	in := must(b.signIn("ann@example.com", "correct horse"))(t)
	verify := func() error {
		_, err := b.call("sendOobCode", m{"requestType": VerifyEmail, "idToken": in["idToken"]})
		return err
	}
	for i := range 5 {
		if err := verify(); err != nil {
			t.Fatal(i, err)
		}
		<-s.mails
		wantError(t, verify(), "TOO_MANY_ATTEMPTS_TRY_LATER")
		c.advance(mailEvery)
	}
	wantError(t, verify(), "TOO_MANY_ATTEMPTS_TRY_LATER")
	must(b.call("sendOobCode", m{"requestType": PasswordReset, "email": "ann@example.com"}))(t)
	<-s.mails
	c.advance(time.Hour - 5*mailEvery)
	in = must(b.signIn("ann@example.com", "correct horse"))(t)
	if err := verify(); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// A page whose name resolves to this machine (DNS rebinding) can neither read reset links nor act as the administrator.
func TestOtherHostsAreRefused(t *testing.T) {
	s := start(t, dbPath(t), time.Now)
	own := strings.TrimPrefix(s.url, "http://")
	get := func(host string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			s.url+"/emulator/v1/projects/"+testProject+"/oobCodes", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	_, port, _ := strings.Cut(own, ":")
	for host, want := range map[string]int{own: 200, "localhost:" + port: 200, "evil.example": 421,
		"evil.example:" + port: 421, "127.0.0.1.evil.example": 421} {
		if got := get(host); got != want {
			t.Errorf("host %s: status %d, want %d", host, got, want)
		}
	}
	s.hosts = []string{own} // as the launcher printed it
	for host, want := range map[string]int{own: 200, "localhost:" + port: 421, "127.0.0.1": 421, "evil.example": 421} {
		if got := get(host); got != want {
			t.Errorf("with a list, host %s: status %d, want %d", host, got, want)
		}
	}
}

func TestOnlyLoopbackOriginsAreAllowed(t *testing.T) {
	s := start(t, dbPath(t), time.Now)
	for origin, want := range map[string]bool{
		"http://localhost:5173": true, "http://127.0.0.1:8080": true, "http://[::1]:1": true,
		"https://evil.example": false, "http://127.0.0.1.evil.example": false, "null": false,
	} {
		req, err := http.NewRequest(http.MethodOptions,
			s.url+"/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=local", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Headers", "content-type,x-client-version")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := resp.Header.Get("Access-Control-Allow-Origin") == origin
		if got != want || resp.StatusCode != http.StatusNoContent {
			t.Errorf("origin %s: allowed %v, want %v (%s)", origin, got, want, resp.Status)
		}
		for _, path := range []string{"/emulator/v1/projects/" + testProject + "/oobCodes", toolkit + "/projects/" +
			testProject + "/accounts:update"} {
			if req.URL.Path = path; allowedOrigin(t, req) != "" {
				t.Errorf("origin %s: may read %s", origin, path)
			}
		}
		if want && resp.Header.Get("Access-Control-Allow-Headers") != "content-type,x-client-version" {
			t.Errorf("headers allowed: %q", resp.Header.Get("Access-Control-Allow-Headers"))
		}
	}
}

// allowedOrigin returns the origin that may read the answer to req.
func allowedOrigin(t *testing.T, req *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.Header.Get("Access-Control-Allow-Origin")
}

func TestAResetLinkLeadsToTheClient(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b := browser{s.url}
	createAnn(t, sdk(t, s.url))
	requestReset := func(continueURL string) error {
		_, err := b.call("sendOobCode",
			m{"requestType": "PASSWORD_RESET", "email": "ann@example.com", "continueUrl": continueURL})
		return err
	}
	wantError(t, requestReset("javascript:alert(1)"), "INVALID_CONTINUE_URI")
	if err := requestReset(s.url + "/"); err != nil {
		t.Fatal(err)
	}
	mail := <-s.mails
	link := must(url.Parse(mail.Link))(t)
	q := link.Query()
	if mail.To != "ann@example.com" || "http://"+link.Host != s.url || link.Path != "/mail" ||
		q.Get("mode") != "resetPassword" || q.Get("continueUrl") != s.url+"/" {
		t.Errorf("mail %+v", mail)
	}
	c.advance(codeLifetime + time.Second)
	_, err := b.call("resetPassword", m{"oobCode": q.Get("oobCode"), "newPassword": "battery staple"})
	wantError(t, err, "EXPIRED_OOB_CODE")
}
