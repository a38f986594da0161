package internalapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

type tokens struct{ err error }

func (t tokens) Token(_ context.Context, audience string) (string, error) {
	return "token-for-" + audience, t.err
}

// saved returns a saved message.
func saved(n int, body string) delivery.Delivered {
	return delivery.Delivered{Message: chat.Message{ID: fmt.Sprintf("019a0000-0000-7000-8000-%012d", n),
		Conversation: "ada~bob", From: "ada", To: "bob", Body: body, At: 1, AcceptedAt: 2}, DeliveredAt: 3}
}

// Messages of any size are split into calls that the server accepts.
func TestCorrectedIsSplit(t *testing.T) {
	var got []delivery.Delivered
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call internalapi.Corrected
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, internalapi.MaxBody)).Decode(&call)
		if err = errors.Join(err, call.Check()); err != nil {
			t.Error(err)
		}
		calls++
		got = append(got, call.Messages...)
	}))
	t.Cleanup(srv.Close)
	c := internalapi.NewClient(internalapi.ClientOptions{URL: srv.URL, Tokens: tokens{}})
	var want []delivery.Delivered
	for n := range delivery.MaxMessages {
		want = append(want, saved(n, strings.Repeat("<", chat.MaxBody)))
	}
	for n := range 2*delivery.MaxMessages + 1 {
		want = append(want, saved(1000+n, "short"))
	}
	if err := c.Corrected(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d messages in %d calls, want %d in their order", len(got), calls, len(want))
	}
	if err := c.Corrected(t.Context(), nil); err != nil || calls > 80 {
		t.Errorf("%v, %d calls", err, calls)
	}
	for _, bad := range [][]delivery.Delivered{nil, {saved(1, "")}, want[:delivery.MaxMessages+1]} {
		if (internalapi.Corrected{Messages: bad}).Check() == nil {
			t.Errorf("%d messages are accepted", len(bad))
		}
	}
}

// A request that cannot be accepted is the only refusal that a caller can tell from an outage.
func TestUnknownRequest(t *testing.T) {
	for answer, want := range map[string]error{
		`{"code":"request_unknown"}`: chat.ErrRequestUnknown, `{"code":"not_found"}`: problem.ErrUnavailable,
		"404 page not found": problem.ErrUnavailable, "": problem.ErrUnavailable,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, answer)
		}))
		t.Cleanup(srv.Close)
		c := internalapi.NewClient(internalapi.ClientOptions{URL: srv.URL, Tokens: tokens{}})
		if err := c.Set(t.Context(), internalapi.Setting{}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
	}
}

// A redirect is an error, and nothing is sent to its target.
func TestRedirectsAreNotFollowed(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(other.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		srv := httptest.NewServer(http.RedirectHandler(other.URL, status))
		t.Cleanup(srv.Close)
		c := internalapi.NewClient(internalapi.ClientOptions{URL: srv.URL, Tokens: tokens{}})
		if err := c.Gone(t.Context(), "ada"); !errors.Is(err, problem.ErrUnavailable) || reached {
			t.Errorf("%d: %v, the target was reached: %v", status, err, reached)
		}
	}
}

func TestClient(t *testing.T) {
	type seen struct {
		method, path, auth string
		body               map[string]any
	}
	var got []seen
	status, answer := http.StatusNoContent, ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s := seen{r.Method, r.URL.Path, r.Header.Get("Authorization"), nil}
		if len(b) > 0 {
			if err := json.Unmarshal(b, &s.body); err != nil {
				t.Error(err)
			}
		}
		got = append(got, s)
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	c := internalapi.NewClient(internalapi.ClientOptions{URL: srv.URL + "/", Tokens: tokens{}})
	ctx := t.Context()
	g := internalapi.Gate{UID: "ada", Exists: true, Disabled: true, ValidAfter: 5,
		Ended: []chat.Micros{7}, SignedOut: []chat.Micros{7}, Blocked: []string{"eve"}, Push: true,
		LimitedUntil: 9, Privacy: chat.Privacy{OnlyKnown: true}, Unverified: true}
	if err := c.GateChanged(ctx, g); err != nil {
		t.Error(err)
	}
	if err := c.ProfileChanged(ctx, "ada"); err != nil {
		t.Error(err)
	}
	if err := c.OwnProfileChanged(ctx, "ada"); err != nil {
		t.Error(err)
	}
	if err := c.Gone(ctx, "ada"); err != nil {
		t.Error(err)
	}
	if err := c.Corrected(ctx, []delivery.Delivered{saved(1, "hello")}); err != nil {
		t.Error(err)
	}
	status = http.StatusOK
	answer = `{"instance":"x","sockets":{"one":2},"queued":3,"oldest_age_ms":1500,"complete":true,"more":1}`
	f, err := c.Figures(ctx)
	wantFigures := internalapi.Figures{Sockets: map[string]int64{"one": 2}, Queued: 3, OldestAge: 1500, Complete: true}
	if err != nil || !reflect.DeepEqual(f, wantFigures) {
		t.Errorf("Figures returned %+v, %v; want %+v", f, err, wantFigures)
	}
	auth := "Bearer token-for-" + srv.URL
	want := []seen{
		{"POST", "/internal/gate", auth, map[string]any{"uid": "ada", "exists": true, "disabled": true,
			"valid_after": 5.0, "ended": []any{7.0}, "signed_out": []any{7.0}, "blocked": []any{"eve"}, "push": true,
			"limited_until": 9.0, "privacy": map[string]any{"last_seen": "everyone", "read_receipts": true,
				"writers": "known", "findable": "everyone"}, "unverified": true}},
		{"POST", "/internal/profile", auth, map[string]any{"uid": "ada"}},
		{"POST", "/internal/profile", auth, map[string]any{"uid": "ada", "own": true}},
		{"POST", "/internal/gone", auth, map[string]any{"uid": "ada"}},
		{"POST", "/internal/corrected", auth, map[string]any{"messages": []any{map[string]any{
			"id": "019a0000-0000-7000-8000-000000000001", "conversation": "ada~bob", "from": "ada", "to": "bob",
			"body": "hello", "at": 1.0, "accepted_at": 2.0, "delivered_at": 3.0}}}},
		{"GET", "/internal/figures", auth, nil},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("realtime received\n%+v, want\n%+v", got, want)
	}

	for _, s := range []int{301, 401, 403, 404, 500, 503} {
		status, answer = s, `{"code":"no"}`
		if err := c.Gone(ctx, "ada"); !errors.Is(err, problem.ErrUnavailable) || !strings.Contains(err.Error(), "status") {
			t.Errorf("Gone with status %d: %v, want an unavailable error that names the status", s, err)
		}
	}
	status, answer = 200, "not JSON"
	if _, err := c.Figures(ctx); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("Figures with a response that is not JSON: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Gone(ended, "ada"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("Gone with a canceled context: %v", err)
	}
	n := len(got)
	noToken := internalapi.NewClient(
		internalapi.ClientOptions{URL: srv.URL, Audience: "aud", Tokens: tokens{errors.New("no token")}})
	if err := noToken.Gone(ctx, "ada"); !errors.Is(err, problem.ErrUnavailable) || len(got) != n {
		t.Errorf("Gone without a token: %v, and %d calls; want an unavailable error and 0 calls", err, len(got)-n)
	}
	srv.Close()
	if err := c.Gone(ctx, "ada"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("Gone while realtime is down: %v", err)
	}
}
