package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/infra/stack"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/trace"
)

// audiences accepts tokens that are the audience for which prove was asked.
type audiences struct{ want string }

func (a *audiences) VerifyService(_ context.Context, token string) (string, error) {
	if token != a.want {
		return "", problem.ErrUnauthenticated
	}
	return "chat-prober@acme-chat.iam.gserviceaccount.com", nil
}

func prove(_ context.Context, audience string) (string, error) { return audience, nil }

// startProbed starts a chat with a prober. mails counts the mails that it sends.
func startProbed(t *testing.T, change ...func(*stack.Options)) (s *stack.Stack, mails *[]authstub.Mail) {
	t.Helper()
	accepted := &audiences{}
	mails = new([]authstub.Mail)
	o := stack.Options{
		Instances: 2,
		Client:    fstest.MapFS{"index.html": {Data: []byte("<title>Chat</title>")}},
		Probers:   accepted, Log: slog.New(slog.DiscardHandler), Mail: func(m authstub.Mail) { *mails = append(*mails, m) },
	}
	for _, f := range change {
		f(&o)
	}
	s, err := stack.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	accepted.want = prober.Audience(s.URL)
	return s, mails
}

// probes returns the outcomes that a run has logged, as step=outcome.
func probes(t *testing.T, out *bytes.Buffer) (list []string) {
	t.Helper()
	for line := range bytes.Lines(out.Bytes()) {
		var l struct{ Message, Step, Outcome string }
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if l.Message == "probe" {
			list = append(list, l.Step+"="+l.Outcome)
		}
	}
	return list
}

// TestProber runs several times, also at once. There are only two users, whom nobody sees.
func TestProber(t *testing.T) {
	s, mails := startProbed(t)
	args := []string{"-prober", "-url", s.URL}
	outs := make([]bytes.Buffer, 4)
	probe := func(i int) error {
		if err := run(t.Context(), args, &outs[i], prove); err != nil {
			return fmt.Errorf("run %d: %w\n%s", i, err, outs[i].String())
		}
		return nil
	}
	if err := probe(0); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(outs))
	for i := 1; i < len(outs); i++ {
		wg.Go(func() { errs[i] = probe(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	want := []string{"sign_in", "hello", "delivered", "delivered", "saved"}
	for i := range outs {
		got := probes(t, &outs[i])
		steps := slices.Clone(got)
		for k := range steps {
			steps[k], _, _ = strings.Cut(steps[k], "=")
		}
		if !slices.Equal(steps, want) {
			t.Errorf("run %d logged %q", i, got)
		}
	}
	if got := probes(t, &outs[0]); !slices.Contains(got, "saved=good") {
		t.Errorf("logged %q", got)
	}

	users, _, err := s.Store.Search(t.Context(), store.Search{All: true, Limit: 10})
	if err != nil || len(users) != 2 || !prober.Is(users[0].UID) || !prober.Is(users[1].UID) {
		t.Errorf("users %+v, %v", users, err)
	}
	if n, _, err := s.Store.CountUsers(t.Context(), 0); err != nil || n != 0 {
		t.Errorf("%d users are counted, %v", n, err)
	}
	if len(*mails) != 0 {
		t.Errorf("mails were sent: %+v", *mails)
	}
	for i := range outs {
		if text := outs[i].String(); strings.Contains(text, "eyJ") {
			t.Errorf("a token is in the log:\n%s", text)
		}
	}
}

// TestTrace follows the messages of a run from the sockets over Pub/Sub to the store.
func TestTrace(t *testing.T) {
	var lines safeBuffer
	s, _ := startProbed(t, func(o *stack.Options) {
		o.Log = logging.New(&lines, logging.Options{JSON: true, Project: "acme-chat", Level: slog.LevelError})
	})
	if err := run(t.Context(), []string{"-prober", "-url", s.URL}, io.Discard, prove); err != nil {
		t.Fatal(err)
	}
	type line struct {
		Step, ID, Parent string
		Trace            string `json:"logging.googleapis.com/trace"`
		Span             string `json:"logging.googleapis.com/spanId"`
	}
	steps, spans, parents := map[string][]string{}, map[string]bool{}, map[string]bool{}
	for text := range bytes.Lines(lines.bytes()) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if l.ID == "" {
			continue
		}
		want := "projects/acme-chat/traces/" + strings.ReplaceAll(l.ID, "-", "")
		if l.Trace != want || spans[l.Span] {
			t.Errorf("%s of %s has the trace %s and the span %s", l.Step, l.ID, l.Trace, l.Span)
		}
		spans[l.Span], parents[l.Parent] = true, true
		steps[l.ID] = append(steps[l.ID], l.Step)
	}
	if len(steps) != 2 {
		t.Errorf("%d messages are traced, want 2", len(steps))
	}
	known := 0
	for id := range steps {
		if parents[trace.Parent(id)] {
			known++
		}
	}
	if delete(parents, ""); known == 0 || known != len(parents) {
		t.Errorf("persist got the attributes %v, want those of messages %v", parents, steps)
	}
	for id, got := range steps {
		slices.Sort(got) // a receiver's socket and the sender's answer overlap
		if want := []string{trace.Accepted, trace.Delivered, trace.Published, trace.Saved}; !slices.Equal(got, want) {
			t.Errorf("steps of %s: %v, want %v", id, got, want)
		}
	}
}

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text.Bytes())
}

// TestProberOfRevision tests a revision without traffic, which must not count.
func TestProberOfRevision(t *testing.T) {
	s, _ := startProbed(t)
	var out bytes.Buffer
	args := []string{"-prober", "-url", s.URL, "-revision", s.Instances[1].URL}
	if err := run(t.Context(), args, &out, prove); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if got := probes(t, &out); len(got) != 0 {
		t.Errorf("logged %q", got)
	}
}

func TestProberLogsFailures(t *testing.T) {
	s, _ := startProbed(t)
	var out bytes.Buffer
	refused := func(context.Context, string) (string, error) { return "another account", nil }
	err := run(t.Context(), []string{"-prober", "-url", s.URL, "-within", "3s"}, &out, refused)
	if err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusUnauthorized)) {
		t.Errorf("error %v", err)
	}
	if got := probes(t, &out); !slices.Equal(got, []string{"sign_in=bad"}) {
		t.Errorf("logged %q", got)
	}
}
