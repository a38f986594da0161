package accounts_test

import (
	"os"
	"testing"

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

func TestOptions(t *testing.T) {
	if _, err := accounts.NewFirebase(t.Context(), accounts.Options{}); err == nil {
		t.Error("a missing project is accepted")
	}
}
