package storefirestore

import (
	"context"
	"encoding/json"
	"fmt"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// subscriptionsDoc is push_subscriptions/{uid}. The list is one value, because Firestore would index its fields.
type subscriptionsDoc struct {
	Data []byte `firestore:"data"` // []store.Subscription as JSON
}

// endpointDoc is push_endpoints/{key}.
type endpointDoc struct {
	UID string `firestore:"uid"` // who registered the endpoint last
}

func (d subscriptionsDoc) list() (list []store.Subscription, err error) {
	if len(d.Data) > 0 {
		if err = json.Unmarshal(d.Data, &list); err != nil {
			err = fmt.Errorf("decode push subscriptions: %w", err)
		}
	}
	return list, err
}

// subscriptionsIn reads the subscriptions of uid inside a transaction.
func (s *Store) subscriptionsIn(tx *firestore.Transaction, uid string) ([]store.Subscription, error) {
	var d subscriptionsDoc
	if _, err := getIn(tx, s.doc(colSubscriptions, uid), &d); err != nil {
		return nil, err
	}
	return d.list()
}

// Subscribe implements store.Subscriptions.
func (s *Store) Subscribe(ctx context.Context, uid string, sub store.Subscription) error {
	store.CountRead(ctx, 3)
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		var u userDoc
		ok, err := getIn(tx, s.doc(colUsers, uid), &u)
		if err != nil {
			return err
		}
		if !ok || u.ErasingAt != 0 {
			return problem.ErrNotFound
		}
		list, err := s.subscriptionsIn(tx, uid)
		if err != nil {
			return err
		}
		kept, removed, changed := store.WithSubscription(list, sub)
		if !changed {
			return nil
		}
		endpoint := s.doc(colEndpoints, store.EndpointKey(sub.Endpoint))
		var owner endpointDoc
		if _, err := getIn(tx, endpoint, &owner); err != nil {
			return err
		}
		var keeps []store.Subscription // what the owner before keeps
		moves := owner.UID != "" && owner.UID != uid
		if moves {
			store.CountRead(ctx, 1)
			theirs, err := s.subscriptionsIn(tx, owner.UID)
			if err != nil {
				return err
			}
			keeps, _ = store.WithoutSubscriptions(theirs,
				func(s store.Subscription) bool { return s.Endpoint == sub.Endpoint })
		}
		// A transaction reads before it writes.
		if moves {
			if err := s.setSubscriptions(tx, owner.UID, keeps, nil); err != nil {
				return err
			}
		}
		if err := s.setSubscriptions(tx, uid, kept, removed); err != nil {
			return err
		}
		if owner.UID == uid {
			return nil
		}
		return tx.Set(endpoint, endpointDoc{UID: uid})
	})
}

// Subscriptions implements store.Subscriptions.
func (s *Store) Subscriptions(ctx context.Context, uid string) ([]store.Subscription, error) {
	var d subscriptionsDoc
	if _, err := get(ctx, s.doc(colSubscriptions, uid), &d); err != nil {
		return nil, translate(err)
	}
	return d.list()
}

// Unsubscribe implements store.Subscriptions.
func (s *Store) Unsubscribe(ctx context.Context, uid string, drop func(store.Subscription) bool) error {
	store.CountRead(ctx, 1)
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		list, err := s.subscriptionsIn(tx, uid)
		if err != nil {
			return err
		}
		kept, removed := store.WithoutSubscriptions(list, drop)
		if len(removed) == 0 {
			return nil
		}
		return s.setSubscriptions(tx, uid, kept, removed)
	})
}

// setSubscriptions stores the subscriptions of uid, and deletes the endpoints that they do not have anymore.
func (s *Store) setSubscriptions(tx *firestore.Transaction, uid string, kept []store.Subscription,
	removed []string) error {
	for _, endpoint := range removed {
		if err := tx.Delete(s.doc(colEndpoints, store.EndpointKey(endpoint))); err != nil {
			return err
		}
	}
	if len(kept) == 0 {
		return tx.Delete(s.doc(colSubscriptions, uid))
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return fmt.Errorf("encode push subscriptions: %w", err)
	}
	return tx.Set(s.doc(colSubscriptions, uid), subscriptionsDoc{Data: data})
}
