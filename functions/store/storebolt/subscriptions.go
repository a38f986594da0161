package storebolt

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Subscribe implements store.Subscriptions.
func (s *Store) Subscribe(ctx context.Context, uid string, sub store.Subscription) (bereft string, err error) {
	store.CountRead(ctx, 3)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		bereft = ""
		u, err := getUser(tx, uid)
		if err != nil {
			return err
		}
		if u.ErasingAt != 0 {
			return problem.ErrNotFound
		}
		var list []store.Subscription
		if _, err := get(tx, subscriptions, []byte(uid), &list); err != nil {
			return err
		}
		kept, removed, changed := store.WithSubscription(list, sub)
		if !changed {
			return nil
		}
		id := []byte(store.EndpointKey(sub.Endpoint))
		if owner := string(tx.Bucket(endpoints).Get(id)); owner != "" && owner != uid {
			store.CountRead(ctx, 1)
			last, err := unsubscribe(ctx, tx, owner, func(s store.Subscription) bool { return s.Endpoint == sub.Endpoint })
			if err != nil {
				return err
			}
			if last {
				bereft = owner
			}
		}
		if err := putSubscriptions(tx, uid, kept, removed); err != nil {
			return err
		}
		if err := setPush(tx, uid, true); err != nil {
			return err
		}
		return tx.Bucket(endpoints).Put(id, []byte(uid))
	})
	return bereft, err
}

// Subscriptions implements store.Subscriptions.
func (s *Store) Subscriptions(ctx context.Context, uid string) (list []store.Subscription, err error) {
	store.CountRead(ctx, 1)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		list = nil
		_, err := get(tx, subscriptions, []byte(uid), &list)
		return err
	})
	return list, err
}

// Unsubscribe implements store.Subscriptions.
func (s *Store) Unsubscribe(ctx context.Context, uid string, drop func(store.Subscription) bool) (last bool,
	err error) {
	store.CountRead(ctx, 1)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		last, err = unsubscribe(ctx, tx, uid, drop)
		return err
	})
	return last, err
}

func unsubscribe(ctx context.Context, tx *bbolt.Tx, uid string, drop func(store.Subscription) bool) (last bool,
	err error) {
	var list []store.Subscription
	if _, err := get(tx, subscriptions, []byte(uid), &list); err != nil {
		return false, err
	}
	kept, removed := store.WithoutSubscriptions(list, drop)
	if len(removed) == 0 {
		return false, nil
	}
	if last = len(kept) == 0; last {
		store.CountRead(ctx, 1)
		if err := setPush(tx, uid, false); err != nil {
			return false, err
		}
	}
	return last, putSubscriptions(tx, uid, kept, removed)
}

// setPush records whether a user has subscriptions, if the user exists.
func setPush(tx *bbolt.Tx, uid string, push bool) error {
	old, err := getUser(tx, uid)
	if errors.Is(err, problem.ErrNotFound) || err == nil && old.Push == push {
		return nil
	}
	if err != nil {
		return err
	}
	u := old
	u.Push = push
	return putUser(tx, &old, u)
}

// putSubscriptions stores the subscriptions of uid, and deletes the endpoints that they do not have anymore.
func putSubscriptions(tx *bbolt.Tx, uid string, kept []store.Subscription, removed []string) error {
	for _, endpoint := range removed {
		if err := tx.Bucket(endpoints).Delete([]byte(store.EndpointKey(endpoint))); err != nil {
			return err
		}
	}
	if len(kept) == 0 {
		return tx.Bucket(subscriptions).Delete([]byte(uid))
	}
	return put(tx, subscriptions, []byte(uid), kept)
}
