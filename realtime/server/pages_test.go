package server_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
)

var script = strings.Repeat("console.log('phoenix');\n", 200)

var client = fstest.MapFS{
	"index.html":              {Data: []byte("<!doctype html><title>Phoenix</title>")},
	"theme.js":                {Data: []byte("// theme")},
	"sw.js":                   {Data: []byte("// worker")},
	"manifest.webmanifest":    {Data: []byte("{}")},
	"assets/index-3f2a9c.js":  {Data: []byte(script)},
	"assets/index-77aa.css":   {Data: []byte("body{}")},
	"assets/packed-1.js":      {Data: []byte("plain")},
	"assets/packed-1.js.br":   {Data: []byte("brotli")},
	"assets/packed-1.js.gz":   {Data: []byte("gzip")},
	"assets/font-1.woff2":     {Data: []byte("wOF2")},
	"icons/icon-192.png":      {Data: []byte("\x89PNG")},
	"assets/index-3f2a9c.map": {Data: []byte("{}")},
}

// pagesServer returns a server whose Run was not called. Pages do not need it.
func pagesServer(t *testing.T, change func(*server.Deps)) *server.Server {
	t.Helper()
	verifier, err := identity.NewEmulator("p", func(n string) string {
		return map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "x"}[n]
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	deps := server.Deps{
		Redis: deadRedis(t), Gates: &servertest.Gates{}, Publisher: &servertest.Published{}, Verifier: verifier,
		Client: client, Log: slog.New(slog.DiscardHandler), Origins: []string{"https://chat.example.org"},
		Config: server.ClientConfig{APIBase: "https://api.example.org", RealtimeURL: "wss://chat.example.org/ws",
			Firebase: server.FirebaseConfig{APIKey: "k", ProjectID: "p", AuthDomain: "p.firebaseapp.com"}},
	}
	if change != nil {
		change(&deps)
	}
	srv, err := server.New(deps)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// deadRedis returns a client of a Redis that does not exist.
func deadRedis(t *testing.T) redis.UniversalClient {
	rdb := redis.NewUniversalClient(inbox.Tune(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}, MaxRetries: -1}))
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func get(t *testing.T, h http.Handler, url string, headers ...string) *http.Response {
	t.Helper()
	return request(t, h, http.MethodGet, url, headers...)
}

func request(t *testing.T, h http.Handler, method, url string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRoutesOfTheClientGetThePage(t *testing.T) {
	srv := pagesServer(t, nil)
	for _, path := range []string{
		"/", "/index.html", "/c/ada", "/c/~uid0001", "/c/%C3%A9lo", "/people", "/settings", "/admin", "/admin/audit",
		"/signin", "/signin?next=/c/ada", "/signup", "/reset", "/reset?oobCode=x",
		"/mail?mode=verifyEmail&oobCode=x",
	} {
		r := get(t, srv, "http://chat.example.org"+path)
		if b := body(t, r); r.StatusCode != 200 || !strings.Contains(b, "Phoenix") {
			t.Errorf("%s: %d %q", path, r.StatusCode, b)
		}
		if got := r.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
	}
}

func TestUnknownPathsAreNotFound(t *testing.T) {
	srv := pagesServer(t, nil)
	for _, tc := range []struct {
		path, accept string
		page         bool
	}{
		{"/nowhere", "text/html,*/*", true},
		{"/c/a/b", "text/html", true},
		{"/assets/index-0000.js", "*/*", false},
		{"/assets/index-0000.js", "text/html", false},
		{"/assets/", "*/*", false},
		{"/../etc/passwd", "*/*", false},
		{"/api/users", "application/json", false},
		{"/internal/gate", "*/*", false},
		{"/assets/packed-1.js.br", "*/*", false},
	} {
		r := get(t, srv, "http://chat.example.org"+tc.path, "Accept", tc.accept)
		b := body(t, r)
		if r.StatusCode == 307 || r.StatusCode == 301 { // the mux cleans the path
			continue
		}
		if r.StatusCode != 404 || strings.Contains(b, "Phoenix") != tc.page {
			t.Errorf("%s for %s: %d %q", tc.path, tc.accept, r.StatusCode, b)
		}
		if !tc.page && r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", tc.path, r.Header.Get("Content-Type"))
		}
	}
	for _, method := range []string{"POST", "TRACE", "TRACK", "OPTIONS", "DELETE"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, "http://chat.example.org/", strings.NewReader("x"))
		r.Header.Set("Authorization", "Bearer sesame")
		if srv.ServeHTTP(w, r); w.Code != 404 || strings.Contains(w.Body.String(), "sesame") {
			t.Errorf("%s /: %d %s", method, w.Code, w.Body)
		}
	}
}

