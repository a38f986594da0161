//go:build !race

package memory_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

// usage returns the memory in use, in bytes, and the number of goroutines.
func usage() (bytes, goroutines int) {
	var m runtime.MemStats
	for range 3 { // stacks shrink by half at a time
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}

// An idle socket takes one goroutine and little memory. The bound holds the client's end and the share of the Redis in
// this process as well.
func TestIdleSocketsAreSmall(t *testing.T) {
	const users, each = 40, 10
	gates := servertest.NewGates()
	for i := range users {
		gates.Set(fmt.Sprintf("user%d", i), gate.Gate{Exists: true})
	}
	rdb := redistest.Mini(t).Client(t, func(o *redis.UniversalOptions) { inbox.Tune(o) })
	srv, url := servertest.Listen(t, rdb, gates, &servertest.Published{})
	d := servertest.SmallDialer(nil)
	servertest.Greet(t, d, url, "user0") // what the first socket causes
	bytes, goroutines := usage()
	for i := range users * each {
		servertest.Greet(t, d, url, fmt.Sprintf("user%d", i%users))
	}
	testwait.Until(t, "all other work is done", func() bool { return runtime.NumGoroutine() <= goroutines+users*each+10 })
	n := srv.Sockets() - 1
	if n < users*each-2 {
		t.Fatalf("%d sockets are open", n)
	}
	bytesNow, goroutinesNow := usage()
	if perSocket := (bytesNow - bytes) / n; perSocket > 13<<10 {
		t.Errorf("%d bytes per socket", perSocket)
	} else {
		t.Logf("%d bytes per socket, %d goroutines for %d sockets", perSocket, goroutinesNow-goroutines, n)
	}
	if more := goroutinesNow - goroutines; more > n+10 {
		t.Errorf("%d goroutines for %d sockets", more, n)
	}
}
