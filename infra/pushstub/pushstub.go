// Package pushstub stands in for the push service of a browser (RFC 8030). It accepts what functions/push sends, checks
// what a push service checks, keeps it, and decrypts nothing. On demand, it answers as push services do that are
// overloaded, fail, hang, or have forgotten a subscription.
//
// A [Receiver] is the browser's side: it has the keys of a subscription, and decrypts.
package pushstub

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	path     = "/push/"
	maxBody  = 4096           // bytes of an encrypted push
	maxToken = 24 * time.Hour // RFC 8292, section 2
	maxKept  = 1000           // pushes that are kept for one subscription; the oldest are dropped
)

// Push is a push that was accepted.
type Push struct {
	Topic   string
	Urgency string
	TTL     time.Duration
	Body    []byte
}

// Answer is an answer to a push.
type Answer struct {
	Status     int           // 0: accept the push
	RetryAfter string        // the header; "": none
	After      time.Duration // the time that the answer takes, unless the caller gives up
}

// subscription is an address at which pushes arrive.
type subscription struct {
	key     string // the public key to which the subscription is restricted; "": none
	answers []Answer
	calls   int
	pushes  []Push
	arrived func(Push)
}

// Server is a push service. It is safe for concurrent use. Create it with New.
type Server struct {
	mu            sync.Mutex
	changed       chan struct{} // closed and replaced with each call
	subscriptions map[string]*subscription
	open          bool // see Open
}

// New returns a push service without subscriptions.
func New() *Server {
	return &Server{changed: make(chan struct{}), subscriptions: map[string]*subscription{}}
}

// Open makes every path below /push/ a subscription that accepts every key, for browsers in other processes. GET
// answers the number of pushes that it has accepted.
func (s *Server) Open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
}

// Subscribe makes a subscription that accepts only pushes with this public key (base64url), and returns the path of its
// endpoint. "" accepts every key.
func (s *Server) Subscribe(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := path + rand.Text()
	s.subscriptions[p] = &subscription{key: key}
	return p
}

// Listen has a function called with each push that a subscription accepts from now on. It must not block.
func (s *Server) Listen(path string, arrived func(Push)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[path].arrived = arrived
}

// Unsubscribe forgets a subscription. Pushes are answered 410 from then on.
func (s *Server) Unsubscribe(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[path] = nil
}

// Answer sets the answers to the next pushes of a subscription. The ones after them are accepted.
func (s *Server) Answer(path string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[path].answers = answers
}

// Pushes returns the pushes that a subscription has accepted, oldest first, and the number of calls.
func (s *Server) Pushes(path string) (list []Push, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subscriptions[path]
	if sub == nil {
		return nil, 0
	}
	return slices.Clone(sub.pushes), sub.calls
}

// Changed returns a channel that is closed with the next push.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Waiting returns what a device gets that was offline: of pushes with the same topic, only the newest.
func Waiting(list []Push) (waiting []Push) {
	for _, p := range list {
		if p.Topic != "" {
			waiting = slices.DeleteFunc(waiting, func(o Push) bool { return o.Topic == p.Topic })
		}
		waiting = append(waiting, p)
	}
	return waiting
}

// ServeHTTP accepts a push.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	sub, known := s.subscriptions[r.URL.Path]
	if !known && s.open && strings.HasPrefix(r.URL.Path, path) {
		sub, known = &subscription{}, true
		s.subscriptions[r.URL.Path] = sub
	}
	counts := s.open && sub != nil && r.Method == http.MethodGet
	s.mu.Unlock()
	switch {
	case counts:
		list, _ := s.Pushes(r.URL.Path)
		fmt.Fprint(w, len(list))
		return
	case !known:
		http.Error(w, "There is no such subscription.", http.StatusNotFound)
		return
	case sub == nil:
		http.Error(w, "The subscription has ended.", http.StatusGone)
		return
	case r.Method != http.MethodPost:
		http.Error(w, "Send pushes with POST.", http.StatusMethodNotAllowed)
		return
	}
	p, status, err := read(r, sub.key)
	answer := s.record(sub, err == nil, p)
	switch {
	case err != nil:
		http.Error(w, err.Error(), status)
		return
	case answer.After > 0:
		select {
		case <-time.After(answer.After):
		case <-r.Context().Done():
			return
		}
	}
	if answer.RetryAfter != "" {
		w.Header().Set("Retry-After", answer.RetryAfter)
	}
	if answer.Status != 0 {
		w.Header().Set("Location", "http://127.0.0.1:1/") // of a redirect, which must not be followed
		w.WriteHeader(answer.Status)
		return
	}
	w.Header().Set("Location", r.URL.Path+"/receipt")
	w.WriteHeader(http.StatusCreated)
}

