package authstub

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Options configures a Server. Project and Path are required.
type Options struct {
	Project string                   // Google Cloud project id, which is the audience of the tokens
	Path    string                   // bbolt file of the accounts; created if it is missing
	Now     func() time.Time         // clock; nil means time.Now
	Mail    func(Mail)               // called instead of sending a mail; nil logs the link
	Code    func(email, code string) // called with a code when an enrollment or a sign-in asks for one; may be nil
	Hosts   []string                 // host:port of the addresses that the stand-in serves; nil means any loopback address
	Logger  *slog.Logger             // nil means slog.Default

	// HashMemory is the memory of one password hash in KiB; 0 means hashMemory. Tests with many accounts use less.
	HashMemory uint32
}

// Mail is an e-mail that the owner of an account would have received.
type Mail struct {
	Type string // PasswordReset, VerifyEmail, VerifyNewEmail or RecoverEmail
	To   string // e-mail address
	Link string // address of the page that uses the code; it works once and for one hour
}

// Server is the stand-in. Its methods are safe for concurrent use.
type Server struct {
	project   string
	now       func() time.Time
	mail      func(Mail)
	code      func(email, code string)
	hosts     []string
	log       *slog.Logger
	db        *bolt.DB
	secret    []byte // signs refresh tokens; kept in db
	attempts  *attempts
	codeTries *attempts // wrong codes of second factors, by uid
	mails     *mails
	hashing   chan struct{} // limits the memory used by password hashing
	mux       *http.ServeMux

	hashMemory uint32 // KiB
}

// ErrInUse is returned when another process has the accounts file open.
var ErrInUse = errors.New("the accounts file is in use by another process")

