package main

import (
	"context"
	"fmt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/infra/emulators"
)

// stores returns a function that opens the store of the nth run, and one that closes all stores. A nil store means an
// embedded one, which each testbed opens itself.
func stores(ctx context.Context, backend string) (open func(n int) (store.Store, error), closeAll func(), err error) {
	switch backend {
	case "embedded":
		return func(int) (store.Store, error) { return nil, nil }, func() {}, nil
	case "firestore":
	default:
		return nil, nil, fmt.Errorf("unknown store %q", backend)
	}
	emulator, err := emulators.Firestore(ctx)
	if err != nil {
		return nil, nil, err
	}
	var opened []*storefirestore.Store
	open = func(n int) (store.Store, error) {
		// The emulator separates projects, so that runs do not share data.
		s, err := storefirestore.Open(ctx, storefirestore.Options{
			Project: fmt.Sprintf("fault-%d", n), EmulatorHost: emulator.Addr,
		})
		if err != nil {
			return nil, err
		}
		opened = append(opened, s)
		return s, nil
	}
	return open, func() {
		for _, s := range opened {
			_ = s.Close()
		}
		emulator.Stop()
	}, nil
}
