package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Time limits of a request. Functions are deployed with a longer one.
const (
	timeLimit     = 20 * time.Second
	longTimeLimit = 5 * time.Minute // exports and deletions
)

// access says who may call an endpoint.
type access int

const (
	anybody access = iota // no token is looked at
	person                // whoever is signed in and may do anything
	leaving               // as person, and who is being deleted
	admin                 // the claim and the account's present state both say admin
)

// bodyRule says whether an endpoint reads a JSON body.
type bodyRule int

const (
	none bodyRule = iota
	optional
	required
)

// route is one endpoint.
type route struct {
	method string
	path   string // below the segment: "", or "/" and segments, of which {x} matches any
	access access
	body   bodyRule
	long   bool // may take longTimeLimit
	handle func(context.Context, *request) (*response, error)
}

// pattern is how the route is written in openapi.yaml and in logs.
func (r route) pattern(segment string) string { return "/" + segment + r.path }

// match returns the values of the path's {x}, and whether it is this route's.
func (r route) match(path string) (map[string]string, bool) {
	want, have := strings.Split(r.path, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return nil, false
	}
	var params map[string]string
	for i, w := range want {
		switch {
		case strings.HasPrefix(w, "{"):
			if have[i] == "" {
				return nil, false
			}
			if params == nil {
				params = map[string]string{}
			}
			params[strings.Trim(w, "{}")] = have[i]
		case w != have[i]:
			return nil, false
		}
	}
	return params, true
}

// request is what an endpoint is given.
type request struct {
	http   *http.Request
	params map[string]string // values of the path
	query  url.Values
	body   []byte          // JSON, unless the route reads none or the optional body is missing
	claims identity.Claims // zero for anybody
	user   store.User      // who calls, as the store has them now; zero for anybody
}

// Problems of HTTP itself, with the statuses that HTTP has for them.
var (
	errRoute       = problem.New(problem.NotFound, "not_found", "There is nothing here.")
	errMethod      = problem.New(problem.Invalid, "method_not_allowed", "This cannot be done here.")
	errContentType = problem.New(problem.Invalid, "content_type", "The request must be JSON (application/json).")
	errJSON        = problem.New(problem.Invalid, "bad_json", "The server could not read what this app sent. Reload the page.")
	errBodyTooBig  = problem.New(problem.TooLarge, "body_too_large", "This is too large to send.")
	errOrigin      = problem.New(problem.Forbidden, "origin_refused", "This page may not use the chat.")
	errQuery       = problem.New(problem.Invalid, "bad_query", "The server could not read this address. Reload the page.")
	errNotAdmin    = problem.New(problem.Forbidden, "forbidden", "Only an admin may do this.")

	httpStatus = map[string]int{
		"method_not_allowed": http.StatusMethodNotAllowed,
		"content_type":       http.StatusUnsupportedMediaType,
		"bad_json":           http.StatusBadRequest,
		"bad_query":          http.StatusBadRequest,
	}
)

// serve returns the handler of one first path segment.
func (a *API) serve(segment string) http.Handler {
	routes := a.routes()[segment]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := a.deps.Now()
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if a.cors(w, r) {
			return
		}
		rt, params, err := find(routes, r)
		var (
			req  = &request{http: r, params: params}
			resp *response
		)
		if err == nil {
			limit := timeLimit
			if rt.long {
				limit = longTimeLimit
			}
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			req.http = r.WithContext(ctx)
			resp, err = a.answer(ctx, w, rt, req)
		} else if errors.Is(err, errMethod) {
			h.Set("Allow", allowed(routes, r.URL.Path))
		}
		status, err := write(w, resp, err)
		a.log(r, segment, rt, req, status, a.deps.Now().Sub(start), err)
	})
}

// find returns the route of r.
func find(routes []route, r *http.Request) (route, map[string]string, error) {
	known := false
	path := strings.TrimSuffix(r.URL.Path, "/")
	for _, rt := range routes {
		if params, ok := rt.match(path); ok {
			if rt.method == r.Method || rt.method == "GET" && r.Method == "HEAD" {
				return rt, params, nil
			}
			known = true
		}
	}
	if known {
		return route{}, nil, errMethod
	}
	return route{}, nil, errRoute
}

