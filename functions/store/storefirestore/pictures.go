package storefirestore

import (
	"context"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// pictureDoc is pictures/{uid}~{version}. (No uid has a "~".)
type pictureDoc struct {
	Type string `firestore:"type"`
	Data []byte `firestore:"data"`
}

func (s *Store) picture(uid, version string) *firestore.DocumentRef {
	return s.doc(colPictures, uid+"~"+version)
}

// SetPicture implements store.Pictures.
func (s *Store) SetPicture(ctx context.Context, uid string, p *store.Picture) (store.User, error) {
	return s.change(ctx, uid, func(tx *firestore.Transaction, u *store.User) error {
		switch {
		case u.ErasingAt != 0:
			return problem.ErrNotFound
		case p == nil:
			u.SetPicture("")
			return nil
		}
		u.SetPicture(p.Version)
		return tx.Set(s.picture(uid, p.Version), pictureDoc{Type: p.Type, Data: p.Data})
	})
}

// Picture implements store.Pictures.
func (s *Store) Picture(ctx context.Context, uid, version string) (store.Picture, error) {
	if !pathSafe(uid) || !pathSafe(version) {
		return store.Picture{}, problem.ErrNotFound
	}
	var d pictureDoc
	ok, err := get(ctx, s.picture(uid, version), &d)
	if err == nil && !ok {
		err = problem.ErrNotFound
	}
	return store.Picture{Version: version, Type: d.Type, Data: d.Data}, translate(err)
}

func (s *Store) deletePictures(tx *firestore.Transaction, uid string, versions []string) error {
	for _, v := range versions {
		if err := tx.Delete(s.picture(uid, v)); err != nil {
			return err
		}
	}
	return nil
}
