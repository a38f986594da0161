package push

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// Limits of a push.
const (
	MaxContent = 3993             // bytes before encryption: RFC 8291 allows one record, and push services 4,096 bytes
	Keep       = 24 * time.Hour   // how long a push service keeps a push for a device that is offline (TTL)
	SendTime   = 10 * time.Second // the longest that Send takes
)

// Outcome is what became of a push.
type Outcome int

// Outcomes.
const (
	Accepted Outcome = iota // the push service has it
	Gone                    // the subscription does not exist anymore
	Later                   // try again later: the push service is overloaded, fails or does not answer
	Refused                 // trying again does not help
)

// Result is the outcome of Send.
type Result struct {
	Outcome Outcome
	Status  int           // of the answer; 0: none
	After   time.Duration // the pause for which the push service asks, if the outcome is Later; 0: none
	Err     error         // why there is no answer. It does not contain the endpoint.
}

// Sender sends pushes. It is safe for concurrent use.
type Sender struct {
	services Services
	keys     Keys
	contact  string
	client   *http.Client
	timeout  time.Duration // of Send
}

// NewSender returns a sender to the push services. contact is an https address or a mail address at which the operator
// of a push service can reach us.
//
// An endpoint is an address that a client has chosen. So the sender connects only to the standard port of public
// addresses, which it checks when it connects, after the name was resolved. It follows no redirect, uses no proxy of
// the environment, and reads nothing but the first bytes of an answer.
func NewSender(services Services, keys Keys, contact string) *Sender {
	dialer := &net.Dialer{Timeout: SendTime / 2, Control: services.control}
	return &Sender{services: services, keys: keys, contact: contact, timeout: SendTime, client: &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: SendTime / 2,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes idle connections.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// errAddress refuses a connection.
var errAddress = errors.New("the address is not public")

// control is called before each connection, with the address to which the host was resolved.
func (s Services) control(_, address string, _ syscall.RawConn) error {
	if s.Local != "" && strings.TrimPrefix(s.Local, "http://") == address {
		return nil
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil || a.Port() != 443 || !public(a.Addr()) {
		return errAddress
	}
	return nil
}

// reserved lists the networks whose addresses are not public, besides those that package netip knows (RFC 6890).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	// Of IPv6, only the global unicast addresses are in use. These of them contain an address of IPv4, or nothing.
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

// globalIPv6 has the addresses of IPv6 that are in use.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

// public reports whether an address is one of the public internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !globalIPv6.Contains(a) {
		return false
	}
	return !slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Send encrypts content for a subscription and sends it, once. Its push service replaces an earlier push with the same
// topic (at most 32 characters of base64url) that the device has not got yet. It takes at most SendTime.
func (s *Sender) Send(ctx context.Context, to store.Subscription, topic string, content []byte) Result {
	if err := s.services.Check(to.Endpoint); err != nil {
		return Result{Outcome: Refused, Err: errors.New("the push service is not in the list anymore")}
	}
	if len(content) > MaxContent {
		return Result{Outcome: Refused, Err: fmt.Errorf("a push of %d bytes", len(content))}
	}
	pair, err := s.keys.Pair(ctx)
	if err != nil {
		return Result{Outcome: Later, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// The library appends the padding to the slice, which another push may use at the same time.
	resp, err := webpush.SendNotificationWithContext(ctx, slices.Clip(content),
		&webpush.Subscription{Endpoint: to.Endpoint, Keys: webpush.Keys{
			P256dh: base64.RawURLEncoding.EncodeToString(to.P256DH), Auth: base64.RawURLEncoding.EncodeToString(to.Auth)}},
		&webpush.Options{HTTPClient: s.client, Subscriber: s.contact, Topic: topic, TTL: int(Keep.Seconds()),
			Urgency: webpush.UrgencyHigh, VAPIDPublicKey: pair.Public, VAPIDPrivateKey: pair.Private})
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // it has the endpoint
			err = u.Err
		} else { // nothing was sent
			return Result{Outcome: Refused, Err: err}
		}
		if errors.Is(err, errAddress) {
			return Result{Outcome: Refused, Err: errAddress}
		}
		return Result{Outcome: Later, Err: err}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // the connection is reused only if the body was read to its end
	return result(resp, time.Now())
}

// result returns what an answer means (RFC 8030, section 5, and RFC 8292, section 4).
func result(resp *http.Response, now time.Time) Result {
	r := Result{Outcome: Refused, Status: resp.StatusCode}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode <= 299:
		r.Outcome = Accepted
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		r.Outcome = Gone
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
		r.Outcome = Later
		r.After = retryAfter(resp.Header.Get("Retry-After"), now)
	}
	return r
}

// retryAfter reads the header Retry-After. 0: it is missing, or is not valid.
func retryAfter(value string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(n, 0), int(Keep.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