// allowed lists the methods of a path.
func allowed(routes []route, path string) string {
	methods := []string{"OPTIONS"}
	for _, rt := range routes {
		if _, ok := rt.match(strings.TrimSuffix(path, "/")); ok {
			methods = append(methods, rt.method)
		}
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// cors answers preflights, and says of other requests which origin may read
// the answer. It reports whether the request is answered.
func (a *API) cors(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	ours := slices.Contains(a.deps.Origins, origin)
	if ours {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After, Content-Disposition")
	}
	if r.Method != http.MethodOptions {
		return false
	}
	if !ours {
		_, _ = write(w, nil, errOrigin)
		return true
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// answer lets the endpoint answer, if the caller may and the body can be read.
func (a *API) answer(ctx context.Context, w http.ResponseWriter, rt route, req *request) (resp *response, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	// URL.Query leaves out what it cannot read: a list would begin anew instead of going on.
	if req.query, err = url.ParseQuery(req.http.URL.RawQuery); err != nil {
		return nil, errQuery.WithCause(err)
	}
	if rt.access != anybody {
		if err := a.authenticate(ctx, rt.access, req); err != nil {
			return nil, err
		}
	}
	if rt.body != none {
		if err := req.readBody(w, rt.body); err != nil {
			return nil, err
		}
	}
	return rt.handle(ctx, req)
}

// activeEvery is how often a person's last activity is written down.
const activeEvery = time.Hour

// authenticate fills in who calls, and refuses who may not. The token says who
// it is; whether they still may is asked of the store, every time.
func (a *API) authenticate(ctx context.Context, who access, req *request) error {
	scheme, token, _ := strings.Cut(req.http.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return problem.ErrUnauthenticated
	}
	claims, err := a.deps.Verifier.Verify(ctx, token)
	if err != nil {
		return err
	}
	u, err := a.deps.Store.User(ctx, claims.UID)
	switch {
	case errors.Is(err, problem.ErrNotFound):
		return problem.ErrDeleted.WithCause(fmt.Errorf("no user %s", claims.UID))
	case err != nil:
		return err
	}
	req.claims, req.user = claims, u
	switch {
	case u.ErasingAt != 0 && who == leaving:
		return nil
	case u.ErasingAt != 0:
		return problem.ErrDeleted
	case u.Disabled:
		return problem.ErrDisabled
	case claims.AuthTime.Unix() < u.ValidAfter.Time().Unix():
		return problem.ErrTokenEnded.WithCause(fmt.Errorf("signed in at %v, sign-ins before %v were ended", claims.AuthTime.UTC(), u.ValidAfter.Time()))
	}
	if who == admin && !(claims.Admin && u.Admin) {
		return errNotAdmin
	}
	if now := a.deps.Now(); now.Sub(u.LastActiveAt.Time()) > activeEvery {
		if err := a.deps.Store.Touch(ctx, []string{u.UID}, micros(now)); err != nil {
			a.deps.Log.WarnContext(ctx, "activity could not be noted", "error", err)
		}
	}
	return nil
}

// log says how a request ended: who is at fault decides how loud.
func (a *API) log(r *http.Request, segment string, rt route, req *request, status int, took time.Duration, err error) {
	attrs := []any{"method", r.Method, "route", rt.pattern(segment), "status", status, "ms", took.Milliseconds(), "uid", req.user.UID}
	switch {
	case err == nil:
		a.deps.Log.InfoContext(r.Context(), "answered", attrs...)
	case r.Context().Err() != nil: // the caller closed the page: nobody failed, and nobody reads the answer
		a.deps.Log.InfoContext(r.Context(), "given up by the caller", append(attrs, "error", err)...)
	case status >= 500:
		a.deps.Log.ErrorContext(r.Context(), "failed", append(attrs, "code", problem.Of(err).Code, "error", err)...)
	default:
		a.deps.Log.InfoContext(r.Context(), "refused", append(attrs, "code", problem.Of(err).Code, "error", err)...)
	}
}
