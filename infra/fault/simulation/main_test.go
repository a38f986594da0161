package simulation

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type network = servertest.Network

// redis changes the network between Redis and one instance, or both.
func (w *world) redis(rnd *rand.Rand, change func(*network)) {
	which := rnd.IntN(3)
	for i, n := range w.nodes {
		if in := n.running(); in != nil && (which == 2 || which == i) {
			change(in.Redis)
		}
	}
}

// pick picks a device at random.
func (w *world) pick(rnd *rand.Rand) *load.Device {
	all := w.crowd.Devices()
	return all[rnd.IntN(len(all))]
}

// publishing makes each Publish take that time and return err.
func (w *world) publishing(takes time.Duration, err error) {
	f := func(ctx context.Context) error {
		select {
		case <-time.After(takes):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.publish.Store(&f)
}
