package storefirestore

import (
	"context"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// erasedDoc is erased/{uid}.
type erasedDoc struct {
	At chat.Micros `firestore:"at"`
}

// BeginErase implements store.Erasure.
func (s *Store) BeginErase(ctx context.Context, uid string, at chat.Micros) (store.User, error) {
	return s.beginErase(ctx, uid, at, func(store.User) bool { return true })
}

// beginErase is BeginErase if the user is one of those; otherwise the error is problem.ErrNotFound.
func (s *Store) beginErase(
	ctx context.Context, uid string, at chat.Micros, of func(store.User) bool,
) (store.User, error) {
	return s.change(ctx, uid, func(tx *firestore.Transaction, u *store.User) error {
		if !of(*u) {
			return problem.ErrNotFound
		}
		if begun, err := u.BeginErase(at, s.otherAdmin(ctx, tx)); err != nil || !begun {
			return err
		}
		return tx.Set(s.doc(colErased, uid), erasedDoc{At: at})
	})
}

// Abandoned implements store.Erasure. The query compares only the time of the last use. Users are created with one.
func (s *Store) Abandoned(ctx context.Context, since chat.Micros, limit int) (list []store.User, err error) {
	err = each(ctx, s.query(usersInDisuse, nil, false, false, false, int64(since)).Limit(limit),
		func(snap *firestore.DocumentSnapshot) (bool, error) {
			u, err := userFrom(snap)
			if err == nil && u.Abandoned(since) {
				list = append(list, u)
			}
			return true, err
		})
	return list, err
}

// BeginEraseAbandoned implements store.Erasure.
func (s *Store) BeginEraseAbandoned(ctx context.Context, uid string, since, at chat.Micros) (store.User, error) {
	return s.beginErase(ctx, uid, at, func(u store.User) bool { return u.Abandoned(since) })
}

// EraseContent implements store.Erasure.
func (s *Store) EraseContent(ctx context.Context, uid string) error {
	err := each(ctx, s.query(allConversations, nil, uid).Select(), func(snap *firestore.DocumentSnapshot) (bool, error) {
		return true, s.eraseFrom(ctx, snap.Ref, uid)
	})
	if err != nil {
		return err
	}
	if _, err := s.Unsubscribe(ctx, uid, func(store.Subscription) bool { return true }); err != nil {
		return err
	}
	if err := s.eraseChoices(ctx, uid); err != nil {
		return err
	}
	if err := s.eraseReports(ctx, uid); err != nil {
		return err
	}
	return s.eraseChanges(ctx, uid)
}

// eraseFrom deletes the messages that uid wrote in one conversation, then corrects its preview or deletes it.
func (s *Store) eraseFrom(ctx context.Context, ref *firestore.DocumentRef, uid string) error {
	for {
		var writes []write
		err := each(ctx, s.query(messagesFrom, ref, uid).Select().Limit(maxWrites),
			func(snap *firestore.DocumentSnapshot) (bool, error) {
				writes = append(writes, s.remove(colConversations+"/"+ref.ID+"/"+colMessages+"/"+snap.Ref.ID))
				return true, nil
			})
		if err == nil {
			_, err = s.writeAll(ctx, writes)
		}
		if err != nil {
			return err
		}
		if len(writes) < maxWrites {
			break
		}
	}
	// A message that is saved, or erased by the other member, meanwhile writes the conversation afterwards: after this
	// transaction, or so that it runs again. So the query need not be part of it, where it would block those who save
	// messages. It has to come after the conversation was read.
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		if ok, err := getIn(tx, ref, new(conversationDoc)); err != nil || !ok {
			return err
		}
		snaps, err := s.query(newestMessages, ref).Limit(1).Documents(ctx).GetAll()
		if err != nil {
			return err
		}
		if len(snaps) == 0 {
			return tx.Delete(ref)
		}
		newest, err := messageOf(ref.ID, snaps[0])
		if err != nil {
			return err
		}
		return tx.Update(ref, []firestore.Update{
			{Path: "last_at", Value: newest.At},
			{Path: "preview", Value: previewDoc(store.PreviewOf(newest.Message))},
			{FieldPath: firestore.FieldPath{"read", uid}, Value: firestore.Delete},
			{Path: "accepted", Value: firestore.ArrayRemove(uid)},
		})
	})
}

// FinishErase implements store.Erasure.
func (s *Store) FinishErase(ctx context.Context, uid string, now chat.Micros) error {
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		var d userDoc
		ok, err := getIn(tx, s.doc(colUsers, uid), &d)
		switch {
		case err != nil || !ok:
			return err
		case d.ErasingAt == 0:
			return problem.ErrNotFound
		}
		if err := tx.Set(s.doc(colNames, store.NameKey(d.Username)), store.HeldName(uid, now)); err != nil {
			return err
		}
		if err := s.deletePictures(tx, uid, d.user(uid).Pictures()); err != nil {
			return err
		}
		return tx.Delete(s.doc(colUsers, uid))
	})
}

// Erasing implements store.Erasure.
func (s *Store) Erasing(ctx context.Context, before chat.Micros, limit int) (list []store.User, err error) {
	err = each(ctx, s.query(erasingSince, nil, int64(0), int64(before)).Limit(limit),
		func(snap *firestore.DocumentSnapshot) (bool, error) {
			u, err := userFrom(snap)
			list = append(list, u)
			return true, err
		})
	return list, err
}

// ErasedSince implements store.Erasure.
func (s *Store) ErasedSince(ctx context.Context, since chat.Micros) (list []store.Erased, err error) {
	err = each(ctx, s.query(erasedSince, nil, int64(since)).Limit(store.MaxPage),
		func(snap *firestore.DocumentSnapshot) (bool, error) {
			var d erasedDoc
			_, err := decoded(snap, nil, &d)
			list = append(list, store.Erased{UID: snap.Ref.ID, At: d.At})
			return true, err
		})
	return list, err
}
