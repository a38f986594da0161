package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Limits of the push subscriptions of one user.
const (
	MaxSubscriptions = 10   // devices with a subscription; the one that was renewed longest ago gives way
	MaxEndpoint      = 1000 // bytes of the address of a subscription

	// RenewAfter is the age from which registering the same subscription again stores its new time.
	RenewAfter = 24 * time.Hour
)

// Subscription is a Web Push subscription: an address of a browser's push service at which one device is reached, and
// the keys with which what is sent there is encrypted. Everybody who knows the address and our key can send to it, so
// neither is shown to anybody.
type Subscription struct {
	Device   string      `json:"device"`
	Endpoint string      `json:"endpoint"` // at most MaxEndpoint bytes
	P256DH   []byte      `json:"p256dh"`   // public key of the browser, a point of the curve P-256
	Auth     []byte      `json:"auth"`     // secret of the browser, 16 bytes
	Preview  bool        `json:"preview"`  // whether what is sent contains the text of messages
	Quiet    Quiet       `json:"quiet"`
	SignIn   chat.Micros `json:"sign_in"` // of the caller who registered it; see SignInTime
	At       chat.Micros `json:"at"`      // when it was registered or renewed
}

// Subscriptions keeps the push subscriptions of users. A device has at most one. An endpoint belongs to the user who
// registered it last, since accounts that are used in one browser share it. Push of a user is set while there are any.
type Subscriptions interface {
	// Subscribe stores a subscription in place of the earlier one of its device, and takes its endpoint from the user who
	// had it. Beyond MaxSubscriptions it removes the one with the oldest At. It writes nothing if the same subscription
	// was stored less than RenewAfter ago. It returns the user who had the endpoint if they have no subscription left,
	// else "". A user who is being deleted is problem.ErrNotFound. A paid backend charges for at most 5 reads and 5
	// writes.
	Subscribe(ctx context.Context, uid string, s Subscription) (bereft string, err error)

	// Subscriptions returns the subscriptions of a user, in no particular order. A paid backend charges for one read.
	Subscriptions(ctx context.Context, uid string) ([]Subscription, error)

	// Unsubscribe removes the subscriptions of a user for which drop returns true, which it may call repeatedly. If there
	// are none, it writes nothing. last says that it has removed the last one. A paid backend charges for one read, and
	// for a second one with the last.
	Unsubscribe(ctx context.Context, uid string, drop func(Subscription) bool) (last bool, err error)
}

// EndpointKey returns the key under which the owner of an endpoint is stored. An address may be longer than a key, and
// may contain any character.
func EndpointKey(endpoint string) string {
	sum := sha256.Sum256([]byte(endpoint))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// same reports whether s and other differ at most in their times.
func (s Subscription) same(other Subscription) bool {
	return s.Device == other.Device && s.Endpoint == other.Endpoint && s.SignIn == other.SignIn &&
		s.Preview == other.Preview && s.Quiet == other.Quiet &&
		slices.Equal(s.P256DH, other.P256DH) && slices.Equal(s.Auth, other.Auth)
}

// WithSubscription returns a list with s, and the endpoints that are not in it anymore. changed is false if the list
// need not be stored.
func WithSubscription(list []Subscription, s Subscription) (kept []Subscription, removed []string, changed bool) {
	if slices.ContainsFunc(list, func(have Subscription) bool {
		return have.same(s) && s.At-have.At < chat.Micros(RenewAfter.Microseconds())
	}) {
		return list, nil, false
	}
	kept, removed = WithoutSubscriptions(list, func(have Subscription) bool {
		return have.Device == s.Device || have.Endpoint == s.Endpoint
	})
	slices.SortStableFunc(kept, func(a, b Subscription) int { return cmp.Compare(b.At, a.At) })
	for len(kept) >= MaxSubscriptions {
		removed = append(removed, kept[len(kept)-1].Endpoint)
		kept = kept[:len(kept)-1]
	}
	removed = slices.DeleteFunc(removed, func(endpoint string) bool { return endpoint == s.Endpoint })
	return append(kept, s), removed, true
}

// WithoutSubscriptions returns the subscriptions of a list for which drop returns false, and the endpoints of the
// others.
func WithoutSubscriptions(list []Subscription, drop func(Subscription) bool) (kept []Subscription, removed []string) {
	for _, s := range list {
		if drop(s) {
			removed = append(removed, s.Endpoint)
		} else {
			kept = append(kept, s)
		}
	}
	return kept, removed
}
