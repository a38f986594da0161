package storebolt

import (
	"context"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Choose implements store.UserChoices.
func (s *Store) Choose(ctx context.Context, uid string, setting chat.Setting,
	now chat.Micros) (counts chat.Choice, err error) {
	store.CountRead(ctx, 2)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		u, err := getUser(tx, uid)
		if err != nil {
			return err
		}
		if u.ErasingAt != 0 {
			return problem.ErrNotFound
		}
		var c store.Choices
		if _, err := get(tx, choices, []byte(uid), &c); err != nil {
			return err
		}
		var changed bool
		if counts, changed, err = c.Choose(setting, now); err != nil || !changed {
			return err
		}
		if setting.Kind == chat.SettingAccept {
			if err := accept(tx, uid, setting.Conversation); err != nil {
				return err
			}
		}
		return put(tx, choices, []byte(uid), c)
	})
	return counts, err
}

// accept records in a conversation, which may not exist yet, that uid has accepted the other member's request.
func accept(tx *bbolt.Tx, uid, conversation string) error {
	l := &changes{tx, map[string]*conversationRecord{}, map[string]chat.Micros{}}
	r, err := l.get(conversation)
	if err != nil {
		return err
	}
	if !slices.Contains(r.Accepted, uid) {
		r.Accepted = append(r.Accepted, uid)
	}
	return l.write()
}

// Choices implements store.UserChoices.
func (s *Store) Choices(ctx context.Context, uid string) (c store.Choices, err error) {
	store.CountRead(ctx, 1)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		c = store.Choices{}
		_, err := get(tx, choices, []byte(uid), &c)
		return err
	})
	return c, err
}

// ListedByID implements store.UserChoices.
func (s *Store) ListedByID(ctx context.Context, uid string, ids []string) (list []store.Listed, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		list = nil
		for _, id := range ids {
			if _, err := chat.Other(id, uid); err != nil {
				return err
			}
			var r conversationRecord
			if ok, err := get(tx, conversations, []byte(id), &r); err != nil {
				return err
			} else if ok && r.LastAt != 0 {
				list = append(list, listed(tx, uid, r))
			}
		}
		return nil
	})
	store.CountRead(ctx, len(ids)+unreadCounts(uid, list))
	return list, err
}

// eraseChoices deletes the settings of uid.
func (s *Store) eraseChoices(ctx context.Context, uid string) error {
	return s.update(ctx, func(tx *bbolt.Tx) error { return tx.Bucket(choices).Delete([]byte(uid)) })
}
