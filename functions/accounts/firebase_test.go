package accounts_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
)

const project = "demo-chat"

// The stand-in and the official emulator keep the same contract.
func TestConformance(t *testing.T) {
	t.Run("stand-in", func(t *testing.T) {
		conformance(t, authstubtest.Start(t, project))
	})
	t.Run("emulator", func(t *testing.T) {
		host := os.Getenv("PHOENIX_TEST_AUTH_EMULATOR")
		if host == "" {
			t.Skip("PHOENIX_TEST_AUTH_EMULATOR is not set: no official Auth emulator to compare with")
		}
		conformance(t, host)
	})
}

func conformance(t *testing.T, host string) {
	a, err := accounts.NewFirebase(t.Context(), accounts.Options{Project: project, APIKey: "any", EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	accountstest.Run(t, a, host)
}

// The official emulator has no authenticator apps, so this is tested with the stand-in only.
func TestSecondFactors(t *testing.T) {
	ctx, host := t.Context(), authstubtest.Start(t, project)
	a, err := accounts.NewFirebase(ctx, accounts.Options{Project: project, APIKey: "any", EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	const email, password = "ann@example.org", "correct horse battery"
	err = a.Create(ctx, accounts.New{UID: "ann", Email: email, EmailVerified: true, Password: password,
		DisplayName: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	factor := func(want bool) {
		t.Helper()
		if got, err := a.Get(ctx, "ann"); err != nil || got.SecondFactor != want {
			t.Errorf("second factor: %v, %v, want %v", got.SecondFactor, err, want)
		}
		if all, err := a.GetAll(ctx, []string{"ann"}); err != nil || all["ann"].SecondFactor != want {
			t.Errorf("second factor in a list: %v, %v, want %v", all["ann"].SecondFactor, err, want)
		}
	}
	factor(false)
	authstubtest.Enroll(t, host, email, password, time.Now())
	factor(true)
	// The password is still right, though it does not sign in alone.
	if uid, right, err := a.CheckPassword(ctx, email, password); err != nil || !right || uid != "ann" {
		t.Errorf("the password: uid %q, right %v, %v", uid, right, err)
	}
	if err := a.RemoveSecondFactors(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	factor(false)
	if _, err := accountstest.SignIn(ctx, host, email, password); err != nil {
		t.Errorf("the password alone: %v", err)
	}
	for i := 0; ; i++ {
		_, right, err := a.CheckPassword(ctx, email, "wrong")
		if errors.Is(err, accounts.ErrTooManyTries) {
			break
		}
		if err != nil || right || i > 100 {
			t.Fatalf("attempt %d with a wrong password: right %v, %v", i, right, err)
		}
	}
}

func TestOptions(t *testing.T) {
	if _, err := accounts.NewFirebase(t.Context(), accounts.Options{}); err == nil {
		t.Error("a missing project is accepted")
	}
}