// record counts a call, keeps a push that is accepted, and returns the answer to it.
func (s *Server) record(sub *subscription, valid bool, p Push) (a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.calls++
	if valid && len(sub.answers) > 0 {
		a, sub.answers = sub.answers[0], sub.answers[1:]
	}
	if valid && a.Status == 0 {
		sub.pushes = append(sub.pushes, p)
		sub.pushes = sub.pushes[max(0, len(sub.pushes)-maxKept):]
		if sub.arrived != nil {
			sub.arrived(p)
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return a
}

// read checks a push. The error has the status with which push services refuse it.
func read(r *http.Request, key string) (p Push, status int, err error) {
	if p.Body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1)); err != nil {
		return p, http.StatusBadRequest, err
	}
	if len(p.Body) > maxBody {
		return p, http.StatusRequestEntityTooLarge, errors.New("the push has more than 4096 bytes")
	}
	seconds, err := strconv.Atoi(r.Header.Get("TTL"))
	if err != nil || seconds < 0 {
		return p, http.StatusBadRequest, errors.New("the header TTL is missing")
	}
	p.TTL = time.Duration(seconds) * time.Second
	p.Urgency = r.Header.Get("Urgency")
	if !slices.Contains([]string{"", "very-low", "low", "normal", "high"}, p.Urgency) {
		return p, http.StatusBadRequest, errors.New("the header Urgency is not valid")
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if p.Topic = r.Header.Get("Topic"); len(p.Topic) > 32 || strings.Trim(p.Topic, alphabet) != "" {
		return p, http.StatusBadRequest, errors.New("the header Topic is not valid")
	}
	if r.Header.Get("Content-Encoding") != "aes128gcm" {
		return p, http.StatusBadRequest, errors.New("the content is not encrypted with aes128gcm")
	}
	status, err = identify(r, key)
	return p, status, err
}

// identify checks who sends the push (RFC 8292).
func identify(r *http.Request, key string) (status int, err error) {
	scheme, parameters, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	values := map[string]string{}
	for part := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		values[name] = value
	}
	if scheme != "vapid" || values["t"] == "" || values["k"] == "" {
		return http.StatusUnauthorized, errors.New("the push is not signed")
	}
	if key != "" && key != values["k"] {
		return http.StatusForbidden, errors.New("the key is not that of the subscription")
	}
	public, err := publicKey(values["k"])
	if err != nil {
		return http.StatusUnauthorized, err
	}
	var claims jwt.RegisteredClaims
	_, err = jwt.ParseWithClaims(values["t"], &claims, func(*jwt.Token) (any, error) { return public, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience("http://"+r.Host), jwt.WithExpirationRequired())
	switch {
	case err != nil:
		return http.StatusForbidden, fmt.Errorf("the signature: %w", err)
	case time.Until(claims.ExpiresAt.Time) > maxToken:
		return http.StatusForbidden, errors.New("the signature is valid for too long")
	case !strings.HasPrefix(claims.Subject, "mailto:") && !strings.HasPrefix(claims.Subject, "https:"):
		return http.StatusForbidden, errors.New("the sender has no address")
	}
	return 0, nil
}

// publicKey decodes a point of the curve P-256.
func publicKey(k string) (*ecdsa.PublicKey, error) {
	b, err := base64.RawURLEncoding.DecodeString(k)
	if err != nil {
		return nil, errors.New("the key is not valid")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), b)
	if err != nil {
		return nil, fmt.Errorf("the key is not valid: %w", err)
	}
	return public, nil
}
