package storebolt

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Subscribe implements store.Subscriptions.
func (s *Store) Subscribe(ctx context.Context, uid string, sub store.Subscription) error {
	store.CountRead(ctx, 3)
	return s.update(ctx, func(tx *bbolt.Tx) error {
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
			err := unsubscribe(tx, owner, func(s store.Subscription) bool { return s.Endpoint == sub.Endpoint })
			if err != nil {
				return err
			}
		}
		if err := putSubscriptions(tx, uid, kept, removed); err != nil {
			return err
		}
		return tx.Bucket(endpoints).Put(id, []byte(uid))
	})
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
func (s *Store) Unsubscribe(ctx context.Context, uid string, drop func(store.Subscription) bool) error {
	store.CountRead(ctx, 1)
	return s.update(ctx, func(tx *bbolt.Tx) error { return unsubscribe(tx, uid, drop) })
}

func unsubscribe(tx *bbolt.Tx, uid string, drop func(store.Subscription) bool) error {
	var list []store.Subscription
	if _, err := get(tx, subscriptions, []byte(uid), &list); err != nil {
		return err
	}
	kept, removed := store.WithoutSubscriptions(list, drop)
	if len(removed) == 0 {
		return nil
	}
	return putSubscriptions(tx, uid, kept, removed)
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
