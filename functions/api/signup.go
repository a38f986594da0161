package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

var errSignups = problem.New(problem.TooMany, "too_many_signups",
	"Too many accounts were created from this network. Try again later.")

// signup creates a user and their account.
func (a *API) signup(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Email       string `json:"email"`
		Password    string `json:"password"`
		Username    string `json:"username"`
		DisplayName string `json:"display_name"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	form := users.Signup{Email: in.Email, Password: in.Password, Username: in.Username, DisplayName: in.DisplayName}
	if err := form.Check(); err != nil {
		return nil, err // not counted: the user is still filling in the form
	}
	if err := a.countSignup(ctx, r.http); err != nil {
		return nil, err
	}
	u, err := a.users.Create(ctx, form)
	if err != nil {
		return nil, err
	}
	a.sweep(ctx, "sign-ups", a.users.SweepSignups)
	return &response{status: http.StatusCreated, json: profileOf(u)}, nil
}

// countSignup returns errSignups after too many sign-ups from one address within an hour. It stores the address only
// as a hash, for that hour.
func (a *API) countSignup(ctx context.Context, r *http.Request) error {
	now := a.deps.Now()
	sum := sha256.Sum256([]byte("signup " + a.address(r)))
	n, ends, err := a.deps.Store.Hit(ctx, "signup-"+hex.EncodeToString(sum[:16]), time.Hour, micros(now))
	if err != nil {
		return err
	}
	if n > int64(a.deps.SignupsHourly) {
		return errSignups.WithRetry(ends.Time().Sub(now))
	}
	return nil
}

// address returns the address that a request came from. For IPv6 it returns the /64, which is what one household
// gets. Of X-Forwarded-For, it believes only the part that trusted proxies appended: the client can write anything
// before it.
func (a *API) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if n := a.deps.Proxies; n > 0 {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if len(hops) >= n {
			host = strings.TrimSpace(hops[len(hops)-n])
		}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
