package storefirestore

import (
	"context"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// privacyDoc is a chat.PrivacyForm in userDoc. package gatefirestore reads it, too.
type privacyDoc struct {
	LastSeen     string `firestore:"last_seen"`
	ReadReceipts bool   `firestore:"read_receipts"`
	Writers      string `firestore:"writers"`
	Findable     string `firestore:"findable"`
}

func privacyDocOf(p chat.Privacy) *privacyDoc {
	if p == (chat.Privacy{}) {
		return nil
	}
	d := privacyDoc(p.Form())
	return &d
}

// privacy returns the privacy of a document. In place of a value that this version does not know, the most private one
// counts.
func (d *privacyDoc) privacy() chat.Privacy {
	if d == nil {
		return chat.Privacy{}
	}
	return chat.PrivacyForm(*d).Known()
}

// SetPrivacy implements store.Users.
func (s *Store) SetPrivacy(ctx context.Context, uid string, p chat.Privacy) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error {
		u.Privacy = p
		return nil
	})
}
