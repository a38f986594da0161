package storefirestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/iterator"

	"github.com/phoenixchat/phoenixchat/functions/store/storetest"
)

func TestLeaving(t *testing.T) {
	s := fresh(t)
	left := storetest.Leaving(t, s, func() map[string]string {
		found := map[string]string{}
		addContents(t, s.client.Collections(t.Context()), found)
		return found
	})
	// The audit log is in a database of its own.
	want := []string{colChoices, colConversations, colErased, colLimits, colMessages, colNames, colUsers}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("the uid is left in %q, want %q", left, want)
	}
}

// addContents adds all documents of collections, and of those below them, to found.
func addContents(t *testing.T, collections *firestore.CollectionIterator, found map[string]string) {
	t.Helper()
	for {
		collection, err := collections.Next()
		if errors.Is(err, iterator.Done) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		documents, err := collection.Documents(t.Context()).GetAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range documents {
			data := d.Data()
			for name, value := range data {
				if b, ok := value.([]byte); ok { // JSON would encode it
					data[name] = string(b)
				}
			}
			text, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			found[collection.ID] += fmt.Sprintf("%s %s\n", d.Ref.ID, text)
			addContents(t, d.Ref.Collections(t.Context()), found)
		}
	}
}
