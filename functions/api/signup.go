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
	if err := a.countSignup(ctx, r.http); err != nil {
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

// farSignups is how many times as many sign-ups as one address may come from the wider network around it. For IPv6 that
// is a /48, in which one person may have 65,536 addresses that count as one each.
const farSignups = 5

// countSignup returns errSignups after too many sign-ups from one network within an hour. It stores the network only as
// a hash, for that hour. Beyond the limit it neither writes nor, on this instance, reads.
func (a *API) countSignup(ctx context.Context, r *http.Request) error {
	near, far := clientaddr.Networks(clientaddr.Of(r, a.deps.Proxies))
	limit := Budget{Name: "signup", Window: time.Hour, Shared: int64(a.deps.SignupsHourly), Chunk: 1, Calls: true,
		refused: errSignups}
	if _, err := a.networks.take(ctx, limit, hashed(near), 1, 1); err != nil {
		return err
	}
	limit.Name, limit.Shared = "signup-far", farSignups*limit.Shared
	_, err := a.networks.take(ctx, limit, hashed(far), 1, 1)
	return err
}

// hashed returns a key for a network, from which the network cannot be read.
func hashed(network netip.Prefix) string {
	sum := sha256.Sum256([]byte("signup " + network.String()))
	return hex.EncodeToString(sum[:16])
}
