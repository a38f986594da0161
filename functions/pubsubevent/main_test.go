package pubsubevent

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		// The server of functions-framework, which framework_test.go starts, cannot be stopped.
		goleak.IgnoreAnyFunction("github.com/GoogleCloudPlatform/functions-framework-go/funcframework.StartHostPort"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*conn).serve"))
}
