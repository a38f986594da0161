package testwait_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestAdvanceLetsFollowUpsHappen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, happened := time.Now(), false
		time.AfterFunc(time.Hour, func() { happened = true }) // at the very end
		testwait.Advance(time.Hour)
		if took := time.Since(began); took != time.Hour || !happened {
			t.Errorf("%v passed, and what was due then happened: %v", took, happened)
		}
	})
}

func TestAdvanceIsForFakeClocks(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("real time passed")
		}
	}()
	testwait.Advance(0)
}

// failing is a test that fails, and says why.
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
		testwait.Until(t, "the third time", func() bool { times++; return times == 3 })

		began, f, done := time.Now(), &failing{TB: t}, make(chan struct{})
		go func() {
			defer close(done)
			testwait.Until(f, "the end", func() bool { return false })
			t.Error("it returned")
		}()
		<-done
		if took := time.Since(began).Round(time.Second); took != 15*time.Second || f.why != "never: the end" {
			t.Errorf("after %v: %q", took, f.why)
		}
	})
}