// Open opens or creates the accounts file at o.Path. It returns ErrInUse if another process keeps the file open for
// more than a second.
func Open(o Options) (*Server, error) {
	if o.Project == "" || o.Path == "" {
		return nil, errors.New("authstub: Project and Path are required")
	}
	s := &Server{
		project: o.Project, now: o.Now, mail: o.Mail, code: o.Code, hosts: o.Hosts, log: o.Logger,
		hashing: make(chan struct{}, 4), mux: http.NewServeMux(),
		hashMemory: cmp.Or(o.HashMemory, hashMemory),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.mail == nil {
		s.mail = func(m Mail) { s.log.Info("mail", "type", m.Type, "to", m.To, "link", m.Link) }
	}
	s.attempts, s.codeTries = newAttempts(s.now), newAttempts(s.now)
	s.mails = &mails{now: s.now, sent: map[string][]time.Time{}}
	db, err := bolt.Open(o.Path, 0o600, &bolt.Options{Timeout: time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("open accounts: %w", err)
	}
	s.db = db
	if s.secret, err = openBuckets(db); err != nil {
		return nil, errors.Join(fmt.Errorf("open accounts: %w", err), db.Close())
	}
	s.routes()
	return s, nil
}

// Close closes the accounts file. No request may be in progress.
func (s *Server) Close() error { return s.db.Close() }

// Paths below which Identity Toolkit is served: version 2 has the second factors.
const (
	toolkit   = "/identitytoolkit.googleapis.com/v1"
	toolkitV2 = "/identitytoolkit.googleapis.com/v2"
)

// Serves reports whether the stand-in handles path. A server that handles other paths too uses it for routing.
func Serves(path string) bool {
	return strings.HasPrefix(path, "/identitytoolkit.googleapis.com/") ||
		strings.HasPrefix(path, "/securetoken.googleapis.com/") ||
		strings.HasPrefix(path, "/emulator/")
}

// MailsPath returns the path at which the links of the mails of a project are listed.
func MailsPath(project string) string { return "/emulator/v1/projects/" + project + "/oobCodes" }

// ServeHTTP handles requests of the SDKs, including CORS preflights.
//
// It refuses requests for another host than its own. A page on the internet whose name resolves to this machine (DNS
// rebinding) has the same origin as the stand-in for a browser, and could read reset links or act as the administrator.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.isOwnHost(r.Host) {
		http.Error(w, "The accounts of this chat are not at "+strconv.Quote(r.Host)+".", http.StatusMisdirectedRequest)
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" && isLoopback(origin) && forBrowsers(r.URL.Path) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
			h.Set("Access-Control-Max-Age", "7200")
		}
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// forBrowsers reports whether the browser SDK calls path. The rest, which includes reset links, is for administrators,
// and no page of another origin may read it.
func forBrowsers(path string) bool {
	return strings.HasPrefix(path, toolkit+"/accounts:") || strings.HasPrefix(path, toolkitV2+"/accounts/") ||
		strings.HasPrefix(path, "/securetoken.googleapis.com/")
}

// isOwnHost reports whether a request for host (host:port) is meant for this server.
func (s *Server) isOwnHost(host string) bool {
	if s.hosts != nil {
		return slices.Contains(s.hosts, host)
	}
	return isLoopback("http://" + host)
}

// isLoopback reports whether the pages of origin are served from a loopback address.
func isLoopback(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

func (s *Server) routes() {
	const project = toolkit + "/projects/{project}"
	public := func(path string, h handler) { s.mux.Handle("POST "+toolkit+path, s.respond(h)) }
	public("/accounts:signUp", s.refuse)
	public("/accounts:delete", s.refuse)
	public("/accounts:signInWithPassword", s.signIn)
	public("/accounts:signInWithCustomToken", s.signInWithToken)
	public("/accounts:lookup", s.lookupOwn)
	public("/accounts:update", s.updateOwn)
	public("/accounts:sendOobCode", s.sendCode)
	public("/accounts:resetPassword", s.resetPassword)
	factors := func(path string, h handler) { s.mux.Handle("POST "+toolkitV2+"/accounts/"+path, s.respond(h)) }
	factors("mfaEnrollment:start", s.startEnrollment)
	factors("mfaEnrollment:finalize", s.finishEnrollment)
	factors("mfaEnrollment:withdraw", s.withdrawFactor)
	factors("mfaSignIn:finalize", s.finishSignIn)
	s.mux.Handle("POST /securetoken.googleapis.com/v1/token", s.respond(s.refresh))

	admin := func(pattern string, h handler) {
		method, path, _ := strings.Cut(pattern, " ")
		s.mux.Handle(method+" "+project+path, s.respond(s.callAsOwner(h)))
	}
	admin("POST /accounts", s.createAccount)
	admin("POST /accounts:lookup", s.lookUpAccounts)
	admin("POST /accounts:update", s.updateByAdmin)
	admin("POST /accounts:delete", s.deleteByAdmin)
	admin("POST /accounts:batchDelete", s.deleteAccounts)
	admin("GET /accounts:batchGet", s.listAccounts)
	admin("POST /accounts:query", s.queryAccounts)
	admin("POST /accounts:sendOobCode", s.codeLink)

	s.mux.Handle("GET "+MailsPath("{project}"), s.respond(s.requireProject(s.listCodes)))
	s.mux.Handle("DELETE /emulator/v1/projects/{project}/accounts", s.respond(s.requireProject(s.deleteAll)))
	s.mux.Handle("/", s.respond(func(r *http.Request) (any, error) {
		return nil, &apiError{http.StatusNotFound,
			"OPERATION_NOT_ALLOWED : the stand-in does not support " + r.Method + " " + r.URL.Path}
	}))
}

// handler handles a request and returns the JSON value of the answer. An error that the caller caused is an
// *apiError.
type handler func(r *http.Request) (any, error)

// apiError is an error in the format of Identity Toolkit. The SDKs branch on the first word of its message.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

func badRequest(message string) error { return &apiError{http.StatusBadRequest, message} }

func (s *Server) respond(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		status := http.StatusOK
		out, err := h(r)
		if err != nil {
			var e *apiError
			if !errors.As(err, &e) {
				s.log.Error("authstub request failed", "path", r.URL.Path, "error", err)
				e = &apiError{http.StatusInternalServerError, "INTERNAL_ERROR"}
			}
			status = e.status
			out = map[string]any{"error": map[string]any{
				"code": e.status, "message": e.message,
				"errors": []map[string]string{{"message": e.message, "reason": "invalid", "domain": "global"}},
			}}
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(out) // an error means that the caller has disconnected
	})
}

// requireProject passes on requests that name this project.
func (s *Server) requireProject(h handler) handler {
	return func(r *http.Request) (any, error) {
		if p := r.PathValue("project"); p != s.project {
			return nil, badRequest(fmt.Sprintf("PROJECT_NOT_FOUND : this stand-in knows only the project %s", s.project))
		}
		return h(r)
	}
}

// requireOwner passes on requests of this project's administrator.
func (s *Server) callAsOwner(h handler) handler {
	return s.requireProject(func(r *http.Request) (any, error) {
		if r.Header.Get("Authorization") != "Bearer owner" {
			return nil, &apiError{http.StatusUnauthorized,
				"UNAUTHENTICATED : administrators send the bearer token \"owner\""}
		}
		return h(r)
	})
}

// decode decodes the JSON body of r into v. It ignores unknown fields, because the SDKs send several that do not
// matter here.
func decode(r *http.Request, v any) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return badRequest("INVALID_ARGUMENT : the body cannot be read or is larger than 1 MiB")
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return badRequest("INVALID_ARGUMENT : the body is not the expected JSON: " + err.Error())
	}
	return nil
}
