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

// settings asks for what every browser is told, and makes its addresses absolute.
func (t *trial) readSettings(ctx context.Context) error {
	if err := t.call(ctx, http.MethodGet, t.revision.String()+"/config.json", "", nil, &t.config); err != nil {
		return err
	}
	if c := &t.config; c.APIBase == "" || c.RealtimeURL == "" || c.Firebase.APIKey == "" {
		return fmt.Errorf("/config.json lacks something: %+v", *c)
	}
	if strings.HasPrefix(t.config.APIBase, "/") {
		t.config.APIBase = t.hosted.String() + t.config.APIBase
	}
	return nil
}

// signIn returns an ID token for an address and its password, from Firebase Auth or what stands for it.
func signIn(ctx context.Context, t *trial, config server.ClientConfig, email, password string) (token, uid string, ends time.Time, err error) {
	base := "https://identitytoolkit.googleapis.com"
	if config.AuthEmulatorURL != "" {
		base = config.AuthEmulatorURL + "/identitytoolkit.googleapis.com"
	}
	var in struct {
		IDToken string `json:"idToken"`
		LocalID string `json:"localId"`
	}
	began := time.Now()
	err = t.call(ctx, http.MethodPost, base+"/v1/accounts:signInWithPassword?key="+config.Firebase.APIKey, "",
		map[string]any{"email": email, "password": password, "returnSecureToken": true}, &in)
	return in.IDToken, in.LocalID, began.Add(time.Hour), err
}

// call makes one HTTP call with JSON in and out. No connection, 429 and 5xx are tried again for as long
// as ctx allows: a function's first instance may still be starting.
func (t *trial) call(ctx context.Context, method, url, token string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		again, err := t.callOnce(ctx, method, url, token, body, out)
		if !again || err == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer: %w", context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}

// try makes a call once, and says whether it is worth another try.
func (t *trial) callOnce(ctx context.Context, method, url, token string, body []byte, out any) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Origin", t.hosted.String()) // as the page would: CORS is part of what must work
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	path, _, _ := strings.Cut(url, "?") // the key is not for logs
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
	if strings.HasPrefix(url, t.config.APIBase) && t.crossOrigin() && res.Header.Get("Access-Control-Allow-Origin") != t.hosted.String() {
		return false, fmt.Errorf("%s %s: the functions do not let pages of %s call: Access-Control-Allow-Origin is %q", method, path, t.hosted, res.Header.Get("Access-Control-Allow-Origin"))
	}
	if out == nil {
		return false, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return false, fmt.Errorf("%s %s: %w: %.200s", method, path, err, text)
	}
	return false, nil
}

// crossOrigin reports whether the functions have another origin than the page.
func (t *trial) crossOrigin() bool {
	return t.config.APIBase != "" && !strings.HasPrefix(t.config.APIBase, t.hosted.String()+"/")
}
