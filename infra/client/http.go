package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// HTTPHistory reads history from the HTTP functions that functions/openapi.yaml describes.
type HTTPHistory struct {
	Base   string                                    // without a trailing slash, such as "https://chat.example.org/api"
	Token  func(ctx context.Context) (string, error) // returns an ID token
	Client *http.Client                              // nil: http.DefaultClient
}

var _ History = (*HTTPHistory)(nil)

// listLimit is the page size of the conversation list and of the list of changes.
const listLimit = 200

// Conversations implements History.
func (h *HTTPHistory) Conversations(ctx context.Context) ([]Conversation, error) {
	var out []Conversation
	for cursor := ""; ; {
		var page struct {
			Conversations []struct {
				ID     string                 `json:"id"`
				LastAt chat.Micros            `json:"last_at"`
				Read   map[string]chat.Micros `json:"read"`
			} `json:"conversations"`
			Next string `json:"next"`
		}
		query := url.Values{"cursor": {cursor}, "limit": {fmt.Sprint(listLimit)}}
		if err := h.get(ctx, "/conversations", query, &page); err != nil {
			return nil, err
		}
		for _, c := range page.Conversations {
			out = append(out, Conversation(c))
		}
		if page.Next == "" {
			return out, nil
		}
		cursor = page.Next
	}
}

// Messages implements History.
func (h *HTTPHistory) Messages(ctx context.Context, conversation, before string, limit int) (Page, error) {
	var page struct {
		Messages []delivery.Delivered `json:"messages"`
		Next     string               `json:"next"`
	}
	q := url.Values{"conversation": {conversation}, "limit": {fmt.Sprint(limit)}}
	if before != "" {
		q.Set("before", before)
	}
	if err := h.get(ctx, "/messages", q, &page); err != nil {
		return Page{}, err
	}
	return Page{Messages: page.Messages, Before: page.Next}, nil
}

// Message implements History.
func (h *HTTPHistory) Message(
	ctx context.Context, conversation, key string,
) (m delivery.Delivered, saved bool, err error) {
	var page struct {
		Messages []delivery.Delivered `json:"messages"`
	}
	q := url.Values{"conversation": {conversation}, "key": {key}}
	if err := h.get(ctx, "/messages", q, &page); err != nil || len(page.Messages) == 0 {
		return delivery.Delivered{}, false, err
	}
	return page.Messages[0], true, nil
}

// Changed implements History.
func (h *HTTPHistory) Changed(ctx context.Context, since chat.Micros) (
	list []delivery.Delivered, reload bool, err error,
) {
	for cursor := ""; ; {
		var page struct {
			Messages []delivery.Delivered `json:"messages"`
			Next     string               `json:"next"`
			Reload   bool                 `json:"reload"`
		}
		q := url.Values{"since": {fmt.Sprint(since)}, "cursor": {cursor}, "limit": {fmt.Sprint(listLimit)}}
		if err := h.get(ctx, "/messages/changes", q, &page); err != nil || page.Reload {
			return nil, page.Reload, err
		}
		list = append(list, page.Messages...)
		if cursor = page.Next; cursor == "" {
			return list, false, nil
		}
	}
}

// get reads an answer. When the user's budget is used up, it waits for the next window: a job that began again from its
// first page would never end.
func (h *HTTPHistory) get(ctx context.Context, path string, q url.Values, into any) error {
	for {
		wait, err := h.attempt(ctx, path, q, into)
		if wait == 0 {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// attempt makes one request. If the answer is 429 with Retry-After, it returns that time and an error.
func (h *HTTPHistory) attempt(ctx context.Context, path string, q url.Values,
	into any) (wait time.Duration, err error) {
	for k, v := range q {
		if v[0] == "" {
			q.Del(k)
		}
	}
	token, err := h.Token(ctx)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Base+path+"?"+q.Encode(), nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		err := fmt.Errorf("GET %s: %s: %s", path, resp.Status, b)
		if seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")); resp.StatusCode == http.StatusTooManyRequests {
			wait = time.Duration(seconds) * time.Second
		}
		return wait, err
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return 0, fmt.Errorf("GET %s: %w", path, err)
	}
	return 0, nil
}
