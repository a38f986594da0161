package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// A user who invents uids causes no more look-ups in the store than the budget, on all sockets together and with all
// frames that name a uid. The store is paid by the look-up.
func TestLookUpsOfUnknownUsersAreLimited(t *testing.T) {
	for name, frame := range map[string]func(uid string) wire.ClientFrame{
		"sends": func(uid string) wire.ClientFrame { return servertest.Message(uid, "x") },
		"typing": func(uid string) wire.ClientFrame {
			return wire.ClientFrame{Type: wire.TypeTyping, To: uid}
		},
		"read marks": func(uid string) wire.ClientFrame {
			return wire.ClientFrame{Type: wire.TypeRead, Conversation: chat.ConversationID(alice, uid),
				At: chat.MicrosOf(time.Now())}
		},
		"watch lists": func(uid string) wire.ClientFrame {
			return wire.ClientFrame{Type: wire.TypeWatch, Users: []string{uid}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
				first, second, b := in.Join(t, alice), in.Join(t, alice), in.Join(t, bob)
				asked := rig.Gates.Asked()
				for i := range 40 {
					first.Send(frame(fmt.Sprintf("nobodyUid%04d", 2*i)))
					second.Send(frame(fmt.Sprintf("nobodyUid%04d", 2*i+1)))
				}
				testwait.Advance(time.Second)
				if n := rig.Gates.Asked() - asked; n > 10 {
					t.Errorf("80 invented uids caused %d look-ups, want at most 10", n)
				}
				asked = rig.Gates.Asked()
				for i := range 120 { // slowly, so that no other limit matters
					first.Send(frame(fmt.Sprintf("nobodyUid%04d", 1000+i)))
					testwait.Advance(3 * time.Second)
				}
				if n := rig.Gates.Asked() - asked; n > 6*10+1 {
					t.Errorf("120 invented uids in 6 min caused %d look-ups, want at most 10 a minute", n)
				}
				bystander(t, b)
			})
		})
	}
}

// Beyond the budget, a send is refused for now, and a client that goes on is closed. People who exist can be written
// to.
func TestUnknownUsersBeyondTheBudget(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		a.Say(bob, "hello")
		for i := range 10 {
			a.Send(servertest.Message(fmt.Sprintf("nobodyUid%04d", i), "x"))
			a.Refused("recipient_unknown")
		}
		m := servertest.Message("nobodyUid0099", "x")
		a.Send(m)
		if e := a.Refused("rate_limited"); e.ID != m.ID || e.RetryAfterMS <= 0 || e.RetryAfterMS > 6000 {
			t.Errorf("%+v", e)
		}
		a.Say(bob, "still works")
		testwait.Advance(6 * time.Second)
		a.Send(m)
		a.Refused("recipient_unknown")
		for i := range 100 {
			a.Send(servertest.Message(fmt.Sprintf("nobodyUid%04d", 200+i), "x"))
		}
		wantError(t, a.Closed(websocket.ClosePolicyViolation), "rate_limited")
		next := in.Join(t, alice) // reconnecting does not reset the budget
		next.Send(servertest.Message("nobodyUid9999", "x"))
		next.Refused("rate_limited")
	})
}

// An honest outbox addressed to an account that was deleted is refused message by message, and costs one look-up.
func TestOutboxToADeletedAccountDrains(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		asked := rig.Gates.Asked()
		for range 100 {
			m := servertest.Message("nobodyUid0009", "x")
			a.Send(m)
			if e := a.Refused("recipient_unknown"); e.ID != m.ID || e.RetryAfterMS != 0 {
				t.Fatalf("%+v", e)
			}
		}
		if n := rig.Gates.Asked() - asked; n != 1 {
			t.Errorf("%d look-ups", n)
		}
	})
}

// A send that is refused before anything is looked up does not make the uid a known one.
func TestRefusedSendsTeachNothing(t *testing.T) {
	onePerson := func(d *server.Deps) { d.Inboxes.Limits.NewPeople = 1 }
	bubble(t, onePerson, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		a.Say(bob, "the only new person of today")
		asked := rig.Gates.Asked()
		for i := range 30 {
			uid := fmt.Sprintf("nobodyUid%04d", i)
			a.Send(servertest.Message(uid, "x"))
			if f := servertest.Until[wire.ErrorFrame](a); f.ID == "" {
				t.Errorf("%+v", f)
			}
			a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: uid})
			testwait.Advance(time.Second)
		}
		if n := rig.Gates.Asked() - asked; n > 10+30/6+1 {
			t.Errorf("30 invented uids in 30 s caused %d look-ups", n)
		}
	})
}

