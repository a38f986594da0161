package simulation

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/infra/fault/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cutRandom cuts one instance from Redis, or both, or connects them again.
func (w *world) cutRandom(rnd *rand.Rand, cut bool) {
	which := rnd.IntN(3)
	for i, n := range w.nodes {
		if in := n.running(); in != nil && (which == 2 || which == i) {
			w.setCut(in, cut)
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
