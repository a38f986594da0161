package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"more"}, {"-nonsense"}, {"-project", "p"}, {"-url", "https://u"}} {
		var stderr bytes.Buffer
		err := run(t.Context(), operator.Env{Args: args, Stderr: &stderr})
		if !errors.Is(err, operator.ErrUsage) || stderr.Len() == 0 {
			t.Errorf("%v: error %v, stderr %q, want ErrUsage and an explanation", args, err, &stderr)
		}
	}
	err := run(t.Context(), operator.Env{Args: []string{"-help"}, Stderr: new(bytes.Buffer)})
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: error %v, want flag.ErrHelp", err)
	}
}

// quiet is a realtime service that accepts everything.
type quiet struct{ internalapi.API }

func (quiet) GateChanged(context.Context, internalapi.Gate) error { return nil }
func (quiet) Gone(context.Context, string) error                  { return nil }
func (quiet) ProfileChanged(context.Context, string) error        { return nil }
func (quiet) OwnProfileChanged(context.Context, string) error     { return nil }
func (quiet) Purge(context.Context, internalapi.Purge) (internalapi.Purged, error) {
	return internalapi.Purged{Complete: true}, nil
}

// The order is carried out on Google Cloud: on the Firestore emulator and the stand-in for Firebase Auth.
func TestProject(t *testing.T) {
	firestore := os.Getenv("PHOENIX_TEST_FIRESTORE")
	if firestore == "" {
		t.Skip("PHOENIX_TEST_FIRESTORE is not set: no Firestore emulator to test with")
	}
	project := "e" + uuid.NewString()[:8]
	authHost := authstubtest.Start(t, project)
	env := func(name string) string {
		return map[string]string{"FIRESTORE_EMULATOR_HOST": firestore, "FIREBASE_AUTH_EMULATOR_HOST": authHost}[name]
	}
	db, err := storefirestore.Open(t.Context(), storefirestore.Options{Project: project, EmulatorHost: firestore})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	auth, err := accounts.NewFirebase(t.Context(), accounts.Options{Project: project, EmulatorHost: authHost})
	if err != nil {
		t.Fatal(err)
	}
	eve, err := users.New(users.Deps{Store: db, Accounts: auth, Realtime: quiet{}}).Create(t.Context(),
		users.Signup{Email: "eve@example.org", Password: "correct horse battery", Username: "eve", DisplayName: "Eve"})
	if err == nil {
		err = auth.Delete(t.Context(), eve.UID)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"People erased: 1.", "Every user has an account"} {
		answer, err := handle(t.Context(), operator.Target{Project: project}, quiet{},
			operator.EraseAgainOrder{Erase: true, Reason: "restore", By: "ops"}, env)
		if err != nil || !strings.Contains(answer, want) {
			t.Errorf("answer %q, %v, want %q", answer, err, want)
		}
	}
}
