package storefirestore

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storetest"
)

// emulator returns the address of the Firestore emulator, or skips the test if there is none.
func emulator(t *testing.T) string {
	t.Helper()
	host := os.Getenv("PHOENIX_TEST_FIRESTORE")
	if host == "" {
		t.Skip("PHOENIX_TEST_FIRESTORE is not set: no Firestore emulator to test with")
	}
	return host
}

// fresh returns a store over an empty database.
func fresh(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Project: "t" + strings.ReplaceAll(uuid.NewString(), "-", "")[:20],
		EmulatorHost: emulator(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return fresh(t) })
}
