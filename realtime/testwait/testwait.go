// Package testwait is how tests wait: for a time on the fake clock of a
// testing/synctest bubble ([Advance]), or for something to become true over
// real connections ([Until], [Listening]). None waits for real time to pass.
package testwait

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Advance lets d pass on the clock of the bubble that the caller is in, and
// everything that follows from it happen: it returns when every other goroutine
// of the bubble waits for something. It panics outside a bubble, where d would
// be real time.
//
// Only one goroutine of a bubble may be in it at a time: it is for the flow of
// the test. Who plays a part beside it waits on a timer.
func Advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

const (
	patience = 15 * time.Second // ends a test that waits in vain; no requirement
	interval = 2 * time.Millisecond
)

// Until returns once ok does, with true. It is for what goroutines and
// processes do over real connections, where nothing tells of it; ok is called
// every 2 ms by the caller's goroutine, which has to be the test's own. After
// 15 s the test fails with "never: " and what.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !ok() {
		if time.Since(began) > patience {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

// Listening returns once something takes connections at address, as host:port:
// a program that was started often gives no other sign. It waits as [Until] does.
func Listening(t testing.TB, address string) {
	t.Helper()
	Until(t, "somebody listens at "+address, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}
