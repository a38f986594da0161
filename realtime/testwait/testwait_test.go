package testwait_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestAdvanceWaitsForConsequences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, happened := time.Now(), false
		time.AfterFunc(time.Hour, func() { happened = true }) // at the end of that hour
		testwait.Advance(time.Hour)
		if took := time.Since(began); took != time.Hour || !happened {
			t.Errorf("%v passed; the timer due then has fired: %v", took, happened)
		}
	})
}

func TestAdvancePanicsOutsideABubble(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Advance did not panic")
		}
	}()
	testwait.Advance(0)
}

// failing is a test that fails; it records why.
type failing struct {
	testing.TB
	why string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := 0
		testwait.Until(t, "ok is called three times", func() bool { times++; return times == 3 })

		began, f, done := time.Now(), &failing{TB: t}, make(chan struct{})
		go func() {
			defer close(done)
			testwait.Until(f, "a condition that stays false", func() bool { return false })
			t.Error("Until returned")
		}()
		<-done
		const want = "timeout: a condition that stays false"
		if took := time.Since(began).Round(time.Second); took != 15*time.Second || f.why != want {
			t.Errorf("failed after %v with %q", took, f.why)
		}
	})
}
