package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// A new second factor ends the other sign-ins, and each recovery code works once, for its user only.
func testSecondFactors(t *testing.T, s store.Store) {
	ctx := context.Background()
	const hour = 3600 * second
	addUser(t, s, "ada", "Ada", t0)
	addUser(t, s, "bob", "Bob", t0)
	signIn := func(at chat.Micros, factor bool) store.User {
		t.Helper()
		u, _, err := s.RecordSignIn(ctx, "ada", store.Seen{SignIn: at, At: at, Called: true, Factor: factor})
		must(t, err)
		return u
	}
	// The first use of a sign-in says whether there is a factor.
	equal(t, "has a factor", signIn(t0, false).SecondFactor, false)
	equal(t, "has a factor", signIn(t0+hour, true).SecondFactor, true)
	equal(t, "has a factor", signIn(t0+2*hour, false).SecondFactor, false)
	equal(t, "has a factor at a later use of a sign-in", signIn(t0+2*hour, true).SecondFactor, false)
	equal(t, "has a factor", signIn(t0+3*hour, true).SecondFactor, true)

	one, two := store.RecoveryHash("one"), store.RecoveryHash("two")
	u, err := s.SetRecoveryCodes(ctx, "ada", []string{one, two}, t0+3*hour, t0+3*hour)
	must(t, err)
	equal(t, "the time of the codes", u.RecoveryAt, t0+3*hour)
	equal(t, "an earlier sign-in has ended", u.HasEnded(t0), false) // the factor is not new
	mustBe(t, errOf(s.UseRecoveryCode(ctx, "ada", store.RecoveryHash("three"))), store.ErrRecoveryCode)
	mustBe(t, errOf(s.UseRecoveryCode(ctx, "bob", one)), store.ErrRecoveryCode)
	got, err := s.User(ctx, "ada")
	must(t, err)
	equal(t, "has a factor after a wrong code", got.SecondFactor, true)
	equal(t, "recovery codes", len(got.Recovery), 2)

	var used atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := errOf(s.UseRecoveryCode(ctx, "ada", one)); err == nil {
				used.Add(1)
			} else if !errors.Is(err, store.ErrRecoveryCode) {
				t.Errorf("a code that is used several times at once: %v", err)
			}
		})
	}
	all.Wait()
	equal(t, "uses of one code", used.Load(), int64(1))
	got, err = s.User(ctx, "ada")
	must(t, err)
	equal(t, "has a factor after a recovery", got.SecondFactor, false)
	equal(t, "recovery codes", len(got.Recovery), 1)
	must(t, errOf(s.UseRecoveryCode(ctx, "ada", two)))

	// If the factor is not recorded yet when codes are made, it is now, and the other sign-ins end.
	for i := range chat.Micros(3) {
		signIn(t0+(6+i)*hour, false)
	}
	u, err = s.SetRecoveryCodes(ctx, "ada", []string{one}, t0+8*hour, t0+7*hour)
	must(t, err)
	equal(t, "has a factor", u.SecondFactor, true)
	equal(t, "recovery codes", u.Recovery, []string{one})
	equal(t, "the time of the password", u.PasswordAt, 0)
	for at, ended := range map[chat.Micros]bool{t0 + 6*hour: true, t0 + 7*hour: false, t0 + 8*hour: true} {
		equal(t, "the sign-in has ended", u.HasEnded(at), ended)
		equal(t, "the sign-in was signed out", u.WasSignedOut(at), false)
	}
	u, err = s.RemoveSecondFactor(ctx, "ada")
	must(t, err)
	equal(t, "has a factor", u.SecondFactor, false)
	equal(t, "the present sign-in has ended", u.HasEnded(t0+7*hour), false)

	for _, err := range []error{errOf(s.RemoveSecondFactor(ctx, "nobody")),
		errOf(s.SetRecoveryCodes(ctx, "nobody", nil, t0, t0)), errOf(s.UseRecoveryCode(ctx, "nobody", one))} {
		mustBe(t, err, problem.ErrNotFound)
	}
}
