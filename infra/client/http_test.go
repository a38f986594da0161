package client

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A history whose budget is used up continues with the same page after Retry-After.
func TestHistoryWaitsForItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		h := &HTTPHistory{Base: "https://chat.example/api", Token: func(context.Context) (string, error) { return "t", nil },
			Client: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				status, header, body := http.StatusOK, http.Header{}, `{"messages":[{"id":"m"}],"next":""}`
				if calls++; calls == 1 {
					status, body = http.StatusTooManyRequests, "{}"
					header.Set("Retry-After", "42")
				}
				return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
			})}}
		began := time.Now()
		page, err := h.Messages(t.Context(), "a~b", "", 10)
		if waited := time.Since(began); err != nil || len(page.Messages) != 1 || calls != 2 || waited != 42*time.Second {
			t.Errorf("page %+v after %d calls and %v: %v", page, calls, waited, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		calls = 0
		if _, err := h.Messages(ctx, "a~b", "", 10); err == nil || calls != 1 {
			t.Errorf("after the context has ended: %d calls, error %v", calls, err)
		}
	})
}
