package internalapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// TokenSource returns ID tokens of the caller's service account for an audience. Client asks it before every request,
// so implementations should cache.
type TokenSource interface {
	Token(ctx context.Context, audience string) (string, error)
}

// ClientOptions are the settings of a Client.
type ClientOptions struct {
	URL      string // of the realtime service, without a path: "https://realtime-….run.app"
	Audience string // of the ID tokens; "": URL
	Tokens   TokenSource
}

// callTimeout limits one call.
const callTimeout = 10 * time.Second // longer than WorkTime

// Client implements API over HTTP. A call takes at most 10 s. Client is safe for concurrent use.
type Client struct {
	url, audience string
	tokens        TokenSource
	http          *http.Client
}

var _ API = (*Client)(nil)

// NewClient returns a Client. It makes no call.
func NewClient(o ClientOptions) *Client {
	c := &Client{url: strings.TrimSuffix(o.URL, "/"), audience: o.Audience, tokens: o.Tokens,
		http: &http.Client{Timeout: callTimeout, CheckRedirect: noRedirect}}
	if c.audience == "" {
		c.audience = c.url
	}
	return c
}

// noRedirect makes a redirect an answer that is not 2xx. No internal route has one, so it comes from something else,
// which must not get the caller's token and data.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// GateChanged implements API.
func (c *Client) GateChanged(ctx context.Context, g Gate) error {
	return c.call(ctx, http.MethodPost, GatePath, g, nil)
}

// Gone implements API.
func (c *Client) Gone(ctx context.Context, uid string) error {
	return c.call(ctx, http.MethodPost, GonePath, Gone{UID: uid}, nil)
}

// ProfileChanged implements API.
func (c *Client) ProfileChanged(ctx context.Context, uid string) error {
	return c.call(ctx, http.MethodPost, ProfilePath, Profile{UID: uid}, nil)
}

// OwnProfileChanged implements API.
func (c *Client) OwnProfileChanged(ctx context.Context, uid string) error {
	return c.call(ctx, http.MethodPost, ProfilePath, Profile{UID: uid, Own: true}, nil)
}

// Purge implements API.
func (c *Client) Purge(ctx context.Context, p Purge) (Purged, error) {
	var done Purged
	err := c.call(ctx, http.MethodPost, PurgePath, p, &done)
	return done, err
}

// Corrected implements API.
func (c *Client) Corrected(ctx context.Context, messages []delivery.Delivered) error {
	for len(messages) > 0 {
		n, size := 0, 0
		for n < min(len(messages), delivery.MaxMessages) {
			b, err := json.Marshal(messages[n])
			if err != nil { // cannot happen: strings and integers only
				return problem.ErrUnavailable.WithCause(err)
			}
			if size += len(b) + 1; n > 0 && size > delivery.MaxBytes {
				break
			}
			n++
		}
		if err := c.call(ctx, http.MethodPost, CorrectedPath, Corrected{messages[:n]}, nil); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

// Set implements API.
func (c *Client) Set(ctx context.Context, s Setting) error {
	err := c.call(ctx, http.MethodPost, SettingPath, s, nil)
	var answer *statusError
	if errors.As(err, &answer) && answer.code() == chat.ErrRequestUnknown.Code {
		return chat.ErrRequestUnknown.WithCause(err)
	}
	return err
}

// Waiting implements API.
func (c *Client) Waiting(ctx context.Context) (Waiting, error) {
	var w Waiting
	err := c.call(ctx, http.MethodGet, WaitingPath, nil, &w)
	return w, err
}

// Figures implements API.
func (c *Client) Figures(ctx context.Context) (Figures, error) {
	var f Figures
	err := c.call(ctx, http.MethodGet, FiguresPath, nil, &f)
	return f, err
}

// statusError is an answer that is not 2xx.
type statusError struct {
	status int
	body   []byte
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %.300s", e.status, e.body) }

// code returns the code of a problem document; "": it is none.
func (e *statusError) code() string {
	var p struct{ Code string }
	if json.Unmarshal(e.body, &p) != nil {
		return ""
	}
	return p.Code
}

// call sends one request and decodes the response into out, unless out is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	fail := func(err error) error {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("call realtime %s: %w", path, err))
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fail(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return fail(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	token, err := c.tokens.Token(ctx, c.audience)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.http.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody))
	if err != nil {
		return fail(err)
	}
	if resp.StatusCode/100 != 2 {
		return fail(&statusError{resp.StatusCode, answer})
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fail(err)
	}
	return nil
}
