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
	"github.com/phoenixchat/phoenixchat/realtime/clientaddr"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Time limits of a request. The functions are deployed with a longer one.
const (
	timeLimit       = 20 * time.Second
	longTimeLimit   = 5 * time.Minute  // deletions, replaying all dead letters, and the CSV files of admins
	exportTimeLimit = 55 * time.Minute // the export of a user's own data, which is paced
)

// access says who may call an endpoint.
type access int

const (
	anybody access = iota // the token is not read
	service               // a service account, whose token the handler verifies
	user                  // a signed-in user who is neither disabled nor being deleted
	leaving               // as user, or a user who is being deleted
	admin                 // as user, if the claim and the directory say admin, and the sign-in is recent
)

// bodyRule says which body an endpoint reads: JSON, unless it says otherwise.
type bodyRule int

const (
	none bodyRule = iota
	optional
	required
	pictureBody // a picture instead of JSON
	reportBody  // JSON of up to maxReport bytes
)

// route is one endpoint.
type route struct {
	method string
	path   string // below the segment, as in a pattern of http.ServeMux; "" is the segment itself
	access access
	body   bodyRule
	renews bool          // the handler records the caller's sign-in
	long   bool          // may take longTimeLimit
	limit  time.Duration // may take that long; 0: see long

	// The caller's budget; admin routes have their own, see API.reserve. most returns the documents that a call may read
	// besides the caller's record; nil: otherReads. also is a budget that the handler takes from.
	budget Budget
	most   func(*request) int
	also   Budget

	handle func(context.Context, *request) (*response, error)
}

// name is the path of the route in openapi.yaml and in logs.
func (rt route) name(segment string) string { return "/" + segment + rt.path }

// pattern is the pattern of the route in the ServeMux of its segment.
func (rt route) pattern() string {
	if rt.path == "" {
		return rt.method + " /{$}"
	}
	return rt.method + " " + rt.path
}

// request is a call of an endpoint.
type request struct {
	http   *http.Request // PathValue has the values of the path
	query  url.Values
	body   []byte          // nil if the route does not read one, or an optional one is missing
	claims identity.Claims // of the token; zero for anybody
	user   store.User      // the caller's present record; zero for anybody

	route    route
	meter    *store.Meter // the documents that the call has read
	budget   Budget       // from which reserved units were taken
	reserved int64
}

// seesAll reports whether the caller is an admin, to whom nobody's block applies.
func (r *request) seesAll() bool { return r.claims.Admin && r.user.Admin }

// Problems of HTTP itself. httpStatus has the statuses that differ from those of their kinds.
var (
	errRoute       = problem.New(problem.NotFound, "not_found", "There is nothing at this address.")
	errMethod      = problem.New(problem.Invalid, "method_not_allowed", "This method is not allowed.")
	errContentType = problem.New(problem.Invalid, "content_type", "The request must be JSON (application/json).")
	errJSON        = problem.New(problem.Invalid, "bad_json",
		"The server could not read what this app sent. Reload the page.")
	errBodyTooBig = problem.New(problem.TooLarge, "body_too_large", "This is too large to send.")
	errOrigin     = problem.New(problem.Forbidden, "origin_refused", "This page is not allowed to use the chat.")
	errQuery      = problem.New(problem.Invalid, "bad_query", "The server could not read this address. Reload the page.")
	errNotAdmin   = problem.New(problem.Forbidden, "forbidden", "Only an admin can do this.")

	httpStatus = map[string]int{
		"method_not_allowed": http.StatusMethodNotAllowed,
		"content_type":       http.StatusUnsupportedMediaType,
		"bad_json":           http.StatusBadRequest,
		"bad_query":          http.StatusBadRequest,
		"picture_type":       http.StatusUnsupportedMediaType,
	}
)

// serve returns the handler of one first path segment. It takes the path below the segment.
func (a *API) serve(segment string) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range a.routes()[segment] {
		mux.HandleFunc(rt.pattern(), func(w http.ResponseWriter, r *http.Request) {
			a.respond(w, r, segment, rt, func(req *request) (*response, error) { return a.answer(w, rt, req) })
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		secure(h)
		if a.cors(w, r) {
			return
		}
		clean, err := cleaned(r)
		if err == nil {
			err = find(mux, clean, h)
		}
		if err != nil {
			a.respond(w, r, segment, route{}, func(*request) (*response, error) { return nil, err })
			return
		}
		mux.ServeHTTP(w, clean)
	})
}

// cleaned returns a copy of r whose path a ServeMux matches without further changes. By itself, a ServeMux redirects a
// path that has an empty segment, "." or "..", and takes an escaped slash for a part of a segment. Here, an empty
// segment matches nothing, dots are a value like any other, and an escaped slash separates segments. One slash at the
// end is ignored.
func cleaned(r *http.Request) (*http.Request, error) {
	clean, u := *r, *r.URL
	clean.URL = &u
	if u.Path = strings.TrimSuffix(r.URL.Path, "/"); u.Path == "" {
		u.Path, u.RawPath = "/", "/"
		return &clean, nil
	}
	segments := strings.Split(u.Path, "/")
	if segments[0] != "" || slices.Contains(segments[1:], "") {
		return nil, errRoute
	}
	for i, s := range segments {
		if segments[i] = url.PathEscape(s); s == "." || s == ".." {
			segments[i] = strings.ReplaceAll(s, ".", "%2E")
		}
	}
	u.RawPath = strings.Join(segments, "/")
	return &clean, nil
}

