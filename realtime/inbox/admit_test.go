package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// The script decides as Gate.Admit does, for every gate and sign-in. If it refuses, it writes nothing.
func TestAttachAdmitsAsTheGateDoes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := openGated(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "waits")
		dump := func() string {
			t.Helper()
			all := s.rdb.HGetAll(t.Context(), "meta:{ben}").Val()
			return fmt.Sprint(all, s.rdb.HGetAll(t.Context(), "devices:{ben}").Val(), s.retained(t, "ben"), s.records(t, "ben"))
		}
		r := rand.New(rand.NewPCG(7, 7))
		second := func() time.Time { return time.Unix(1_790_000_000+r.Int64N(4), 0).UTC() }
		gates := gate.New(s.rdb, nil, gate.Options{Subscriber: s.subscriber})
		seen := map[bool]int{}
		for i := range 40 {
			g := gate.Gate{Exists: r.IntN(6) > 0, Disabled: r.IntN(6) == 0, Blocked: []string{"cat"},
				Push: r.IntN(2) == 0, Unverified: r.IntN(2) == 0,
				Privacy: chat.Privacy{LastSeen: chat.Audience(r.IntN(3)), NoReceipts: r.IntN(2) == 0,
					OnlyKnown: r.IntN(2) == 0}}
			if r.IntN(2) == 0 {
				g.LimitedUntil = second()
			}
			if r.IntN(2) == 0 {
				g.ValidAfter = second().Add(time.Duration(r.IntN(2)) * 999_999 * time.Microsecond)
			}
			for range r.IntN(3) {
				g.Ended = append(g.Ended, second())
			}
			if err := gates.Changed(t.Context(), "ben", g); err != nil {
				t.Fatal(err)
			}
			authTime, before := second(), dump()
			a, err := s.AttachAdmitted(t.Context(), "ben", fmt.Sprintf("device%d", i), "", authTime, 10)
			if err != nil {
				t.Fatal(err)
			}
			want := g.Admit(authTime)
			if a.Admitted != (want == nil) {
				t.Errorf("%+v admits %v: %v, but the script says %v", g, authTime.Unix(), want, a.Admitted)
			}
			kept, err := gates.Keep("ben", a.Gate, gates.Changes())
			if err != nil || kept.Exists != g.Exists || kept.Disabled != g.Disabled || !kept.ValidAfter.Equal(g.ValidAfter) ||
				!slices.EqualFunc(kept.Ended, g.Ended, time.Time.Equal) || !slices.Equal(kept.Blocked, g.Blocked) ||
				kept.Push != g.Push || !kept.LimitedUntil.Equal(g.LimitedUntil) || kept.Privacy != g.Privacy ||
				kept.Unverified != g.Unverified {
				t.Errorf("the script returned the gate %+v, %v; want %+v", kept, err, g)
			}
			seen[a.Admitted]++
			if a.Admitted && (len(a.First.Events) != 1 || a.Epoch == "") {
				t.Errorf("admitted: %+v", a)
			}
			if after := dump(); !a.Admitted && after != before {
				t.Errorf("refused, but it changed\n%s\nto\n%s", before, after)
			}
		}
		if seen[true] < 5 || seen[false] < 5 {
			t.Errorf("admitted or refused too seldom: %v", seen)
		}
	})
}

// fillFunc is an inbox.Gates.
type fillFunc func(uid string)

func (f fillFunc) Fill(_ context.Context, uid string) error {
	f(uid)
	return nil
}

// A gate that Redis does not have is filled. One that Redis does not keep is an error, and not an admission.
func TestAttachFillsTheGate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		filled := 0
		var s *setup
		gates := fillFunc(func(uid string) {
			if filled++; filled == 1 {
				s.gate(t, uid, "1", "0")
			}
		})
		s = open(t, b, inbox.Options{Gates: gates})
		a, err := s.AttachAdmitted(t.Context(), "ben", "phone", "", time.Now(), 10)
		if err != nil || !a.Admitted || filled != 1 {
			t.Errorf("%+v, %v, filled %d times", a, err, filled)
		}
		s.rdb.Del(t.Context(), "gate:{ben}")
		a, err = s.AttachAdmitted(t.Context(), "ben", "phone", "", time.Now(), 10)
		if !errors.Is(err, problem.ErrUnavailable) || a.Admitted {
			t.Errorf("a gate that is not kept: %+v, %v", a, err)
		}
	})
}
