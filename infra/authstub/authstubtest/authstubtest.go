// Package authstubtest starts the stand-in for Firebase Auth for tests.
package authstubtest

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/authstub"
)

// Start starts a stand-in for Firebase Auth without accounts and returns its host:port. It sends no mail and is
// stopped at the end of the test.
func Start(t testing.TB, project string) (host string) {
	t.Helper()
	return StartAt(t, project, time.Now)
}

// StartAt is Start with a clock.
func StartAt(t testing.TB, project string, now func() time.Time) (host string) {
	t.Helper()
	stub, err := authstub.Open(authstub.Options{Project: project, Path: filepath.Join(t.TempDir(), "accounts.db"),
		Now: now, Mail: func(authstub.Mail) {}, Logger: slog.New(slog.DiscardHandler), HashMemory: 64})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(stub)
	t.Cleanup(func() {
		srv.Close()
		if err := stub.Close(); err != nil {
			t.Error(err)
		}
	})
	return strings.TrimPrefix(srv.URL, "http://")
}

// Enroll signs in to an account without a second factor, whose address is verified, and gives it one. It returns the
// secret, from which authstub.CodeAt makes codes, and the ID token of the sign-in that follows. now is the time of the
// stand-in, whose code is used up.
func Enroll(t testing.TB, host, email, password string, now time.Time) (secret, idToken string) {
	t.Helper()
	call := func(path string, in any) (out struct {
		IDToken string `json:"idToken"`
		Session struct {
			Secret string `json:"sharedSecretKey"`
			Info   string `json:"sessionInfo"`
		} `json:"totpSessionInfo"`
	}) {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post("http://"+host+"/identitytoolkit.googleapis.com/"+path+"?key=any", "application/json",
			bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(answer, &out) != nil {
			t.Fatalf("%s: status %d, %s, %v", path, resp.StatusCode, answer, err)
		}
		return out
	}
	type m = map[string]any
	in := call("v1/accounts:signInWithPassword", m{"email": email, "password": password, "returnSecureToken": true})
	s := call("v2/accounts/mfaEnrollment:start", m{"idToken": in.IDToken, "totpEnrollmentInfo": m{}}).Session
	code, err := authstub.CodeAt(s.Secret, now)
	if err != nil {
		t.Fatal(err)
	}
	done := call("v2/accounts/mfaEnrollment:finalize", m{"idToken": in.IDToken,
		"totpVerificationInfo": m{"sessionInfo": s.Info, "verificationCode": code}})
	return s.Secret, done.IDToken
}
