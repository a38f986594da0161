package servertest

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/alicebob/miniredis/v2"
)

// A connection to Redis that breaks while it is being opened leaks nothing: a synctest bubble does not end while one of
// its goroutines waits.
func TestNetworkCutWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mini := miniredis.NewMiniRedis()
		defer mini.Close()
		for range 300 {
			n := &Network{}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if conn, err := n.dial(mini); err == nil {
						_ = conn.Close()
					}
				})
			}
			wg.Go(func() { n.Down(true) })
			wg.Wait()
		}
	})
}
