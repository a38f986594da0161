package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// subscription returns a push subscription of a device.
func subscription(device, endpoint string, at chat.Micros) store.Subscription {
	return store.Subscription{Device: device, Endpoint: "https://push.example/" + endpoint,
		P256DH: []byte("key of " + device), Auth: []byte("secret of " + device), SignIn: t0, At: at}
}

// subscribed fails unless the user has exactly these subscriptions.
func subscribed(t *testing.T, s store.Store, uid string, want ...store.Subscription) {
	t.Helper()
	got, err := s.Subscriptions(context.Background(), uid)
	must(t, err)
	for _, list := range [][]store.Subscription{got, want} {
		slices.SortFunc(list, func(a, b store.Subscription) int { return cmp.Compare(a.Device, b.Device) })
	}
	equal(t, "subscriptions of "+uid, got, want)
}

func testSubscriptions(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	subscribed(t, s, "ada")
	phone, desktop := subscription("phone", "1", t0), subscription("desktop", "2", t0+1)
	must(t, s.Subscribe(ctx, "ada", phone))
	must(t, s.Subscribe(ctx, "ada", desktop))
	subscribed(t, s, "ada", phone, desktop)

	// Registering the same one again within a day keeps its time.
	again := phone
	again.At += day - 1
	must(t, s.Subscribe(ctx, "ada", again))
	subscribed(t, s, "ada", phone, desktop)
	phone.At += day
	must(t, s.Subscribe(ctx, "ada", phone))
	subscribed(t, s, "ada", phone, desktop)
	// Another address or other keys replace it at once.
	phone = subscription("phone", "3", t0+day+1)
	must(t, s.Subscribe(ctx, "ada", phone))
	phone.Auth = []byte("another secret")
	must(t, s.Subscribe(ctx, "ada", phone))
	subscribed(t, s, "ada", phone, desktop)
	// An address that another device of the user registers is that device's.
	tablet := subscription("tablet", "3", t0+day+2)
	must(t, s.Subscribe(ctx, "ada", tablet))
	subscribed(t, s, "ada", tablet, desktop)

	// Beyond the limit, the one that was renewed longest ago gives way.
	var all []store.Subscription
	for i := range store.MaxSubscriptions {
		sub := subscription(fmt.Sprintf("device %d", i), fmt.Sprint("n", i), t0+2*day+chat.Micros(i))
		must(t, s.Subscribe(ctx, "ada", sub))
		all = append(all, sub)
	}
	subscribed(t, s, "ada", slices.Clone(all)...)
	must(t, s.Unsubscribe(ctx, "ada", func(sub store.Subscription) bool { return sub.Device != "device 3" }))
	subscribed(t, s, "ada", all[3])
	must(t, s.Unsubscribe(ctx, "ada", func(sub store.Subscription) bool { return sub.Device == "nothing" }))
	subscribed(t, s, "ada", all[3])
	must(t, s.Unsubscribe(ctx, "nobody", func(store.Subscription) bool { return true }))
	mustBe(t, s.Subscribe(ctx, "nobody", phone), problem.ErrNotFound)
}

func testSubscriptionsMove(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, uid := range []string{"ada", "bob", "cyd"} {
		addUser(t, s, uid, uid, t0)
	}
	shared, own := subscription("browser", "shared", t0), subscription("phone", "own", t0)
	must(t, s.Subscribe(ctx, "ada", own))
	must(t, s.Subscribe(ctx, "ada", shared))
	// The second account in the browser has another id for it.
	bobs := subscription("browser of bob", "shared", t0+1)
	must(t, s.Subscribe(ctx, "bob", bobs))
	subscribed(t, s, "ada", own)
	subscribed(t, s, "bob", bobs)
	shared.At = t0 + 2
	must(t, s.Subscribe(ctx, "ada", shared))
	subscribed(t, s, "ada", own, shared)
	subscribed(t, s, "bob")
	// An endpoint that was removed has no owner, so that nobody loses one to it.
	must(t, s.Unsubscribe(ctx, "ada", func(sub store.Subscription) bool { return sub.Endpoint == shared.Endpoint }))
	must(t, s.Subscribe(ctx, "cyd", bobs))
	subscribed(t, s, "ada", own)
	subscribed(t, s, "cyd", bobs)
	// So has one that its device has replaced.
	must(t, s.Subscribe(ctx, "cyd", subscription("browser of bob", "newer", t0+3)))
	must(t, s.Subscribe(ctx, "bob", bobs))
	subscribed(t, s, "cyd", subscription("browser of bob", "newer", t0+3))
	subscribed(t, s, "bob", bobs)
}

// Of accounts that register an endpoint at the same time, exactly one has it in the end.
func testSubscriptionsAtOnce(t *testing.T, s store.Store) {
	ctx := context.Background()
	people := []string{"ada", "bob"}
	var wg sync.WaitGroup
	errs := make([]error, len(people))
	for _, uid := range people {
		addUser(t, s, uid, uid, t0)
	}
	for i, uid := range people {
		wg.Go(func() { errs[i] = s.Subscribe(ctx, uid, subscription(uid, "shared", t0)) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	n := 0
	for _, uid := range people {
		list, err := s.Subscriptions(ctx, uid)
		must(t, err)
		n += len(list)
	}
	equal(t, "owners of the endpoint", n, 1)
}

func testSubscriptionsErased(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, uid := range []string{"ada", "bob"} {
		addUser(t, s, uid, uid, t0)
		must(t, s.Subscribe(ctx, uid, subscription("phone", "of "+uid, t0)))
	}
	_, err := s.BeginErase(ctx, "ada", t0)
	must(t, err)
	mustBe(t, s.Subscribe(ctx, "ada", subscription("desktop", "late", t0)), problem.ErrNotFound)
	must(t, s.EraseContent(ctx, "ada"))
	subscribed(t, s, "ada")
	subscribed(t, s, "bob", subscription("phone", "of bob", t0))
	// The endpoint has no owner anymore.
	must(t, s.Subscribe(ctx, "bob", subscription("desktop", "of ada", t0)))
	subscribed(t, s, "ada")
}
