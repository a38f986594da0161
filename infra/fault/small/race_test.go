//go:build race

package small

import "runtime"

// Go 1.26's race detector breaks now and then where two processors run timers of one bubble: they
// share its context (go.dev/issue/78156). It tells races by what happens before what, which one processor shows as well.
func init() { runtime.GOMAXPROCS(1) }
