// Package push reaches browsers through their push services (DESIGN §12). It decides which subscriptions are accepted,
// keeps the key pair that identifies us, and sends encrypted pushes.
//
// An endpoint is an address that a client has chosen. So everything here that calls one treats it as hostile: see
// [Services] and [NewSender].
package push

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Errors of a subscription that is refused.
var (
	ErrEndpoint = problem.New(problem.Invalid, "push_endpoint_refused",
		"The push service of this browser is not supported.")
	ErrKeys   = problem.New(problem.Invalid, "push_keys_invalid", "The keys of this subscription are not valid.")
	ErrDevice = problem.New(problem.Invalid, "push_device_invalid", "This device is not valid. Reload the page.")
	ErrQuiet  = problem.New(problem.Invalid, "push_quiet_invalid", "These quiet hours are not valid.")
)

// DefaultServices lists the hosts of the push services of Chrome, Firefox, Edge and Safari.
const DefaultServices = "fcm.googleapis.com,updates.push.services.mozilla.com,*.notify.windows.com,*.push.apple.com"

// Lengths of a subscription's parts in bytes.
const (
	maxDevice = 64 // as in the frame hello
	authSize  = 16 // RFC 8291, section 3.2
)

// Services are the push services to which pushes may be sent. The zero value has none.
type Services struct {
	hosts []string // in lower case; "*." at the beginning stands for one or more labels

	// Local is the origin of a stand-in on the same machine, such as "http://127.0.0.1:8080". Its endpoints are accepted
	// although they are neither public nor encrypted. Only tests and infra/stack set it.
	Local string
}

// ParseServices reads a comma-separated list of hosts. "*." at the beginning of a host stands for one or more labels.
func ParseServices(list string) (Services, error) {
	var s Services
	for host := range strings.SplitSeq(list, ",") {
		if host = strings.TrimSpace(host); host == "" {
			continue
		}
		name := strings.TrimPrefix(host, "*.")
		if u, err := url.Parse("https://" + name); err != nil || u.Hostname() != name || !strings.Contains(name, ".") ||
			strings.ContainsAny(name, "*/?#@") || strings.ToLower(name) != name || lastLabelIsNumber(name) {
			return Services{}, fmt.Errorf("%q is not the host of a push service", host)
		}
		s.hosts = append(s.hosts, host)
	}
	return s, nil
}

// lastLabelIsNumber reports whether clients may take host for an IPv4 address.
func lastLabelIsNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last == "" || last[0] >= '0' && last[0] <= '9'
}

// Check returns ErrEndpoint unless the endpoint is an address of one of the services.
func (s Services) Check(endpoint string) error {
	switch {
	case endpoint == "" || len(endpoint) > store.MaxEndpoint:
		return ErrEndpoint.WithCause(fmt.Errorf("an endpoint of %d bytes", len(endpoint)))
	case strings.ContainsFunc(endpoint, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }):
		return ErrEndpoint.WithCause(errors.New("an endpoint with characters that an address does not have"))
	case s.Local != "" && strings.HasPrefix(endpoint, s.Local+"/"):
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return ErrEndpoint.WithCause(errors.New("an endpoint that is not an address")) // err would have the endpoint
	}
	if u.Scheme != "https" || u.User != nil || u.Host != u.Hostname() || u.Fragment != "" || !s.has(u.Host) {
		return ErrEndpoint.WithCause(fmt.Errorf("an endpoint at %s://%.100s", u.Scheme, u.Host))
	}
	return nil
}

// has reports whether a host is one of the services.
func (s Services) has(host string) bool {
	for _, h := range s.hosts {
		if suffix, wild := strings.CutPrefix(h, "*"); host == h || wild && len(host) > len(suffix) &&
			strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// CheckDevice returns ErrDevice if a device id is not valid.
func CheckDevice(device string) error {
	if device == "" || len(device) > maxDevice {
		return ErrDevice.WithCause(fmt.Errorf("a device id of %d bytes", len(device)))
	}
	return nil
}

// DecodeKeys decodes the keys of a subscription, which browsers give in base64url. With keys that are not valid it
// returns ErrKeys: every later attempt to encrypt would fail.
func DecodeKeys(p256dh, auth string) (point, secret []byte, err error) {
	if point, err = decodeKey(p256dh); err == nil {
		_, err = ecdh.P256().NewPublicKey(point)
	}
	if err != nil {
		return nil, nil, ErrKeys.WithCause(fmt.Errorf("p256dh: %w", err))
	}
	if secret, err = decodeKey(auth); err == nil && len(secret) != authSize {
		err = fmt.Errorf("%d bytes", len(secret))
	}
	if err != nil {
		return nil, nil, ErrKeys.WithCause(fmt.Errorf("auth: %w", err))
	}
	return point, secret, nil
}

func decodeKey(s string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
}

// Service returns the host of the push service of an endpoint, which may be shown, as opposed to the rest of it.
func Service(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
