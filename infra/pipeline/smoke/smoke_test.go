package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/infra/stack"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// startChat starts the whole chat in this process.
func startChat(t *testing.T) *stack.Stack {
	t.Helper()
	s, err := stack.Start(t.Context(), stack.Options{
		Client: fstest.MapFS{"index.html": {Data: []byte("<title>Chat</title>")}}, Instances: 2,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// wantNoUsers fails the test if there are users left.
func wantNoUsers(t *testing.T, s *stack.Stack) {
	t.Helper()
	if all, _, err := s.Store.CountUsers(t.Context(), chat.Micros(0)); err != nil || all != 0 {
		t.Errorf("%d users are left (%v)", all, err)
	}
}

func TestItWorks(t *testing.T) {
	s := startChat(t)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-url", s.URL}, &out, nil); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"two sockets are open", "was delivered", "is saved", "both users are deleted"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	wantNoUsers(t, s)
}

// TestRevision opens the sockets on one instance, as on a revision that gets no traffic yet.
func TestRevision(t *testing.T) {
	s := startChat(t)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-url", s.URL, "-revision", s.Instances[1].URL}, &out, nil); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := "sockets are open at ws" + strings.TrimPrefix(s.Instances[1].URL, "http") + "/ws"
	if !strings.Contains(out.String(), want) {
		t.Errorf("the output lacks %q:\n%s", want, out.String())
	}
	wantNoUsers(t, s)
}

// newFront starts a server in front of s, such as a load balancer. It breaks the requests that pass does not accept.
func newFront(t *testing.T, s *stack.Stack, pass func(*http.Request) bool) *httptest.Server {
	t.Helper()
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(res *http.Response) error { // the configured addresses must be those of the proxy
		if res.Request.URL.Path != "/config.json" {
			return nil
		}
		text, err := io.ReadAll(res.Body)
		host := res.Request.Header.Get("X-Forwarded-Host")
		text = bytes.ReplaceAll(text, []byte(`"ws://`+to.Host), []byte(`"ws://`+host))
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		res.Header.Del("Content-Length")
		return err
	}
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !pass(r) {
			http.Error(w, "broken for the test", http.StatusTeapot)
			return
		}
		r.Header.Set("X-Forwarded-Host", r.Host)
		r.Host = to.Host // so that it is not redirected
		if o := r.Header.Get("Origin"); o != "" {
			r.Header.Set("Origin", s.URL)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return front
}

// TestRevisionBehindLoadBalancer tests a revision that has no address of its own. A load balancer forwards requests to
// it that have the header. The default revision does not work here.
func TestRevisionBehindLoadBalancer(t *testing.T) {
	s := startChat(t)
	front := newFront(t, s, func(r *http.Request) bool {
		return r.Header.Get("Chat-Revision") == "next" || r.URL.Path != "/config.json" && r.URL.Path != "/ws"
	})
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-url", front.URL, "-revision", front.URL}, &out, nil); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := run(t.Context(), []string{"-url", front.URL, "-within", "4s"}, &out, nil); err == nil {
		t.Error("without -revision, the default revision must be tested")
	}
	wantNoUsers(t, s)
}

// TestEachStepCanFail breaks one path at a time. The error must name the step, and no user may be left.
func TestEachStepCanFail(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"/config.json", "settings: "},
		{"/api/signup", "sign-up: "},
		{"/ws", "socket of smoke-a-"},
		{"/api/messages", "not in the archive"},
	} {
		t.Run(strings.Trim(c.path, "/"), func(t *testing.T) {
			s := startChat(t)
			ctx, end := context.WithCancel(t.Context())
			defer end()
			var broken atomic.Int32
			front := newFront(t, s, func(r *http.Request) bool {
				if r.URL.Path == c.path && broken.Add(1) == 2 {
					end() // in place of the time limit: the path stays broken
				}
				return r.URL.Path != c.path
			})
			err := run(ctx, []string{"-url", front.URL, "-revision", front.URL}, io.Discard, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			wantNoUsers(t, s)
		})
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-url", "chat.example.org"}, {"-url", "https://chat.example.org/x"},
		{"-url", "https://chat.example.org", "more"},
	} {
		if err := run(t.Context(), args, io.Discard, nil); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
