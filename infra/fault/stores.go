package main

import (
	"context"
	"fmt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/infra/emulators"
)

// stores returns what opens the store of the nth run, and what closes all of
// them. A nil store stands for the embedded one, which each stage makes itself.
func stores(ctx context.Context, backend string) (open func(n int) (store.Store, error), closeAll func(), err error) {
	switch backend {
	case "embedded":
		return func(int) (store.Store, error) { return nil, nil }, func() {}, nil
	case "firestore":
	default:
		return nil, nil, fmt.Errorf("there is no store %q", backend)
	}
	emulator, err := emulators.Firestore(ctx)
	if err != nil {
		return nil, nil, err
	}
	var opened []*storefirestore.Store
	open = func(n int) (store.Store, error) {
		// The emulator keeps projects apart, and needs no other reset.
		tb, err := storefirestore.Open(ctx, storefirestore.Options{Project: fmt.Sprintf("fault-%d", n), EmulatorHost: emulator.Addr})
		if err != nil {
			return nil, err
		}
		opened = append(opened, tb)
		return tb, nil
	}
	return open, func() {
		for _, tb := range opened {
			_ = tb.Close()
		}
		emulator.Stop()
	}, nil
}