// A store that is down is not the fault of the user, and uses up no budget.
func TestFailedLookUpsAreNotCharged(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		rig.Gates.Down(true)
		for range 30 {
			a.Send(servertest.Message(bob, "x"))
			a.Refused("unavailable")
		}
		rig.Gates.Down(false)
		testwait.Advance(time.Second)
		a.Say(bob, "x")
	})
}

// mark sends a read mark of alice in her conversation with the other user.
func mark(s *servertest.Socket, other string) {
	s.Send(wire.ClientFrame{Type: wire.TypeRead, Conversation: chat.ConversationID(s.UID, other),
		At: chat.MicrosOf(time.Now())})
}

// Nobody can put an event into the inbox of a stranger, or make a conversation without a message, with a read mark.
func TestReadMarksToStrangersAreIgnored(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		mark(a, bob)
		a.Say(bob, "hello") // her own message does not change that
		servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		mark(a, bob)
		b.Quiet(20 * time.Second)
		if reads := rig.Published.Reads(t); len(reads) != 0 {
			t.Errorf("published %v", reads)
		}
		b.Say(alice, "answer")
		servertest.Event[wire.MessageEvent](a, wire.EventMessage)
		mark(a, bob)
		if e, _ := servertest.Event[wire.ReadEvent](b, wire.EventRead); e.By != alice {
			t.Errorf("%+v", e)
		}
	})
}

// Read marks beyond the rate wait. Nothing is refused as long as not too many wait.
func TestReadMarksAreLimited(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		const n = 80 // a burst of 20, and less than the 64 that may wait
		var friends []string
		for i := range n {
			uid := fmt.Sprintf("friendUid%04d", i)
			rig.Gates.Set(uid, gate.Gate{Exists: true})
			rig.Acquaint(alice, uid)
			s := in.Join(t, uid)
			s.Say(alice, "hello")
			s.Close()
			friends = append(friends, uid)
		}
		for i, uid := range friends {
			if i == 20 {
				testwait.Advance(time.Millisecond) // the burst is applied before others wait
			}
			mark(a, uid)
		}
		testwait.Advance(3 * time.Second)
		if got := len(rig.Published.Reads(t)); got < 20 || got > 24 {
			t.Errorf("%d read marks were published in 3 s, want a burst of 20, and 1 a second", got)
		}
		testwait.Advance(2 * time.Minute)
		if got := len(rig.Published.Reads(t)); got != n {
			t.Errorf("%d of %d read marks were published", got, n)
		}
		for {
			f, ok := a.Wait(0)
			if !ok {
				break
			}
			if e, refused := f.(wire.ErrorFrame); refused {
				t.Errorf("refused: %+v", e)
			}
		}
	})
}

// block makes the first user block the second, as the functions do.
func block(t *testing.T, rig *servertest.Rig, in *servertest.Instance, blocker string, blocked ...string) {
	t.Helper()
	g := gate.Gate{Exists: true, Blocked: blocked}
	rig.Gates.Set(blocker, g)
	if err := in.ChangeGate(context.Background(), blocker, g); err != nil {
		t.Fatal(err)
	}
	testwait.Advance(2 * time.Second)
}

