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

// register stores a subscription. It returns the user who has none anymore because of that, or "".
func register(t *testing.T, s store.Store, uid string, sub store.Subscription) (bereft string) {
	t.Helper()
	bereft, err := s.Subscribe(context.Background(), uid, sub)
	must(t, err)
	return bereft
}

// remove removes subscriptions, and reports whether that were the last ones.
func remove(t *testing.T, s store.Store, uid string, drop func(store.Subscription) bool) (last bool) {
	t.Helper()
	last, err := s.Unsubscribe(context.Background(), uid, drop)
	must(t, err)
	return last
}

// hasPush fails unless the record of the user says whether there is a subscription.
func hasPush(t *testing.T, s store.Store, uid string, want bool) {
	t.Helper()
	u, err := s.User(context.Background(), uid)
	must(t, err)
	equal(t, "push of "+uid, u.Push, want)
}

func all(store.Subscription) bool { return true }

func testSubscriptions(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	subscribed(t, s, "ada")
	phone, desktop := subscription("phone", "1", t0), subscription("desktop", "2", t0+1)
	register(t, s, "ada", phone)
	register(t, s, "ada", desktop)
	subscribed(t, s, "ada", phone, desktop)

	// Registering the same one again within a day keeps its time.
	again := phone
	again.At += day - 1
	register(t, s, "ada", again)
	subscribed(t, s, "ada", phone, desktop)
	phone.At += day
	register(t, s, "ada", phone)
	subscribed(t, s, "ada", phone, desktop)
	// Another address, other keys or other quiet hours replace it at once.
	phone = subscription("phone", "3", t0+day+1)
	register(t, s, "ada", phone)
	phone.Auth = []byte("another secret")
	register(t, s, "ada", phone)
	phone.Quiet = store.Quiet{From: 1320, To: 420, Zone: "Europe/Berlin", Until: t0 + day}
	register(t, s, "ada", phone)
	subscribed(t, s, "ada", phone, desktop)
	// An address that another device of the user registers is that device's.
	tablet := subscription("tablet", "3", t0+day+2)
	register(t, s, "ada", tablet)
	subscribed(t, s, "ada", tablet, desktop)

	// Beyond the limit, the one that was renewed longest ago gives way.
	var list []store.Subscription
	for i := range store.MaxSubscriptions {
		sub := subscription(fmt.Sprintf("device %d", i), fmt.Sprint("n", i), t0+2*day+chat.Micros(i))
		register(t, s, "ada", sub)
		list = append(list, sub)
	}
	subscribed(t, s, "ada", slices.Clone(list)...)
	remove(t, s, "ada", func(sub store.Subscription) bool { return sub.Device != "device 3" })
	subscribed(t, s, "ada", list[3])
	remove(t, s, "ada", func(sub store.Subscription) bool { return sub.Device == "nothing" })
	subscribed(t, s, "ada", list[3])
	remove(t, s, "nobody", all)
	_, err := s.Subscribe(ctx, "nobody", phone)
	mustBe(t, err, problem.ErrNotFound)
}

// The record of a user says whether there is a subscription, whatever adds or removes one.
func testPush(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, uid := range []string{"ada", "bob"} {
		addUser(t, s, uid, uid, t0)
		hasPush(t, s, uid, false)
	}
	phone, desktop := subscription("phone", "1", t0), subscription("desktop", "2", t0)
	equal(t, "bereft", register(t, s, "ada", phone), "")
	hasPush(t, s, "ada", true)
	register(t, s, "ada", phone)
	register(t, s, "ada", desktop)
	isPhone := func(sub store.Subscription) bool { return sub.Device == "phone" }
	equal(t, "last", remove(t, s, "ada", isPhone), false)
	hasPush(t, s, "ada", true)
	equal(t, "last", remove(t, s, "ada", isPhone), false)
	equal(t, "last", remove(t, s, "ada", all), true)
	hasPush(t, s, "ada", false)
	equal(t, "last", remove(t, s, "ada", all), false)

	// Other changes of the record keep it.
	register(t, s, "ada", phone)
	_, err := s.SetDisabled(ctx, "ada", true)
	must(t, err)
	hasPush(t, s, "ada", true)
	// An endpoint that somebody else registers is lost.
	register(t, s, "ada", desktop)
	equal(t, "bereft", register(t, s, "bob", phone), "")
	hasPush(t, s, "ada", true)
	equal(t, "bereft", register(t, s, "bob", desktop), "ada")
	hasPush(t, s, "ada", false)
	hasPush(t, s, "bob", true)
	_, err = s.BeginErase(ctx, "bob", t0)
	must(t, err)
	must(t, s.EraseContent(ctx, "bob"))
	hasPush(t, s, "bob", false)
}

func testSubscriptionsMove(t *testing.T, s store.Store) {
	for _, uid := range []string{"ada", "bob", "cyd"} {
		addUser(t, s, uid, uid, t0)
	}
	shared, own := subscription("browser", "shared", t0), subscription("phone", "own", t0)
	register(t, s, "ada", own)
	register(t, s, "ada", shared)
	// The second account in the browser has another id for it.
	bobs := subscription("browser of bob", "shared", t0+1)
	register(t, s, "bob", bobs)
	subscribed(t, s, "ada", own)
	subscribed(t, s, "bob", bobs)
	shared.At = t0 + 2
	register(t, s, "ada", shared)
	subscribed(t, s, "ada", own, shared)
	subscribed(t, s, "bob")
	// An endpoint that was removed has no owner, so that nobody loses one to it.
	remove(t, s, "ada", func(sub store.Subscription) bool { return sub.Endpoint == shared.Endpoint })
	register(t, s, "cyd", bobs)
	subscribed(t, s, "ada", own)
	subscribed(t, s, "cyd", bobs)
	// So has one that its device has replaced.
	register(t, s, "cyd", subscription("browser of bob", "newer", t0+3))
	register(t, s, "bob", bobs)
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
		wg.Go(func() { _, errs[i] = s.Subscribe(ctx, uid, subscription(uid, "shared", t0)) })
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
		register(t, s, uid, subscription("phone", "of "+uid, t0))
	}
	_, err := s.BeginErase(ctx, "ada", t0)
	must(t, err)
	_, err = s.Subscribe(ctx, "ada", subscription("desktop", "late", t0))
	mustBe(t, err, problem.ErrNotFound)
	must(t, s.EraseContent(ctx, "ada"))
	subscribed(t, s, "ada")
	subscribed(t, s, "bob", subscription("phone", "of bob", t0))
	// The endpoint has no owner anymore.
	register(t, s, "bob", subscription("desktop", "of ada", t0))
	subscribed(t, s, "ada")
}
