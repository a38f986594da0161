package storebolt_test

import (
	"path/filepath"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/functions/store/storetest"
)

func open(t testing.TB, path string, opts storebolt.Options) *storebolt.Store {
	t.Helper()
	s, err := storebolt.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	})
}
