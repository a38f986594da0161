package storebolt

import (
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store/storetest"
)

func TestLeaving(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "chat.db"), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	contents := func() map[string]string {
		found := map[string]string{}
		err := s.db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
				return b.ForEach(func(k, v []byte) error {
					found[string(name)] += string(k) + " " + string(v) + "\n"
					return nil
				})
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	left := storetest.Leaving(t, s, contents)
	want := []string{"audit", "by_change", "by_member", "by_recipient", "choices", "conversations", "erased",
		"limit_count", "message_keys", "messages", "names", "users"}
	if !slices.Equal(left, want) {
		t.Errorf("the uid is left in %q, want %q", left, want)
	}
}