// A request whose length is ambiguous must not hide a second one that another server does not see.
func TestAmbiguousLengthsHideNoRequest(t *testing.T) {
	web := httptest.NewServer(pagesServer(t, nil))
	defer web.Close()
	const hidden = "GET /config.json HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, head := range map[string]string{
		"two lengths":              "Content-Length: 5\r\nContent-Length: 0\r\n",
		"a length with a sign":     "Content-Length: +5\r\n",
		"an unknown coding":        "Transfer-Encoding: xchunked\r\n",
		"a coding after chunked":   "Transfer-Encoding: chunked, identity\r\n",
		"a blank before the colon": "Transfer-Encoding : chunked\r\n",
	} {
		conn, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+head+"\r\n0\r\n\r\n"+hidden)
		answer, _ := io.ReadAll(conn) // ends with the connection
		conn.Close()
		if n := bytes.Count(answer, []byte("HTTP/1.1 ")); n != 1 || bytes.Contains(answer, []byte(" 200 ")) {
			t.Errorf("%s: %d answers: %s", name, n, answer)
		}
	}
}

func TestCachingAndTypes(t *testing.T) {
	srv := pagesServer(t, nil)
	for path, want := range map[string][2]string{
		"/assets/index-3f2a9c.js": {"text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/index-77aa.css":  {"text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/font-1.woff2":    {"font/woff2", "public, max-age=31536000, immutable"},
		"/theme.js":               {"text/javascript; charset=utf-8", "no-cache"},
		"/sw.js":                  {"text/javascript; charset=utf-8", "no-cache"},
		"/manifest.webmanifest":   {"application/manifest+json", "no-cache"},
		"/icons/icon-192.png":     {"image/png", "no-cache"},
		"/config.json":            {"application/json", "no-cache"},
	} {
		r := get(t, srv, "http://chat.example.org"+path)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != want[0] || r.Header.Get("Cache-Control") != want[1] {
			t.Errorf("%s: %d, %q, %q", path, r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Cache-Control"))
		}
		tag := r.Header.Get("ETag")
		again := get(t, srv, "http://chat.example.org"+path, "If-None-Match", `"other", W/`+tag)
		if again.StatusCode != 304 || body(t, again) != "" || again.Header.Get("ETag") != tag {
			t.Errorf("%s with its ETag: %d, want 304", path, again.StatusCode)
		}
		changed := get(t, srv, "http://chat.example.org"+path, "If-None-Match", `"other"`)
		if changed.StatusCode != 200 {
			t.Errorf("%s with another ETag: %d, want 200", path, changed.StatusCode)
		}
	}
}

func TestCompression(t *testing.T) {
	srv := pagesServer(t, nil)
	r := get(t, srv, "http://chat.example.org/assets/index-3f2a9c.js", "Accept-Encoding", "gzip, deflate, br")
	if r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("headers %v", r.Header)
	}
	z, err := gzip.NewReader(bytes.NewReader([]byte(body(t, r))))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || string(plain) != script {
		t.Errorf("decompressed: %v", err)
	}
	for accept, want := range map[string]string{
		"br, gzip": "brotli", "gzip": "gzip", "identity": "plain", "": "plain", "br;q=0, gzip": "gzip",
	} {
		r := get(t, srv, "http://chat.example.org/assets/packed-1.js", "Accept-Encoding", accept)
		if got := body(t, r); got != want {
			t.Errorf("Accept-Encoding %q: %q, want %q", accept, got, want)
		}
	}
	br := get(t, srv, "http://chat.example.org/assets/packed-1.js", "Accept-Encoding", "br").Header.Get("ETag")
	gz := get(t, srv, "http://chat.example.org/assets/packed-1.js", "Accept-Encoding", "gzip").Header.Get("ETag")
	if br == gz {
		t.Error("two encodings share an ETag")
	}
}

// Every encoding of a file has its length, its own validator and the same Vary, for GET and HEAD.
func TestEncodedFilesHaveLengthAndValidators(t *testing.T) {
	srv := pagesServer(t, nil)
	const url = "http://chat.example.org/assets/packed-1.js"
	for accept, want := range map[string]struct{ encoding, data string }{
		"br": {"br", "brotli"}, "gzip": {"gzip", "gzip"}, "identity": {"", "plain"},
	} {
		r := get(t, srv, url, "Accept-Encoding", accept)
		if b := body(t, r); b != want.data {
			t.Errorf("%s: body %q, want %q", accept, b, want.data)
		}
		head := request(t, srv, http.MethodHead, url, "Accept-Encoding", accept)
		if b := body(t, head); b != "" {
			t.Errorf("%s: HEAD has the body %q", accept, b)
		}
		for method, h := range map[string]http.Header{"GET": r.Header, "HEAD": head.Header} {
			for name, want := range map[string]string{"Content-Encoding": want.encoding, "Vary": "Accept-Encoding",
				"Content-Length": strconv.Itoa(len(want.data)), "Etag": r.Header.Get("ETag")} {
				if got := h.Get(name); got != want {
					t.Errorf("%s %s: %s is %q, want %q", method, accept, name, got, want)
				}
			}
		}
		same := get(t, srv, url, "Accept-Encoding", accept, "If-None-Match", r.Header.Get("ETag"))
		if same.StatusCode != http.StatusNotModified || body(t, same) != "" ||
			same.Header.Get("Vary") != "Accept-Encoding" || same.Header.Get("Content-Length") != "" {
			t.Errorf("%s: If-None-Match with the ETag: %d, %v", accept, same.StatusCode, same.Header)
		}
		other := get(t, srv, url, "Accept-Encoding", accept, "If-Match", `"other"`)
		if other.StatusCode != http.StatusPreconditionFailed || other.Header.Get("Content-Length") != "" {
			t.Errorf("%s: If-Match with another ETag: %d, %v", accept, other.StatusCode, other.Header)
		}
		part := get(t, srv, url, "Accept-Encoding", accept, "Range", "bytes=1-2")
		if b := body(t, part); part.StatusCode != http.StatusPartialContent || b != want.data[1:3] {
			t.Errorf("%s: bytes 1 and 2: %d %q, want 206 %q", accept, part.StatusCode, b, want.data[1:3])
		}
	}
	if r := get(t, srv, "http://chat.example.org/icons/icon-192.png", "Accept-Encoding", "br, gzip"); body(t, r) == "" ||
		r.Header.Get("Vary") != "" || r.Header.Get("Content-Length") != "4" {
		t.Errorf("a file with one encoding: %v", r.Header)
	}
	r := request(t, srv, http.MethodHead, "http://chat.example.org/nowhere", "Accept", "text/html")
	if n := strconv.Itoa(len(client["index.html"].Data)); r.StatusCode != 404 || r.Header.Get("Content-Length") != n {
		t.Errorf("HEAD of an unknown page: %d, %v; want 404 and the length %s", r.StatusCode, r.Header, n)
	}
}

func TestOtherHostsAreRedirected(t *testing.T) {
	srv := pagesServer(t, func(d *server.Deps) {
		d.HostedURL, d.Client = "https://chat.example.org/", client
		d.Origins = []string{"https://chat.example.org", "https://next.example.org"}
	})
	r := get(t, srv, "http://old.example.org/c/ada?x=1")
	if r.StatusCode != 307 || r.Header.Get("Location") != "https://chat.example.org/c/ada?x=1" {
		t.Errorf("%d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	for _, url := range []string{
		"http://chat.example.org/", "http://CHAT.example.org/", "http://next.example.org/",
		"http://old.example.org/config.json", "http://old.example.org/health/live",
	} {
		if r := get(t, srv, url); r.StatusCode != 200 {
			t.Errorf("%s: %d", url, r.StatusCode)
		}
	}
}

func TestConfig(t *testing.T) {
	srv := pagesServer(t, nil)
	var got map[string]any
	if err := json.NewDecoder(get(t, srv, "http://x/config.json").Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := `{"api_base":"https://api.example.org",` +
		`"firebase":{"apiKey":"k","authDomain":"p.firebaseapp.com","projectId":"p"},` +
		`"origins":["https://chat.example.org"],"realtime_url":"wss://chat.example.org/ws"}`
	b, err := json.Marshal(got)
	if err != nil || string(b) != want {
		t.Errorf("got %s", b)
	}
}

// A request for /ws that is not a handshake gets a response that says what is missing (RFC 9110, sections 15.5.6 and
// 15.5.22), with the problem details that every error has.
func TestRequestsForSocketsThatAreNotHandshakes(t *testing.T) {
	srv := pagesServer(t, nil)
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==",
		"Origin", "https://chat.example.org"}
	for name, tc := range map[string]struct {
		method  string
		headers []string
		status  int
		code    string
		header  string // "name: value" that the response has
	}{
		"a page": {"GET", nil, 426, "upgrade_required", "Upgrade: websocket"},
		"POST":   {"POST", upgrade, 405, "method_not_allowed", "Allow: GET"},
		"an old version": {"GET", append(upgrade, "Sec-WebSocket-Version", "8"), 400, "bad_request",
			"Sec-WebSocket-Version: 13"},
		"another origin": {"GET", append(upgrade, "Origin", "https://evil.example.org"), 403, "origin_refused",
			"Cache-Control: no-store"},
	} {
		r := request(t, srv, tc.method, "http://x/ws", tc.headers...)
		var p struct{ Code string }
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		key, value, _ := strings.Cut(tc.header, ": ")
		if r.StatusCode != tc.status || p.Code != tc.code || r.Header.Get(key) != value {
			t.Errorf("%s: %d %s, %s %q", name, r.StatusCode, p.Code, key, r.Header.Get(key))
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	srv := pagesServer(t, func(d *server.Deps) { d.HostedURL = "https://chat.example.org" })
	for _, path := range []string{"/", "/assets/index-3f2a9c.js", "/config.json", "/nowhere.js", "/health/live"} {
		h := get(t, srv, "http://chat.example.org"+path).Header
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'",
			"object-src 'none'", "form-action 'self'",
			"connect-src 'self' https://api.example.org https://identitytoolkit.googleapis.com " +
				"https://securetoken.googleapis.com wss://chat.example.org;",
		} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy lacks %q: %s", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %s", path, csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if !strings.Contains(h.Get("Permissions-Policy"), "microphone=()") {
			t.Errorf("%s: Permissions-Policy %q", path, h.Get("Permissions-Policy"))
		}
	}
}

func TestConnectSourcesOnOneMachine(t *testing.T) {
	srv := pagesServer(t, func(d *server.Deps) {
		d.Config = server.ClientConfig{
			APIBase: "/api", RealtimeURL: "ws://127.0.0.1:8080/ws", AuthEmulatorURL: "http://127.0.0.1:9099",
		}
	})
	csp := get(t, srv, "http://127.0.0.1:8080/").Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "connect-src 'self' http://127.0.0.1:9099 ws://127.0.0.1:8080;") {
		t.Errorf("policy %s", csp)
	}
}

func TestAPIIsMounted(t *testing.T) {
	srv := pagesServer(t, func(d *server.Deps) {
		d.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/panic" {
				panic("a bug")
			}
			_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
		})
	})
	if got := body(t, get(t, srv, "http://x/api/users?q=a")); got != "GET /api/users" {
		t.Errorf("got %q", got)
	}
	r := get(t, srv, "http://x/api/panic")
	if b := body(t, r); r.StatusCode != 500 || !strings.Contains(b, `"code":"internal"`) || strings.Contains(b, "a bug") {
		t.Errorf("after a panic: %d %s", r.StatusCode, b)
	}
}

func TestHealthWithoutRedis(t *testing.T) {
	srv := pagesServer(t, nil)
	if r := get(t, srv, "http://x/health/live"); r.StatusCode != 200 {
		t.Errorf("live: %d", r.StatusCode)
	}
	if r := get(t, srv, "http://x/health/ready"); r.StatusCode != 503 {
		t.Errorf("ready before Redis answered: %d", r.StatusCode)
	}
}

func TestNewReportsEverythingThatIsMissing(t *testing.T) {
	_, err := server.New(server.Deps{Origins: []string{"chat.example.org", "https://a/b"}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Redis", "Gates", "Publisher", "Verifier", `"chat.example.org"`, `"https://a/b"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	_, err = server.New(server.Deps{Redis: deadRedis(t), Gates: &servertest.Gates{}, Publisher: &servertest.Published{},
		Verifier: &identity.Firebase{}, Client: fstest.MapFS{}})
	if err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("New with a client that has no index.html: %v", err)
	}
}
