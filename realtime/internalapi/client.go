package internalapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// TokenSource gives the ID token that the functions' service account shows to
// an audience. It may be called for every request, and caches.
type TokenSource interface {
	Token(ctx context.Context, audience string) (string, error)
}

// ClientOptions are the settings of a Client.
type ClientOptions struct {
	URL      string // of realtime/, without a path: "https://realtime-…run.app"
	Audience string // of the ID tokens; "": URL
	Tokens   TokenSource
	HTTP     *http.Client // nil: one with a time limit of 10 s
}

// Client is a Relay over HTTP. It is safe for use by many goroutines.
type Client struct {
	o ClientOptions
}

var _ API = (*Client)(nil)

// NewClient returns a Client.
func NewClient(o ClientOptions) *Client {
	o.URL = strings.TrimSuffix(o.URL, "/")
	if o.Audience == "" {
		o.Audience = o.URL
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	return &Client{o}
}

// GateChanged implements Relay.
func (c *Client) GateChanged(ctx context.Context, g Gate) error {
	return c.call(ctx, http.MethodPost, "/internal/gate", g, nil)
}

// Gone implements Relay.
func (c *Client) Gone(ctx context.Context, uid string) error {
	return c.call(ctx, http.MethodPost, "/internal/gone", map[string]string{"uid": uid}, nil)
}

// Figures implements Relay.
func (c *Client) Figures(ctx context.Context) (Figures, error) {
	var f Figures
	err := c.call(ctx, http.MethodGet, "/internal/figures", nil, &f)
	return f, err
}

// call sends one request and reads its answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	fail := func(err error) error {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("realtime %s: %w", path, err))
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fail(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.o.URL+path, body)
	if err != nil {
		return fail(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	token, err := c.o.Tokens.Token(ctx, c.o.Audience)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fail(err)
	}
	if resp.StatusCode/100 != 2 {
		return fail(fmt.Errorf("status %d: %.300s", resp.StatusCode, answer))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fail(err)
	}
	return nil
}
