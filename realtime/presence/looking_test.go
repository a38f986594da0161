package presence_test

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// looksElsewhere reports what the instance says, and fails the test on an error.
func (in *instance) looksElsewhere(t *testing.T, uid string) bool {
	t.Helper()
	looks, err := in.LooksElsewhere(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	return looks
}

// A lease says that somebody looks while they look at one of the instance's sockets.
func TestLooking(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		x, y := start(t, b, "x", presence.Options{}), start(t, b, "y", presence.Options{})
		check := func(what string, want bool) {
			t.Helper()
			if got := y.looksElsewhere(t, "ann"); got != want {
				t.Errorf("%s: somebody looks: %v", what, got)
			}
			if x.looksElsewhere(t, "ann") {
				t.Errorf("%s: an instance counts its own lease", what)
			}
		}
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx := t.Context()
		check("nobody is connected", false)
		do(x.Join(ctx, "ann", false))
		check("nobody looks", false)
		do(x.Join(ctx, "ann", true))
		check("the second socket", true)
		do(x.SetLooking(ctx, "ann", true))
		do(x.SetLooking(ctx, "ann", false))
		check("one of two looks away", true)
		do(x.SetLooking(ctx, "ann", false))
		check("nobody looks any more", false)
		do(x.SetLooking(ctx, "ann", true))
		check("again", true)
		w := y.watch(t, "ann")
		same(t, "the state", next(t, w), "[ann on]")
		do(x.Leave(ctx, "ann", true))
		check("the socket that was looked at has ended", false)
		do(x.SetLooking(ctx, "ann", true))
		do(x.Leave(ctx, "ann", true))
		check("no socket is left", false)
		do(x.SetLooking(ctx, "ann", true)) // too late
		check("after the end", false)
		if n := x.rdb.ZCard(ctx, "presence:{ann}").Val(); n != 0 {
			t.Errorf("%d leases are left", n)
		}
	})
}

// A renewal goes on saying that somebody looks, and an expired lease does not count.
func TestRenewedLeaseSaysLooking(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		short := presence.Tuned(presence.Tuning{Expire: 400 * time.Millisecond, Renew: 50 * time.Millisecond})
		x, y := start(t, b, "x", short), start(t, b, "y", short)
		if err := x.Join(t.Context(), "ann", true); err != nil {
			t.Fatal(err)
		}
		score := func() float64 { return x.rdb.ZScore(t.Context(), "presence:{ann}", "x").Val() }
		first := score()
		testwait.Until(t, "a renewal", func() bool { return score() > first })
		if !y.looksElsewhere(t, "ann") {
			t.Error("the renewed lease does not say that somebody looks")
		}
		x.kill()
		testwait.Until(t, "the end of the lease", func() bool { return !y.looksElsewhere(t, "ann") })
	})
}
