package users

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// proberDomain is the domain of the prober's addresses. No mail is ever sent there: names below "invalid" do not exist.
// Nobody can sign up with such an address, or with a username like one of the prober, and take the prober's place.
const proberDomain = "prober.invalid"

func ofProber(username, email string) bool {
	return prober.Is(strings.ToLower(username)) || strings.HasSuffix(strings.ToLower(email), "@"+proberDomain)
}

// Prober returns a user of the prober, whom it creates with a verified address and a password that nobody knows if they
// do not exist. The uid is prober.A or prober.B. Two calls at once create one user; one of them may fail with
// store.ErrSignupBusy, and can be repeated.
func (s *Service) Prober(ctx context.Context, uid string) (store.User, error) {
	u, err := s.deps.Store.User(ctx, uid)
	if !errors.Is(err, problem.ErrNotFound) {
		return u, err
	}
	return s.Create(ctx, Signup{Email: uid + "@" + proberDomain, Username: uid, DisplayName: "Prober",
		Password: rand.Text(), Operator: true, Verified: true, UID: uid})
}

// SignInToken returns a token with which the bearer can sign in as a user of the prober.
func (s *Service) SignInToken(ctx context.Context, u store.User) (string, error) {
	if !prober.Is(u.UID) {
		return "", problem.ErrForbidden
	}
	return s.deps.Accounts.SignInToken(ctx, u.UID)
}
