// Package testwait provides the ways in which tests wait: for a time on the fake clock of a testing/synctest bubble
// ([Advance]), or until a condition holds over real connections ([Until], [Listening]). No test sleeps in real time.
package testwait

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Advance advances the fake clock of the caller's bubble by d. It returns when everything that follows from it has
// happened, that is, when every other goroutine of the bubble is blocked. Outside a bubble, where d would be real time,
// it panics.
//
// Only one goroutine of a bubble may call it at a time: the one that runs the test. Other goroutines wait on timers.
func Advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

const (
	patience = 15 * time.Second // time after which a test fails; generous, not a requirement
	interval = 2 * time.Millisecond
)

// Until returns when ok returns true. It is for the effects of goroutines and processes over real connections, of which
// nothing notifies the test. The calling goroutine, which must be that of the test, calls ok every 2 ms. After 15 s the
// test fails with "timeout: " and what.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !ok() {
		if time.Since(began) > patience {
			t.Fatalf("timeout: %s", what)
		}
		<-tick.C
	}
}

// Listening returns when a server accepts connections at address (host:port), which is often the only sign that a
// program has started. It waits like [Until].
func Listening(t testing.TB, address string) {
	t.Helper()
	Until(t, "a server listens at "+address, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}
