package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/api"
)

// TestRoutes checks which requests reach an endpoint, and how the others are answered. Each segment is served twice:
// at "/", as on Google Cloud, and below /api/, as on one machine. Both must give the same answers.
func TestRoutes(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("bob")
	for _, tt := range []struct {
		method, segment, path string // path is below the segment
		status                int
		code                  string // of the problem; "" if the request succeeds
		allow                 string
	}{
		{"GET", "me", "", 200, "", ""},
		{"GET", "me", "/", 200, "", ""},
		{"GET", "me", "/nothing", 404, "not_found", ""},
		{"GET", "users", "", 200, "", ""},
		{"GET", "users", "/bob", 200, "", ""},
		{"GET", "users", "/bob/", 200, "", ""},
		{"GET", "users", "/b%6Fb", 200, "", ""},
		{"GET", "users", "/bob/more", 404, "not_found", ""},
		{"GET", "admin", "", 404, "not_found", ""},
		{"GET", "admin", "/users/bob", 200, "", ""},
		{"GET", "admin", "/users.csv/", 200, "", ""},
		{"POST", "admin", "/users/bob/sign-out/", 204, "", ""},

		// HEAD is answered wherever GET is.
		{"HEAD", "me", "", 200, "", ""},
		{"HEAD", "users", "/bob/", 200, "", ""},
		{"HEAD", "admin", "/users.csv", 200, "", ""},
		{"HEAD", "signup", "", 405, "method_not_allowed", "OPTIONS, POST"},
		{"HEAD", "users", "/bob/more", 404, "not_found", ""},

		// A method that the path does not have.
		{"GET", "signup", "", 405, "method_not_allowed", "OPTIONS, POST"},
		{"GET", "signup", "/", 405, "method_not_allowed", "OPTIONS, POST"},
		{"POST", "users", "", 405, "method_not_allowed", "GET, OPTIONS"},
		{"POST", "me", "", 405, "method_not_allowed", "DELETE, GET, OPTIONS, PATCH"},
		{"GET", "me", "/blocked/bob", 405, "method_not_allowed", "DELETE, OPTIONS, PUT"},
		{"PUT", "admin", "/users/bob", 405, "method_not_allowed", "DELETE, GET, OPTIONS, PATCH"},
		{"TRACE", "me", "", 405, "method_not_allowed", "DELETE, GET, OPTIONS, PATCH"},
		{"CONNECT", "me", "", 405, "method_not_allowed", "DELETE, GET, OPTIONS, PATCH"},
		{"get", "users", "", 405, "method_not_allowed", "GET, OPTIONS"},
		// "replay" is a path of its own for POST, and the id of a dead letter for GET.
		{"GET", "admin", "/dead-letters/replay", 404, "dead_letter_not_found", ""},
		{"DELETE", "admin", "/dead-letters/replay", 405, "method_not_allowed", "GET, OPTIONS, POST"},

		// An empty segment matches nothing, and is not redirected away.
		{"GET", "users", "//", 404, "not_found", ""},
		{"GET", "users", "//bob", 404, "not_found", ""},
		{"GET", "users", "/bob//", 404, "not_found", ""},
		{"GET", "admin", "/users//sign-out", 404, "not_found", ""},
		{"POST", "admin", "//users", 404, "not_found", ""},
		{"POST", "admin", "/users//sign-out", 404, "not_found", ""},

		// Dots are an id like any other.
		{"GET", "users", "/..", 404, "user_not_found", ""},
		{"GET", "users", "/.", 404, "user_not_found", ""},
		{"GET", "users", "/../me", 404, "not_found", ""},
		{"GET", "users", "/%2E%2E", 404, "user_not_found", ""},
		{"GET", "admin", "/users/../figures", 404, "not_found", ""},
		{"GET", "admin", "/dead-letters/..", 404, "dead_letter_not_found", ""},
		{"POST", "admin", "/dead-letters/../replay", 404, "dead_letter_not_found", ""},

		// An escaped slash separates segments, as any other does.
		{"GET", "users", "/bob%2Fmore", 404, "not_found", ""},
		{"GET", "users", "/bob%2F", 200, "", ""},
		{"GET", "admin", "/users%2Fbob", 200, "", ""},
		{"GET", "users", "/bob%252Fmore", 404, "user_not_found", ""},
		{"GET", "users", "/x%00y", 404, "user_not_found", ""},
		{"GET", "users", "/%FF", 404, "user_not_found", ""},
	} {
		for _, at := range []string{"alone", "mounted"} {
			h, path := s.handler, "/api/"+tt.segment+tt.path
			if at == "alone" {
				h, path = segmentHandler(api.New(s.deps), tt.segment), tt.path
				if path == "" {
					path = "/"
				}
			}
			w := request(h, tt.method, path, "Authorization", "Bearer "+token)
			name := tt.method + " " + path + " " + at
			var d details
			switch {
			case w.Code != tt.status || w.Header().Get("Allow") != tt.allow || w.Header().Get("Location") != "":
				t.Errorf("%s: status %d, Allow %q, Location %q, want %d, %q and none",
					name, w.Code, w.Header().Get("Allow"), w.Header().Get("Location"), tt.status, tt.allow)
			case tt.code == "":
			case w.Header().Get("Content-Type") != "application/problem+json":
				t.Errorf("%s: the problem has the content type %q", name, w.Header().Get("Content-Type"))
			case json.Unmarshal(w.Body.Bytes(), &d) != nil || d.Code != tt.code || d.Detail == "" || d.Status != tt.status:
				t.Errorf("%s: the problem is %s, want the code %s", name, w.Body, tt.code)
			}
		}
	}
}

// A preflight is answered before the path is looked at, so that the page can read the 404 or 405 that follows.
func TestPreflightOfAnyPath(t *testing.T) {
	s := newSystem(t)
	for _, path := range []string{"/me", "/me/", "/me/nothing", "/me//blocked", "/me/..", "/users/a%2Fb"} {
		for asked, status := range map[string]int{origin: 204, "https://evil.example": 403} {
			w := request(s.handler, "OPTIONS", "/api"+path, "Origin", asked, "Access-Control-Request-Method", "PUT")
			if w.Code != status || w.Header().Get("Allow") != "" || w.Header().Get("Location") != "" {
				t.Errorf("OPTIONS %s from %s: status %d, headers %v", path, asked, w.Code, w.Header())
			}
		}
	}
}

// Requests outside /api/<segment> are answered with problem details, too.
func TestPathsOfNobody(t *testing.T) {
	s := newSystem(t)
	for _, path := range []string{"/", "/api", "/api/", "/api/nothing", "/api/usersx", "/me", "/api//me", "//api/me",
		"/api/../api/me", "/api/users%2Fbob", "/api/%75sers"} {
		w := request(s.handler, "GET", path)
		var d details
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 404 || d.Code != "not_found" ||
			w.Header().Get("Location") != "" {
			t.Errorf("GET %s: status %d, headers %v, %s", path, w.Code, w.Header(), w.Body)
		}
	}
}

// segmentHandler returns the function of one segment.
func segmentHandler(a *api.API, segment string) http.Handler {
	return map[string]http.Handler{"signup": a.Signup(), "users": a.Users(), "conversations": a.Conversations(),
		"messages": a.Messages(),
		"me":       a.Me(), "admin": a.Admin()}[segment]
}

// request sends a request that openapi.yaml need not describe.
func request(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://chat.example"+path, http.NoBody)
	r.Method, r.Body = method, io.NopCloser(strings.NewReader(""))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
