package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/clientaddr"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// handler responds to a request, or returns an error. fail then writes the response.
type handler func(w http.ResponseWriter, r *http.Request) error

// route registers the routes.
func (s *Server) route() error {
	config, err := s.configFile()
	if err != nil {
		return err
	}
	s.mux.HandleFunc("/ws", s.serveSocket)
	s.handle("GET /config.json", func(w http.ResponseWriter, r *http.Request) error {
		config.serve(w, r)
		return nil
	})
	s.handle("GET /health/live", s.live)
	s.handle("GET /health/ready", s.readiness)
	if s.deps.Services != nil {
		s.handle("POST "+internalapi.GatePath, s.forServices(s.gateChanged))
		s.handle("POST "+internalapi.ProfilePath, s.forServices(s.profileChanged))
		s.handle("POST "+internalapi.GonePath, s.forServices(s.gone))
		s.handle("POST "+internalapi.PurgePath, s.forServices(s.purge))
		s.handle("POST "+internalapi.CorrectedPath, s.forServices(s.corrected))
		s.handle("POST "+internalapi.SettingPath, s.forServices(s.set))
		s.handle("GET "+internalapi.WaitingPath, s.forServices(s.waiting))
		s.handle("GET "+internalapi.FiguresPath, s.forServices(s.figures))
	}
	s.handle("/internal/", notFound)
	if s.deps.API != nil {
		s.mux.Handle("/api/", s.deps.API)
	} else {
		s.handle("/api/", notFound)
	}
	if s.pages != nil {
		s.handle("/", s.pages.handle)
	} else {
		s.handle("/", notFound)
	}
	return nil
}

func notFound(http.ResponseWriter, *http.Request) error { return problem.ErrNotFound }

func (s *Server) handle(pattern string, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(logging.WithTrace(r.Context(), r))
	start := time.Now()
	rec := &recorder{ResponseWriter: w}
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.log.ErrorContext(r.Context(), "panic in a request", "method", r.Method, "path", r.URL.Path,
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			if rec.status == 0 {
				s.fail(rec, r, fmt.Errorf("panic: %v", v))
			}
		}
		if r.URL.Path != "/ws" { // package session logs sockets
			s.log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path,
				"status", rec.status, "bytes", rec.bytes, "took", time.Since(start))
		}
	}()
	s.setSecurityHeaders(rec.Header())
	if r.URL.Path == "/ws" {
		s.mux.ServeHTTP(w, r) // not rec, because the upgrade needs an http.Hijacker
		return
	}
	// A browser that does not read must not hold a request forever. The error is ignored, because the ResponseWriter of a
	// test may not support deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(start.Add(writeWithin))
	s.mux.ServeHTTP(rec, r)
}

// writeWithin limits the time of a response. It does not apply to sockets.
const writeWithin = 2 * time.Minute

// recorder records the status and the size of a response.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// fail responds with err as problem details (RFC 9457), and logs it: an internal error at error level, and an error of
// the caller, or a dependency that is unavailable, at info level.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.failWith(w, r, problem.Of(err).Kind.HTTPStatus(), err)
}

// failWith is fail with another status than that of the kind of err.
func (s *Server) failWith(w http.ResponseWriter, r *http.Request, status int, err error) {
	p := problem.Of(err)
	attrs := []any{"method", r.Method, "path", r.URL.Path, "remote", clientaddr.Of(r, s.deps.Proxies).String(),
		"status", status, "code", p.Code, "error", err}
	if status >= 500 && p.Kind != problem.Unavailable && p.Kind != problem.GoingAway {
		s.log.ErrorContext(r.Context(), "request failed", attrs...)
	} else {
		s.log.InfoContext(r.Context(), "request refused", attrs...)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(int64((p.RetryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails only if the caller is gone
		"type": "about:blank", "title": http.StatusText(status), "status": status, "code": p.Code, "detail": p.Message})
}

// configFile returns the file /config.json.
func (s *Server) configFile() (*file, error) {
	data, err := json.Marshal(s.deps.Config)
	if err != nil {
		return nil, err
	}
	return newFile("config.json", append(data, '\n')), nil
}

// setSecurityHeaders sets the headers that every response of this service has.
func (s *Server) setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", s.contentSecurityPolicy())
	h.Set("X-Content-Type-Options", "nosniff")
	// The API key may be restricted to the origin of the referrer.
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if strings.HasPrefix(s.deps.HostedURL, "https://") {
		// As the functions do, whose answers come from the same host behind a load balancer.
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

// contentSecurityPolicy allows the page its own scripts and styles, and connections to the services that /config.json
// names.
func (s *Server) contentSecurityPolicy() string {
	c := s.deps.Config
	connect := []string{"'self'"}
	for _, u := range []string{c.APIBase, c.RealtimeURL} {
		if o := originOf(u); o != "" {
			connect = append(connect, o)
		}
	}
	if o := originOf(c.AuthEmulatorURL); o != "" {
		connect = append(connect, o)
	} else {
		connect = append(connect, "https://identitytoolkit.googleapis.com", "https://securetoken.googleapis.com")
	}
	slices.Sort(connect[1:])
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; " +
		"manifest-src 'self'; worker-src 'self'; connect-src " + strings.Join(slices.Compact(connect), " ") +
		"; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

func etag(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// compress returns data compressed with gzip, or nil if that saves little.
func compress(data []byte) []byte {
	if len(data) < 256 { // the saving is not worth the header
		return nil
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := z.Write(data); err != nil {
		return nil
	}
	if err := z.Close(); err != nil || out.Len() > len(data)*9/10 {
		return nil
	}
	return out.Bytes()
}
