package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// person is a user with an address of their own.
type person struct {
	w        *world
	uid      string
	username string
	email    string
	from     string // network address, as X-Forwarded-For has it
	token    string
	refresh  string // refresh token; "": none
	admin    bool
	factor   bool // the sign-in was confirmed by a second factor
}

// address returns the network address of person number n.
func address(n int64) string { return fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255) }

// person adds a user to the directory. The user has no account in Firebase Auth, which most attacks do not need.
func (w *world) person(ctx context.Context) (*person, error) {
	n := w.people.Add(1)
	name := fmt.Sprintf("person%05d", n)
	p := &person{w: w, username: name, email: name + "@example.org", from: address(n)}
	now := chat.MicrosOf(time.Now())
	lease, err := w.stack.Store.Reserve(ctx, p.email, name, name, name, now, time.Minute)
	if err != nil {
		return nil, fmt.Errorf("add a user: %w", err)
	}
	p.uid = lease.UID
	u := store.User{UID: p.uid, Username: name, DisplayName: "Person " + fmt.Sprint(n), Email: p.email,
		EmailVerified: true, CreatedAt: now}
	if err := w.stack.Store.Commit(ctx, lease, u); err != nil {
		return nil, fmt.Errorf("add a user: %w", err)
	}
	p.token, err = w.tokenOf(p, time.Now())
	return p, err
}

// withAccount creates an account in Firebase Auth for the user.
func (p *person) withAccount(ctx context.Context) error {
	return p.w.stack.Accounts.Create(ctx,
		accounts.New{UID: p.uid, Email: p.email, EmailVerified: true, Password: password, DisplayName: p.username})
}

// accountHolder adds a user who has an account in Firebase Auth.
func (w *world) accountHolder(ctx context.Context) (*person, error) {
	p, err := w.person(ctx)
	if err != nil {
		return nil, err
	}
	return p, p.withAccount(ctx)
}

// persons adds n users.
func (w *world) persons(ctx context.Context, n int) ([]*person, error) {
	var all []*person
	for range n {
		p, err := w.person(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// tokenOf returns an unsigned ID token, as the stand-in issues them, of a sign-in at a time.
func (w *world) tokenOf(p *person, signedIn time.Time) (string, error) {
	claims := jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + w.stack.Project, "aud": w.stack.Project, "sub": p.uid,
		"iat": time.Now().Add(-time.Second).Unix(), "auth_time": signedIn.Add(-time.Second).Unix(),
		"exp": time.Now().Add(time.Hour).Unix(), "email": p.email, "email_verified": true,
	}
	if p.admin {
		claims["admin"] = true
	}
	if p.factor {
		claims["firebase"] = map[string]string{"sign_in_second_factor": "totp"}
	}
	return jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
}

// answer is the answer to an HTTP request.
type answer struct {
	status int
	code   string // of the problem, if it is one
	body   []byte
	header http.Header
}

// field returns a field of the JSON object in the body, or "".
func (a answer) field(name string) string {
	var object map[string]any
	if json.Unmarshal(a.body, &object) != nil {
		return ""
	}
	s, _ := object[name].(string)
	return s
}

// client makes the HTTP requests. Attacks make many at the same time.
var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// call calls a route of the functions with the person's token.
func (p *person) call(ctx context.Context, method, path string, body any) (answer, error) {
	return p.w.request(ctx, method, p.w.stack.URL+"/api"+path, body, http.Header{
		"Authorization": {"Bearer " + p.token}, "X-Forwarded-For": {p.from},
	})
}

// request makes an HTTP request.
func (w *world) request(ctx context.Context, method, url string, body any, header http.Header) (answer, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(b)
		header.Set("Content-Type", "application/json")
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return answer{}, err
	}
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, body: b, header: resp.Header}
	a.code = a.field("code")
	return a, err
}

// password is the password of all accounts.
const password = "warm embers at night"

// signUp signs up a user with an account through the public form, and signs in.
func (w *world) signUp(ctx context.Context, email string) (*person, error) {
	n := w.people.Add(1)
	p := &person{w: w, username: fmt.Sprintf("person%05d", n), email: email, from: address(n)}
	form := map[string]string{"email": email, "password": password, "username": p.username, "display_name": p.username}
	a, err := p.call(ctx, http.MethodPost, "/signup", form)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusCreated {
		return nil, fmt.Errorf("sign up %s: %d %s", email, a.status, a.body)
	}
	in, err := w.signIn(ctx, email, password)
	p.uid, p.token, p.refresh = in.uid, in.idToken, in.refreshToken
	return p, err
}

// signedIn is what a sign-in returns.
type signedIn struct{ uid, idToken, refreshToken string }

// signIn signs in with a password.
func (w *world) signIn(ctx context.Context, email, password string) (signedIn, error) {
	a, err := w.auth(ctx, "identitytoolkit.googleapis.com/v1/accounts:signInWithPassword",
		map[string]any{"email": email, "password": password, "returnSecureToken": true})
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("sign in %s: %d %s", email, a.status, a.body)
	}
	return signedIn{a.field("localId"), a.field("idToken"), a.field("refreshToken")}, err
}

// auth calls the stand-in for Firebase Auth as a browser does.
func (w *world) auth(ctx context.Context, path string, body any) (answer, error) {
	return w.request(ctx, http.MethodPost, "http://"+w.stack.AuthAddr+"/"+path+"?key=local", body, http.Header{})
}

// refresh exchanges a refresh token for an ID token.
func (w *world) refresh(ctx context.Context, token string) (answer, error) {
	form := strings.NewReader("grant_type=refresh_token&refresh_token=" + token)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+w.stack.AuthAddr+"/securetoken.googleapis.com/v1/token?key=local", form)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, body: b}, err
}
