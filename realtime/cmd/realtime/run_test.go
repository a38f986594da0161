package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// output collects what a program writes. It is safe for concurrent use.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs the program as main does, with emulators that do not exist. It returns its URL and a function that ends it
// as SIGTERM does.
func start(t *testing.T, redisAddr string) (url string, out *output, end func() error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<title>Phoenix</title>"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"PORT": "0", "PROJECT_ID": servertest.Project, "HOSTED_URL": "http://127.0.0.1",
		"EXTRA_ORIGINS": servertest.Origin, "API_BASE": "http://127.0.0.1/api", "FIREBASE_API_KEY": "key",
		"REDIS_ADDR": redisAddr, "CLIENT_DIR": dir, "LOG_LEVEL": "debug",
		"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:1", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1",
		"PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
	}
	for _, name := range []string{"FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"} {
		t.Setenv(name, env[name]) // the client libraries read them
	}
	ctx, cancel := context.WithCancel(context.Background())
	out = &output{}
	address, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, func(n string) string { return env[n] }, out, func(a net.Addr) { address <- a })
	}()
	end = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = end() })
	select {
	case a := <-address:
		_, port, err := net.SplitHostPort(a.String())
		if err != nil {
			t.Fatal(err)
		}
		return "http://127.0.0.1:" + port, out, end
	case err := <-done:
		done <- err
		t.Fatalf("run returned early: %v", err)
		return "", nil, nil
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestRunServesAndShutsDown(t *testing.T) {
	mini := miniredis.RunT(t)
	url, out, end := start(t, mini.Addr())
	began := time.Now()
	testwait.Until(t, "ready", func() bool { return status(t, url+"/health/ready") == http.StatusOK })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("ready after %v, want at most 10 s", took)
	}
	for path, want := range map[string]int{"/health/live": 200, "/config.json": 200, "/internal/figures": 404} {
		if got := status(t, url+path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	// A hello gets as far as the store, which does not exist.
	token := servertest.Token("aliceUid0001", nil)
	socket := servertest.DialURL(t, url)
	socket.Send(wire.ClientFrame{Type: wire.TypeHello, Token: token, Device: "d"})
	if e := servertest.As[wire.ErrorFrame](socket); e.Code != "unavailable" {
		t.Errorf("hello without a store: %+v", e)
	}
	began = time.Now()
	if err := end(); err != nil {
		t.Errorf("run: %v", err)
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("the shutdown took %v", took)
	}
	if _, err := http.Get(url + "/health/live"); err == nil {
		t.Error("it still serves after run returned")
	}
	if strings.Contains(out.String(), token) || strings.Contains(out.String(), "eyJ") {
		t.Errorf("a token was logged:\n%s", out.String())
	}
}

// The process exits before Cloud Run kills it, even if things hang: here a publish that fails and that the client
// library keeps retrying, devices that do not move, and a Redis that stops answering.
func TestRunEndsInTime(t *testing.T) {
	mini := miniredis.RunT(t)
	proxy, err := net.Listen("tcp", "127.0.0.1:0") // forwards to Redis until blocked is set
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	var blocked atomic.Bool
	go func() {
		for {
			in, err := proxy.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", mini.Addr())
			if err != nil {
				in.Close()
				continue
			}
			t.Cleanup(func() { in.Close(); out.Close() })
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				go func() {
					buf := make([]byte, 32<<10)
					for {
						n, err := way[0].Read(buf)
						if err != nil {
							way[1].Close()
							return
						}
						if !blocked.Load() {
							_, _ = way[1].Write(buf[:n])
						}
					}
				}()
			}
		}
	}()
	url, _, end := start(t, proxy.Addr().String())
	alice, bob := "aliceUid0001", "bobbyUid0002"
	for _, uid := range []string{alice, bob} {
		mini.HSet("gate:{"+uid+"}", "exists", "1", "disabled", "0", "valid_after", "0", "ended", "[]", "blocked", "[]")
	}
	a, b := servertest.DialURL(t, url), servertest.DialURL(t, url)
	a.Hello(alice, "")
	b.Hello(bob, "")
	a.Say(bob, "hello")
	_, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
	b.Ack(cursor)
	b.Send(wire.ClientFrame{Type: wire.TypePing})
	servertest.Until[wire.Pong](b) // the server has the ack
	a.Pause()                      // neither answers the close frame
	b.Pause()
	time.AfterFunc(5*time.Second, func() { blocked.Store(true) })
	began := time.Now()
	if err := end(); err != nil {
		t.Errorf("run: %v", err)
	}
	if took := time.Since(began); took > endWithin+500*time.Millisecond {
		t.Errorf("the shutdown took %v", took)
	}
}

// Pages are served while Redis is unreachable.
func TestRunWithoutRedis(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	url, _, end := start(t, addr)
	if got := status(t, url+"/config.json"); got != http.StatusOK {
		t.Errorf("config.json: %d", got)
	}
	if got := status(t, url+"/health/live"); got != http.StatusOK {
		t.Errorf("live: %d", got)
	}
	if got := status(t, url+"/health/ready"); got != http.StatusServiceUnavailable {
		t.Errorf("ready: %d", got)
	}
	if err := end(); err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestRunReportsWhatIsWrong(t *testing.T) {
	err := run(context.Background(), func(string) string { return "" }, &output{}, nil)
	if err == nil || !strings.Contains(err.Error(), "PROJECT_ID") {
		t.Errorf("without settings: %v", err)
	}
	busy, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	env := with(map[string]string{
		"PORT": strconv.Itoa(busy.Addr().(*net.TCPAddr).Port), "CLIENT_DIR": dir, "REDIS_ADDR": "127.0.0.1:1",
		"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:1",
	})
	t.Setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
	t.Setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
	err = run(context.Background(), env, &output{}, nil)
	if err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("without a client: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<title>Phoenix</title>"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = run(context.Background(), env, &output{}, nil)
	if err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("with a port that is in use: %v", err)
	}
}
