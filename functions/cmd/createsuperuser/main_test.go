package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
)

func noEnv(string) string { return "" }

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-email", "a@example.org", "more"}, {"-nonsense"}} {
		var stderr bytes.Buffer
		if err := run(t.Context(), args, noEnv, nil, nil, &stderr); !errors.Is(err, errUsage) || stderr.Len() == 0 {
			t.Errorf("%v is answered %v, %q", args, err, &stderr)
		}
	}
	if err := run(t.Context(), []string{"-help"}, noEnv, nil, nil, new(bytes.Buffer)); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help is answered %v", err)
	}
	err := run(t.Context(), []string{"-email", "a@example.org", "-data", t.TempDir()}, noEnv, nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "go run ./infra/local") || !strings.Contains(err.Error(), "-project") {
		t.Errorf("where nothing runs: %v", err)
	}
}

// The way to Google Cloud, over Firestore's emulator and the stand-in for Firebase Auth.
func TestProject(t *testing.T) {
	firestore := os.Getenv("PHOENIX_TEST_FIRESTORE")
	if firestore == "" {
		t.Skip("PHOENIX_TEST_FIRESTORE is not set: no Firestore emulator to test with")
	}
	project := "s" + uuid.NewString()[:8]
	authHost := authstubtest.Start(t, project)
	env := func(name string) string {
		return map[string]string{"FIRESTORE_EMULATOR_HOST": firestore, "FIREBASE_AUTH_EMULATOR_HOST": authHost}[name]
	}
	give := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(t.Context(), append([]string{"-project", project, "-email", "ops@example.org"}, args...), env, strings.NewReader("correct horse battery\n"), &out, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if told := give("-password-stdin", "-username", "root", "-name", "The Operator"); told != "The Operator is an admin now.\nThe account is new.\n" {
		t.Errorf("told is %q", told)
	}
	claim := func() any {
		t.Helper()
		token, err := accountstest.SignIn(t.Context(), authHost, "ops@example.org", "correct horse battery")
		if err != nil {
			t.Fatal(err)
		}
		c, err := accountstest.Claims(token)
		if err != nil {
			t.Fatal(err)
		}
		return c["admin"]
	}
	if claim() != true {
		t.Error("the new admin's token has no claim")
	}
	give("-revoke")
	if claim() != nil {
		t.Error("the claim is still there")
	}
	give()
	db, err := storefirestore.Open(t.Context(), storefirestore.Options{Project: project, EmulatorHost: firestore})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	entries, _, err := db.AuditLog(t.Context(), "", 10)
	if err != nil || len(entries) != 4 || !strings.HasPrefix(entries[0].By, "command:") || entries[0].Action != "make_admin" || entries[1].Action != "unmake_admin" {
		t.Errorf("the audit log is %+v, %v", entries, err)
	}
	err = run(t.Context(), []string{"-project", project, "-email", "nobody@example.org", "-revoke"}, env, nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "Nobody has signed up") {
		t.Errorf("revoking from nobody: %v", err)
	}
}
