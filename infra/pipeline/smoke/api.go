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

	"github.com/phoenixchat/phoenixchat/realtime/server"
)

// readSettings reads the configuration that every browser reads, and makes its addresses absolute.
func (t *trial) readSettings(ctx context.Context) error {
	if err := t.call(ctx, http.MethodGet, t.revision.String()+"/config.json", "", nil, &t.config); err != nil {
		return err
	}
	if c := &t.config; c.APIBase == "" || c.RealtimeURL == "" || c.Firebase.APIKey == "" {
		return fmt.Errorf("/config.json is incomplete: %+v", *c)
	}
	if strings.HasPrefix(t.config.APIBase, "/") {
		t.config.APIBase = t.hosted.String() + t.config.APIBase
	}
	return nil
}

// signIn signs in with Firebase Auth or its stand-in, and returns an ID token.
func signIn(ctx context.Context, t *trial, config server.ClientConfig, email, password string) (
	token, uid string, expires time.Time, err error) {
	var in struct {
		IDToken string `json:"idToken"`
		LocalID string `json:"localId"`
	}
	began := time.Now()
	err = t.call(ctx, http.MethodPost, toolkit(config)+"/v1/accounts:signInWithPassword?key="+config.Firebase.APIKey, "",
		map[string]any{"email": email, "password": password, "returnSecureToken": true}, &in)
	return in.IDToken, in.LocalID, began.Add(time.Hour), err
}

// signInWithToken signs in with a token of the functions, and returns an ID token.
func signInWithToken(ctx context.Context, t *trial, token string) (idToken string, expires time.Time, err error) {
	var in struct {
		IDToken string `json:"idToken"`
	}
	began := time.Now()
	url := toolkit(t.config) + "/v1/accounts:signInWithCustomToken?key=" + t.config.Firebase.APIKey
	err = t.call(ctx, http.MethodPost, url, "", map[string]any{"token": token, "returnSecureToken": true}, &in)
	return in.IDToken, began.Add(time.Hour), err
}

// toolkit returns the address of Firebase Auth, or of its stand-in.
func toolkit(config server.ClientConfig) string {
	if config.AuthEmulatorURL != "" {
		return config.AuthEmulatorURL + "/identitytoolkit.googleapis.com"
	}
	return "https://identitytoolkit.googleapis.com"
}

// call makes an HTTP request with JSON in and out. Until ctx ends, it retries connection errors, 429 and 5xx, because
// the first instance of a function may still be starting.
func (t *trial) call(ctx context.Context, method, url, token string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		retryable, err := t.callOnce(ctx, method, url, token, body, out)
		if !retryable || err == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer: %w", context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}

// callOnce makes a request once and reports whether its error is retryable.
func (t *trial) callOnce(ctx context.Context, method, url, token string, body []byte, out any) (
	retryable bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header = t.requestHeader()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	path, _, _ := strings.Cut(url, "?") // errors must not contain the API key
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return true, fmt.Errorf("%s %s: no answer: %w", method, path, unwrapURL(err))
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return true, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		return res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500,
			fmt.Errorf("%s %s: %s: %.500s", method, path, res.Status, text)
	}
	allowed := res.Header.Get("Access-Control-Allow-Origin")
	if strings.HasPrefix(url, t.config.APIBase) && t.crossOrigin() && allowed != t.hosted.String() {
		return false, fmt.Errorf("%s %s: pages of %s may not call the functions: Access-Control-Allow-Origin is %q",
			method, path, t.hosted, allowed)
	}
	if out == nil {
		return false, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return false, fmt.Errorf("%s %s: %w: %.200s", method, path, err, text)
	}
	return false, nil
}

// crossOrigin reports whether the functions and the page have different origins.
func (t *trial) crossOrigin() bool {
	return t.config.APIBase != "" && !strings.HasPrefix(t.config.APIBase, t.hosted.String()+"/")
}
