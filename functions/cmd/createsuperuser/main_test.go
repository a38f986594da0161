package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
)

func noEnv(string) string { return "" }

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-email", "a@example.org", "more"}, {"-nonsense"},
		{"-email", "a@example.org", "-uid", "u"}, {"-email", "a@example.org", "-confirm", "ada"},
		{"-email", "a@example.org", "-revoke", "-reset-second-factor"}} {
		var stderr bytes.Buffer
		err := run(t.Context(), operator.Env{Args: args, Getenv: noEnv, Stderr: &stderr})
		if !errors.Is(err, operator.ErrUsage) || stderr.Len() == 0 {
			t.Errorf("%v: error %v, stderr %q, want ErrUsage and an explanation", args, err, &stderr)
		}
	}
	err := run(t.Context(), operator.Env{Args: []string{"-help"}, Getenv: noEnv, Stderr: new(bytes.Buffer)})
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: error %v, want flag.ErrHelp", err)
	}
	err = run(t.Context(), operator.Env{Args: []string{"-email", "a@example.org", "-data", t.TempDir()}, Getenv: noEnv})
	if err == nil || !strings.Contains(err.Error(), "go run ./infra/local") || !strings.Contains(err.Error(), "-project") {
		t.Errorf("without a running chat: error %v", err)
	}
}

// On a terminal, the command shows the account and asks for the username. A script gives it with -confirm.
func TestConfirm(t *testing.T) {
	folder := t.TempDir()
	var orders []operator.AdminOrder
	srv := httptest.NewServer(operator.Handle("s3cret", func(_ context.Context, o operator.AdminOrder) (string, error) {
		orders = append(orders, o)
		if o.Show {
			return "  username  ada", nil
		}
		return "Done.", nil
	}))
	t.Cleanup(srv.Close)
	address, err := json.Marshal(operator.Address{URL: srv.URL, Secret: "s3cret"})
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, operator.File), address, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args     []string
		terminal bool
		typed    string
		want     string // orders, each as show, confirm and create
		out      string
	}{
		"typed":         {[]string{"-uid", "u1"}, true, "ada\n", "[true:false false:ada:false]", "username  ada"},
		"nothing typed": {[]string{"-uid", "u1"}, true, "\n", "[true:false]", "username  ada"},
		"end of input":  {[]string{"-uid", "u1"}, true, "", "[true:false]", "username  ada"},
		"flag":          {[]string{"-uid", "u1", "-confirm", "ada"}, true, "", "[false:ada:false]", "Done."},
		"no terminal":   {[]string{"-uid", "u1"}, false, "ada\n", "[false:false]", "Done."},
		"revoke":        {[]string{"-uid", "u1", "-revoke"}, true, "", "[false:false]", "Done."},
		"reset":         {[]string{"-uid", "u1", "-reset-second-factor"}, true, "", "[false:false]", "Done."},
		"reset by mail": {[]string{"-email", "a@example.org", "-reset-second-factor"}, true, "", "[false:false]", "Done."},
		"address":       {[]string{"-email", "a@example.org"}, true, "", "[false:true]", "Done."},
	} {
		orders = nil
		var out bytes.Buffer
		err := run(t.Context(), operator.Env{Args: append([]string{"-data", folder}, c.args...), Getenv: noEnv,
			Stdin: strings.NewReader(c.typed), Stdout: &out, Stderr: &out, Terminal: c.terminal})
		var got []string
		for _, o := range orders {
			fields := []string{strconv.FormatBool(o.Show), o.Confirm, strconv.FormatBool(o.Create)}
			got = append(got, strings.Join(slices.DeleteFunc(fields, func(f string) bool { return f == "" }), ":"))
		}
		if fmt.Sprint(got) != c.want || !strings.Contains(out.String(), c.out) {
			t.Errorf("%s: orders %v, want %s; printed %q (%v)", name, got, c.want, &out, err)
		}
	}
}

// TestQuotaProject runs the command with the credentials of a person, as gcloud auth application-default login writes
// them. Identity Toolkit refuses such a person's calls unless they name a project whose quota they use.
func TestQuotaProject(t *testing.T) {
	var lookups []string // X-Goog-User-Project of each call
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/token"):
			fmt.Fprint(w, `{"access_token": "a", "token_type": "Bearer", "expires_in": 3600}`)
		case strings.HasSuffix(r.URL.Path, "/projects/acme-chat/accounts:lookup"):
			lookups = append(lookups, r.Header.Get("X-Goog-User-Project"))
			fmt.Fprint(w, `{}`)
		default:
			t.Errorf("unexpected request %s %s", r.Host, r.URL)
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(google.Close)
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		t.Fatal("the default transport is of another type")
	}
	before := transport.DialTLSContext
	t.Cleanup(func() { transport.DialTLSContext = before })
	transport.DialTLSContext = func(ctx context.Context, network, _ string) (net.Conn, error) { // all hosts, without TLS
		return new(net.Dialer).DialContext(ctx, network, google.Listener.Addr().String())
	}
	file := filepath.Join(t.TempDir(), "application_default_credentials.json")
	person := `{"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}`
	if err := os.WriteFile(file, []byte(person), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	env := func(name string) string { // Firestore is not reached, because nobody has the address
		return map[string]string{"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}[name]
	}
	args := []string{"-project", "acme-chat", "-email", "ops@example.org", "-revoke"}
	err := run(t.Context(), operator.Env{Args: args, Getenv: env})
	if err == nil || !strings.Contains(err.Error(), "Nobody has signed up") {
		t.Errorf("error %v, want that nobody has this address", err)
	}
	if fmt.Sprint(lookups) != "[acme-chat]" {
		t.Errorf("the calls use the quota of %q, want acme-chat", lookups)
	}
}

// The order is carried out on Google Cloud: on the Firestore emulator and the stand-in for Firebase Auth.
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
		args = append([]string{"-project", project, "-email", "ops@example.org"}, args...)
		err := run(t.Context(), operator.Env{Args: args, Getenv: env, Stdin: strings.NewReader("correct horse battery\n"),
			Stdout: &out, Stderr: &out})
		if err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	answer := give("-password-stdin", "-username", "root", "-name", "The Operator")
	if !strings.HasPrefix(answer, "The Operator is an admin now.\nA new account was created.\n") ||
		!strings.Contains(answer, `"Two-step verification"`) {
		t.Errorf("answer %q", answer)
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
		t.Error("the token of the new admin does not have the claim")
	}
	give("-revoke")
	if claim() != nil {
		t.Error("the token still has the claim after -revoke")
	}
	give()
	db, err := storefirestore.Open(t.Context(), storefirestore.Options{Project: project, EmulatorHost: firestore})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	entries, _, err := db.AuditLog(t.Context(), "", 10)
	if err != nil || len(entries) != 4 || !strings.HasPrefix(entries[0].By, "command:") ||
		entries[0].Action != "make_admin" || entries[1].Action != "unmake_admin" {
		t.Errorf("audit log %+v, %v", entries, err)
	}
	err = run(t.Context(), operator.Env{Args: []string{"-project", project, "-email", "nobody@example.org", "-revoke"},
		Getenv: env})
	if err == nil || !strings.Contains(err.Error(), "Nobody has signed up") {
		t.Errorf("-revoke for an unknown address: error %v", err)
	}
}
