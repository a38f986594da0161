// Package authstubtest starts the stand-in for Firebase Auth for tests.
package authstubtest

import (
	"log/slog"
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