// find returns errRoute or errMethod if mux does not have an endpoint for r. With errMethod, it sets Allow in h to
// the methods that the path has. (HEAD is not listed: it is answered wherever GET is.)
func find(mux *http.ServeMux, r *http.Request, h http.Header) error {
	refuse, pattern := mux.Handler(r)
	if pattern != "" {
		return nil
	}
	probe := refusal{header: http.Header{}}
	refuse.ServeHTTP(&probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		return errRoute
	}
	methods := strings.Split(probe.header.Get("Allow"), ", ")
	methods = slices.DeleteFunc(methods, func(m string) bool { return m == http.MethodHead })
	methods = append(methods, http.MethodOptions)
	slices.Sort(methods)
	h.Set("Allow", strings.Join(methods, ", "))
	return errMethod
}

// refusal records how a ServeMux refuses a request, and drops the text.
type refusal struct {
	header http.Header
	status int
}

func (f *refusal) Header() http.Header         { return f.header }
func (f *refusal) WriteHeader(status int)      { f.status = status }
func (f *refusal) Write(p []byte) (int, error) { return len(p), nil }

// respond gives the time limit of rt to answer, writes what it returns, and logs the request.
func (a *API) respond(w http.ResponseWriter, r *http.Request, segment string, rt route,
	answer func(*request) (*response, error)) {
	start := a.deps.Now()
	limit := timeLimit
	switch {
	case rt.limit != 0:
		limit = rt.limit
	case rt.long:
		limit = longTimeLimit
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	ctx, meter := store.WithMeter(ctx)
	req := &request{http: r.WithContext(ctx), route: rt, meter: meter}
	defer a.settle(req) // after the answer is written: a file is read while it is written
	resp, err := answer(req)
	status, err := write(w, resp, err)
	a.log(r, segment, rt, req, status, a.deps.Now().Sub(start), err)
}

// cors answers preflights, and says for other requests which origin may read the answer. It reports whether the
// request is answered.
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

// answer calls the endpoint if the caller may use it and the body can be read. A panic becomes an error.
func (a *API) answer(w http.ResponseWriter, rt route, req *request) (resp *response, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	ctx := req.http.Context()
	// URL.Query drops what it cannot read. A list would then start again instead of continuing.
	if req.query, err = url.ParseQuery(req.http.URL.RawQuery); err != nil {
		return nil, errQuery.WithCause(err)
	}
	if rt.access != anybody && rt.access != service {
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

// activeEvery is how often the last activity of a user is recorded.
const activeEvery = time.Hour

// authenticate sets the caller of req, or returns why they may not use the endpoint. The token says who the caller
// is. Whether they still have access is read from the store on every request.
func (a *API) authenticate(ctx context.Context, need access, req *request) error {
	scheme, token, _ := strings.Cut(req.http.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return problem.ErrUnauthenticated
	}
	claims, err := a.deps.Verifier.Verify(ctx, token)
	if err != nil {
		return err
	}
	req.claims = claims
	if err := a.reserve(ctx, req); err != nil { // before the store is asked
		return err
	}
	u, err := a.deps.Store.User(ctx, claims.UID)
	switch {
	case errors.Is(err, problem.ErrNotFound):
		return problem.ErrDeleted.WithCause(fmt.Errorf("user %s does not exist", claims.UID))
	case err != nil:
		return err
	}
	req.claims, req.user = claims, u
	switch {
	case u.ErasingAt != 0 && need == leaving:
		return nil
	case u.ErasingAt != 0:
		return problem.ErrDeleted
	case u.Disabled:
		return problem.ErrDisabled
	}
	if err := checkSignIn(req); err != nil {
		return err
	}
	if !req.route.renews {
		if err := a.followAccount(ctx, req, 0); err != nil {
			return err
		}
	}
	if need == admin {
		if err := a.requireAdmin(req); err != nil {
			return err
		}
	}
	if now := a.deps.Now(); now.Sub(req.user.LastActiveAt.Time()) > activeEvery {
		if err := a.deps.Store.Touch(ctx, []string{u.UID}, micros(now)); err != nil {
			a.deps.Log.WarnContext(ctx, "recording activity failed", "uid", u.UID, "error", err)
		}
	}
	return nil
}

// requireAdmin returns why the caller may not do what admins do, or nil.
func (a *API) requireAdmin(r *request) error {
	if !r.seesAll() {
		return errNotAdmin
	}
	if a.deps.AdminFactor {
		if !r.user.SecondFactor {
			return errAdminFactor
		}
		if err := requireFactor(r); err != nil {
			return err
		}
	}
	return a.requireFresh(r, adminSignIn)
}

// log records how a request ended: at error level if the server failed, at info level if the caller did. Sign-ups,
// calls of admins and refused calls are logged with the client's address.
func (a *API) log(r *http.Request, segment string, rt route, req *request, status int, took time.Duration, err error) {
	attrs := []any{"method", r.Method, "route", rt.name(segment), "status", status, "ms", took.Milliseconds(), "uid",
		req.user.UID}
	if segment == "signup" || segment == "admin" || status >= 400 {
		attrs = append(attrs, "client", clientaddr.Of(r, a.deps.Proxies))
	}
	switch {
	case err == nil:
		a.deps.Log.InfoContext(r.Context(), "request answered", attrs...)
	case r.Context().Err() != nil: // the caller closed the page: nothing failed, and nobody reads the answer
		a.deps.Log.InfoContext(r.Context(), "request canceled by the caller", append(attrs, "error", err)...)
	case status >= 500:
		a.deps.Log.ErrorContext(r.Context(), "request failed", append(attrs, "code", problem.Of(err).Code, "error", err)...)
	default:
		a.deps.Log.InfoContext(r.Context(), "request refused", append(attrs, "code", problem.Of(err).Code, "error", err)...)
	}
}
