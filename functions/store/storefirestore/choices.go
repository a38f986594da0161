package storefirestore

import (
	"context"
	"encoding/json"

	"cloud.google.com/go/firestore"
	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// choicesDoc is choices/{uid}. The settings are one value, because Firestore would index each field of a map.
type choicesDoc struct {
	Data []byte `firestore:"data"` // store.Choices as JSON, at most store.MaxChoices bytes
}

func (d choicesDoc) choices() (c store.Choices, err error) {
	if len(d.Data) > 0 {
		err = json.Unmarshal(d.Data, &c)
	}
	return c, err
}

// Choose implements store.UserChoices.
func (s *Store) Choose(ctx context.Context, uid string, setting chat.Setting,
	now chat.Micros) (counts chat.Choice, err error) {
	store.CountRead(ctx, 2)
	err = s.transact(ctx, func(tx *firestore.Transaction) error {
		var u userDoc
		ok, err := getIn(tx, s.doc(colUsers, uid), &u)
		if err != nil {
			return err
		}
		if !ok || u.ErasingAt != 0 {
			return problem.ErrNotFound
		}
		var d choicesDoc
		if _, err := getIn(tx, s.doc(colChoices, uid), &d); err != nil {
			return err
		}
		c, err := d.choices()
		if err != nil {
			return err
		}
		var changed bool
		if counts, changed, err = c.Choose(setting, now); err != nil || !changed {
			return err
		}
		if d.Data, err = json.Marshal(c); err != nil {
			return err
		}
		if setting.Kind == chat.SettingAccept {
			if err := s.accept(tx, uid, setting.Conversation); err != nil {
				return err
			}
		}
		return tx.Set(s.doc(colChoices, uid), d)
	})
	return counts, err
}

// accept records in a conversation, which may not exist yet, that uid has accepted the other member's request.
func (s *Store) accept(tx *firestore.Transaction, uid, conversation string) error {
	a, b, err := chat.Members(conversation)
	if err != nil {
		return err
	}
	return tx.Set(s.conversation(conversation), map[string]any{
		"members": []string{a, b}, "accepted": firestore.ArrayUnion(uid)}, firestore.MergeAll)
}

// Choices implements store.UserChoices.
func (s *Store) Choices(ctx context.Context, uid string) (store.Choices, error) {
	var d choicesDoc
	if _, err := get(ctx, s.doc(colChoices, uid), &d); err != nil {
		return store.Choices{}, translate(err)
	}
	return d.choices()
}

// ListedByID implements store.UserChoices.
func (s *Store) ListedByID(ctx context.Context, uid string, ids []string) ([]store.Listed, error) {
	refs := make([]*firestore.DocumentRef, len(ids))
	for i, id := range ids {
		if _, err := chat.Other(id, uid); err != nil {
			return nil, err
		}
		refs[i] = s.conversation(id)
	}
	store.CountRead(ctx, len(ids))
	snaps, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, translate(err)
	}
	var list []store.Listed
	var altered []chat.Micros // of list
	for _, snap := range snaps {
		var d conversationDoc
		if !snap.Exists() {
			continue
		}
		if _, err := decoded(snap, nil, &d); err != nil {
			return nil, err
		}
		if d.LastAt != 0 {
			list, altered = append(list, d.listed(snap.Ref.ID)), append(altered, d.AlteredAt)
		}
	}
	return list, s.completeAll(ctx, uid, list, altered)
}

// completeAll completes the conversations of a list.
func (s *Store) completeAll(ctx context.Context, uid string, list []store.Listed, altered []chat.Micros) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listAtOnce)
	for i := range list {
		g.Go(func() error { return s.complete(ctx, uid, &list[i], altered[i]) })
	}
	return g.Wait()
}

// eraseChoices deletes the settings of uid.
func (s *Store) eraseChoices(ctx context.Context, uid string) error {
	_, err := s.doc(colChoices, uid).Delete(ctx)
	return translate(err)
}
