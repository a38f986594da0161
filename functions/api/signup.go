package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/clientaddr"
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
	if err := a.countByNetwork(ctx, r.http, "signup", int64(a.deps.SignupsHourly), errSignups); err != nil {
		return nil, err
	}
	u, err := a.users.Create(ctx, form)
	if err != nil {
		return nil, err
	}
	a.sweep(ctx, "sign-ups", a.users.SweepSignups)
	a.sweep(ctx, "abandoned accounts", a.users.SweepAbandoned)
	return &response{status: http.StatusCreated, json: profileOf(u)}, nil
}

// farNetworks is how many times as many calls as one address may come from the wider network around it. For IPv6
// that is a /48, in which one person may have 65,536 addresses that count as one each.
const farNetworks = 5

// countByNetwork returns refused after more than the given number of calls of a kind from one address within an
// hour, or farNetworks times as many from the network around it. It stores a network only as a hash, for that hour.
// Beyond the limit it neither writes nor, on this instance, reads.
func (a *API) countByNetwork(
	ctx context.Context, r *http.Request, kind string, hourly int64, refused *problem.Error,
) error {
	near, far := clientaddr.Networks(clientaddr.Of(r, a.deps.Proxies))
	limit := Budget{Name: kind, Window: time.Hour, Shared: hourly, Chunk: 1, Calls: true, refused: refused}
	if _, err := a.networks.take(ctx, limit, hashed(near), 1, 1); err != nil {
		return err
	}
	limit.Name, limit.Shared = kind+"-far", farNetworks*limit.Shared
	_, err := a.networks.take(ctx, limit, hashed(far), 1, 1)
	return err
}

// hashed returns a key for a network, from which the network cannot be read.
func hashed(network netip.Prefix) string {
	sum := sha256.Sum256([]byte("signup " + network.String()))
	return hex.EncodeToString(sum[:16])
}