// A block applies to every frame and in both directions. Neither side can tell it from somebody who may not be written
// to, and it ends when the block ends.
func TestBlockAppliesInBothDirections(t *testing.T) {
	for name, blocker := range map[string]string{"the sender is blocked": bob, "the sender has blocked": alice} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
				second := rig.Start(nil)
				a, b := in.Join(t, alice), second.Join(t, bob)
				drain := func(s *servertest.Socket) {
					for ok := true; ok; {
						_, ok = s.Wait(time.Second)
					}
				}
				a.Say(bob, "hello")
				servertest.Event[wire.MessageEvent](b, wire.EventMessage)
				b.Say(alice, "hello")
				servertest.Event[wire.MessageEvent](a, wire.EventMessage)
				a.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{bob}})
				if p := servertest.As[wire.Presence](a); !p.Online {
					t.Errorf("before the block: %+v", p)
				}
				drain(a)
				drain(b)
				block(t, rig, in, blocker, alice, bob)
				if p, ok := a.Wait(time.Second); !ok || p != (wire.Presence{User: bob}) {
					t.Errorf("presence after the block: %+v, want offline without a time", p)
				}

				m := servertest.Message(bob, "x")
				a.Send(m)
				if e := a.Refused("recipient_unavailable"); e.ID != m.ID || e.RetryAfterMS != 0 {
					t.Errorf("%+v", e)
				}
				a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: bob})
				mark(a, bob)
				b.Quiet(5 * time.Second)
				b.Close()
				second.Join(t, bob)
				a.Quiet(30 * time.Second) // neither a read event nor presence
				if reads := rig.Published.Reads(t); len(reads) != 0 {
					t.Errorf("published %v", reads)
				}

				b = in.Join(t, bob)
				block(t, rig, in, blocker)
				if p, ok := a.Wait(time.Second); !ok || p != (wire.Presence{User: bob, Online: true}) {
					t.Errorf("presence after the end of the block: %+v", p)
				}
				a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: bob})
				if f := servertest.As[wire.Typing](b); f.From != alice {
					t.Errorf("%+v", f)
				}
				mark(a, bob)
				servertest.Event[wire.ReadEvent](b, wire.EventRead)
				a.Say(bob, "again")
			})
		})
	}
}

// A user learns the presence of a limited number of people in an hour, on all sockets of the instance. The client is
// told once. What it watched before is still reported.
func TestWatchedPeopleAreLimited(t *testing.T) {
	change := func(d *server.Deps) { d.Watched = 60 }
	bubble(t, change, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		list := func(from, n int) wire.ClientFrame {
			f := wire.ClientFrame{Type: wire.TypeWatch}
			for i := range n {
				f.Users = append(f.Users, fmt.Sprintf("personUid%04d", from+i))
			}
			return f
		}
		// watch returns the number of people whose presence is reported, and of errors.
		watch := func(s *servertest.Socket, f wire.ClientFrame) (people, errors int) {
			s.Send(f)
			for {
				switch got, ok := s.Wait(5 * time.Second); got := got.(type) {
				case wire.Presence:
					people++
				case wire.ErrorFrame:
					if got.Code != "rate_limited" || got.ID != "" || got.RetryAfterMS <= 0 {
						t.Errorf("%+v", got)
					}
					errors++
				default:
					if !ok {
						return people, errors
					}
				}
			}
		}
		check := func(what string, people, errors, wantPeople, wantErrors int) {
			t.Helper()
			if people != wantPeople || errors != wantErrors {
				t.Errorf("%s: %d people, %d errors; want %d and %d", what, people, errors, wantPeople, wantErrors)
			}
		}
		a := in.Join(t, alice)
		people, errs := watch(a, list(0, 40))
		check("first list", people, errs, 40, 0)
		people, errs = watch(a, list(40, 40))
		check("second list", people, errs, 20, 1)
		people, errs = watch(a, list(80, 40))
		check("third list", people, errs, 0, 0)
		people, errs = watch(a, list(0, 40))
		check("the first list again", people, errs, 40, 0)
		a.Close()
		a = in.Join(t, alice) // reconnecting does not reset the budget
		people, errs = watch(a, list(300, 40))
		check("another socket", people, errs, 0, 1)
		people, errs = watch(in.Join(t, bob), list(300, 40))
		check("somebody else", people, errs, 40, 0)
		testwait.Advance(time.Hour)
		a = in.Join(t, alice)
		people, errs = watch(a, list(300, 40))
		check("an hour later", people, errs, 40, 0)
	})
}

// The time at which somebody was last seen is reported in whole minutes.
func TestLastSeenIsCoarse(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		b := in.Join(t, bob)
		testwait.Advance(17*time.Minute + 42*time.Second)
		b.Close()
		testwait.Advance(time.Minute)
		a := in.Join(t, alice)
		a.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{bob}})
		seen := servertest.As[wire.Presence](a).LastSeen.Time()
		if age := time.Since(seen); seen.Second() != 0 || seen.Nanosecond() != 0 || age < 0 || age > 3*time.Minute {
			t.Errorf("last seen at %v, now %v", seen, time.Now())
		}
	})
}

