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
func (s *Store) Subscribe(ctx context.Context, uid string, sub store.Subscription) (bereft string, err error) {
	store.CountRead(ctx, 3)
	err = s.transact(ctx, func(tx *firestore.Transaction) error {
		bereft = ""
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
		takeFromOwner := func(bool) error { return nil } // a transaction reads before it writes
		if owner.UID != "" && owner.UID != uid {
			store.CountRead(ctx, 1)
			take, last, err := s.unsubscribe(ctx, tx, owner.UID,
				func(s store.Subscription) bool { return s.Endpoint == sub.Endpoint })
			if err != nil {
				return err
			}
			if last {
				bereft = owner.UID
			}
			takeFromOwner = take
		}
		if err := takeFromOwner(false); err != nil {
			return err
		}
		if err := s.setSubscriptions(tx, uid, kept, removed); err != nil {
			return err
		}
		if !u.Push {
			if err := s.setPush(tx, uid, true); err != nil {
				return err
			}
		}
		if owner.UID == uid {
			return nil
		}
		return tx.Set(endpoint, endpointDoc{UID: uid})
	})
	return bereft, err
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
func (s *Store) Unsubscribe(ctx context.Context, uid string, drop func(store.Subscription) bool) (last bool,
	err error) {
	store.CountRead(ctx, 1)
	err = s.transact(ctx, func(tx *firestore.Transaction) error {
		var write func(bool) error
		if write, last, err = s.unsubscribe(ctx, tx, uid, drop); err != nil {
			return err
		}
		return write(true)
	})
	return last, err
}

// unsubscribe reads what it takes to remove subscriptions of a user. write removes them, and their endpoints if the
// argument is set.
func (s *Store) unsubscribe(ctx context.Context, tx *firestore.Transaction, uid string,
	drop func(store.Subscription) bool) (write func(endpoints bool) error, last bool, err error) {

	list, err := s.subscriptionsIn(tx, uid)
	if err != nil {
		return nil, false, err
	}
	kept, removed := store.WithoutSubscriptions(list, drop)
	if len(removed) == 0 {
		return func(bool) error { return nil }, false, nil
	}
	var u userDoc // a user who does not exist has no flag
	if last = len(kept) == 0; last {
		store.CountRead(ctx, 1)
		if _, err := getIn(tx, s.doc(colUsers, uid), &u); err != nil {
			return nil, false, err
		}
	}
	return func(endpoints bool) error {
		if !endpoints {
			removed = nil
		}
		if u.Push {
			if err := s.setPush(tx, uid, false); err != nil {
				return err
			}
		}
		return s.setSubscriptions(tx, uid, kept, removed)
	}, last, nil
}

// setPush records whether a user, who exists, has subscriptions.
func (s *Store) setPush(tx *firestore.Transaction, uid string, push bool) error {
	return tx.Update(s.doc(colUsers, uid), []firestore.Update{{Path: "push", Value: push}})
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