// The log of a socket has the address of the client, not that of the front end.
func TestSocketsAreLoggedWithTheClientsAddress(t *testing.T) {
	var log logBuffer
	change := func(d *server.Deps) { d.Log, d.Proxies = log.logger(), 1 }
	bubble(t, change, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		s := in.Dial(t, servertest.DialOptions{From: "203.0.113.7"})
		s.Send(hello(servertest.Token(alice, nil), ""))
		servertest.Until[wire.CaughtUp](s)
		s = in.Dial(t, servertest.DialOptions{From: "2001:db8::7"})
		s.Send(hello("sesame", ""))
		wantError(t, s.Closed(websocket.ClosePolicyViolation), "unauthenticated")
		in.TryDial(t, servertest.DialOptions{From: "198.51.100.7", Origin: "https://evil.example.org"})
		testwait.Advance(10 * time.Second)
		for _, want := range []string{
			`msg="socket opened" instance=`, `remote=203.0.113.7 uid=aliceUid0001 device=d1`,
			`remote=2001:db8::7 code=unauthenticated`, `remote=198.51.100.7 status=403 code=origin_refused`,
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not contain %q:\n%s", want, log.String())
			}
		}
	})
}

// A user whom an admin has forbidden new contacts can write only to people they have chatted with, until the time is
// over. The refusal is final.
func TestForbiddenContacts(t *testing.T) {
	const dave = "daveUid00001"
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Gates.Set(dave, gate.Gate{Exists: true})
		rig.Gates.Set(alice, gate.Gate{Exists: true, LimitedUntil: time.Now().Add(time.Hour)})
		a, c := in.Join(t, alice), in.Join(t, carol)
		c.Say(alice, "carol has written first")
		for range 2 {
			m := servertest.Message(dave, "x")
			a.Send(m)
			if e := a.Refused("contacts_forbidden"); e.ID != m.ID || e.RetryAfterMS != 0 {
				t.Errorf("%+v", e)
			}
		}
		a.Say(carol, "an answer")
		bystander(t, c)
		testwait.Advance(time.Hour)
		in.Join(t, alice).Say(dave, "the time is over")
	})
}

// A user whose address is not confirmed writes to 3 new people a day, and to 20 once it is, on the same socket. The
// welcome has the limit that applies.
func TestUnverifiedWritesToFewNewPeople(t *testing.T) {
	defaults := func(d *server.Deps) { d.Inboxes.Limits.NewPeople, d.Inboxes.Limits.NewPeopleUnverified = 0, 0 }
	bubble(t, defaults, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		stranger := func(i int) string { return fmt.Sprintf("newUid%06d", i) }
		for i := range 30 {
			rig.Gates.Set(stranger(i), gate.Gate{Exists: true})
		}
		rig.Gates.Set(alice, gate.Gate{Exists: true, Unverified: true})
		a, welcome, _ := in.Hello(t, alice, "")
		if n := welcome.Limits.NewPeople; n != 3 {
			t.Errorf("the welcome announces %d new people, want 3", n)
		}
		in.Join(t, carol).Say(alice, "carol has written first")
		n := 0
		reach := func(most int) {
			t.Helper()
			for ; n < most; n++ {
				a.Say(stranger(n), "hello")
				testwait.Advance(time.Second)
			}
			a.Send(servertest.Message(stranger(n), "one too many"))
			if e := a.Refused("too_many_new_people"); e.RetryAfterMS == 0 {
				t.Errorf("%+v", e)
			}
		}
		reach(3)
		a.Say(carol, "an answer")
		rig.Gates.Set(alice, gate.Gate{Exists: true})
		if err := in.ChangeGate(t.Context(), alice, gate.Gate{Exists: true}); err != nil {
			t.Fatal(err)
		}
		testwait.Advance(2 * time.Second)
		reach(20)
		if _, welcome, _ := in.Hello(t, alice, ""); welcome.Limits.NewPeople != 20 {
			t.Errorf("then the welcome announces %d new people, want 20", welcome.Limits.NewPeople)
		}
	})
}
