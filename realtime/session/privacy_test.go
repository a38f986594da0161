package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// choosePrivacy changes the privacy of a user, as the functions do, and waits until it applies.
func choosePrivacy(t *testing.T, rig *servertest.Rig, in *servertest.Instance, uid string, p chat.Privacy) {
	t.Helper()
	g := gate.Gate{Exists: true, Privacy: p}
	rig.Gates.Set(uid, g)
	if err := in.ChangeGate(context.Background(), uid, g); err != nil {
		t.Fatal(err)
	}
	testwait.Advance(5 * time.Second)
}

// frames is what one person notices of what another one does.
type frames struct {
	online, offline, typing, read bool
	refused                       string // code of the refusal of a message
}

// noticed reads what has arrived at a socket.
func noticed(t *testing.T, s *servertest.Socket, of string) (got frames) {
	t.Helper()
	for {
		f, _, ok := s.TryNext()
		if !ok {
			return got
		}
		switch f := f.(type) {
		case wire.Typing:
			got.typing = got.typing || f.From == of
		case wire.Presence:
			got.online = got.online || f.User == of && f.Online
			got.offline = got.offline || f.User == of && !f.Online
		case wire.ErrorFrame:
			got.refused = f.Code
		case wire.EventFrame:
			for _, r := range readEvents(t, []wire.EventFrame{f}) {
				got.read = got.read || r.By == of
			}
		}
	}
}

// Each choice of bob about his privacy applies on both instances and on open sockets, to every frame, and to nobody
// else. alice and bob have written to each other, bob has written to carol, and alice watches him. So does dave, a
// stranger.
func TestPrivacy(t *testing.T) {
	const dave = "daveUid00001"
	everything := frames{online: true, offline: true, typing: true, read: true}
	toStranger := frames{online: true, offline: true}
	for name, c := range map[string]struct {
		bob, alice          chat.Privacy
		toAlice, toDave     frames
		toBob               frames // of alice
		hidden, daveIsShown bool   // what alice and dave see in the end
	}{
		"everything": {toAlice: everything, toDave: toStranger, toBob: everything, daveIsShown: true},
		"presence for chats": {bob: chat.Privacy{LastSeen: chat.Chats}, toAlice: everything, toDave: frames{},
			toBob: everything},
		"presence for nobody": {bob: chat.Privacy{LastSeen: chat.Nobody}, toAlice: frames{read: true}, toDave: frames{},
			toBob: everything, hidden: true},
		"no receipts": {bob: chat.Privacy{NoReceipts: true}, toAlice: frames{online: true, offline: true, typing: true},
			toDave: toStranger, toBob: frames{online: true, offline: true, typing: true}, daveIsShown: true},
		"alice wants no receipts": {alice: chat.Privacy{NoReceipts: true},
			toAlice: frames{online: true, offline: true, typing: true}, toDave: toStranger,
			toBob: frames{online: true, offline: true, typing: true}, daveIsShown: true},
		"known writers": {bob: chat.Privacy{OnlyKnown: true}, toAlice: everything,
			toDave: frames{online: true, offline: true, refused: "writers_limited"}, toBob: everything, daveIsShown: true},
		"by the username": {bob: chat.Privacy{ByUsername: true}, toAlice: everything, toDave: toStranger, toBob: everything,
			daveIsShown: true},
		"all of it": {bob: chat.Privacy{LastSeen: chat.Nobody, NoReceipts: true, OnlyKnown: true, ByUsername: true},
			toAlice: frames{}, toDave: frames{refused: "writers_limited"},
			toBob: frames{online: true, offline: true, typing: true}, hidden: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
				second := rig.Start(nil)
				rig.Gates.Set(dave, gate.Gate{Exists: true})
				rig.Acquaint(alice, bob)
				rig.Acquaint(carol, bob)
				a, b, d := in.Join(t, alice), second.Join(t, bob), in.Join(t, dave)
				for _, s := range []*servertest.Socket{a, d} {
					s.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{bob}})
					if p := servertest.As[wire.Presence](s); !p.Online {
						t.Fatalf("before the choice: %+v", p)
					}
				}
				b.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{alice}})
				a.Say(bob, "hello")
				b.Say(alice, "hello")
				testwait.Advance(5 * time.Second)
				choosePrivacy(t, rig, in, bob, c.bob)
				choosePrivacy(t, rig, second, alice, c.alice)
				if p := noticed(t, a, bob); p.offline != c.hidden {
					t.Errorf("after the choice, alice sees bob: %+v", p)
				}
				if p := noticed(t, d, bob); p.offline == c.daveIsShown {
					t.Errorf("after the choice, dave sees bob: %+v", p)
				}
				noticed(t, b, alice)

				// Both do everything, and then they leave and come back.
				a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: bob})
				b.Send(wire.ClientFrame{Type: wire.TypeTyping, To: alice})
				b.Send(wire.ClientFrame{Type: wire.TypeTyping, To: dave})
				mark(a, bob)
				mark(b, alice)
				testwait.Advance(5 * time.Second)
				toBob := noticed(t, b, alice)
				b.Close()
				testwait.Advance(10 * time.Second)
				b = second.Join(t, bob)
				testwait.Advance(5 * time.Second)
				d.Send(servertest.Message(bob, "from a stranger"))
				testwait.Advance(time.Second)
				toAlice, toDave := noticed(t, a, bob), noticed(t, d, bob)
				if toAlice != c.toAlice || toDave != c.toDave {
					t.Errorf("alice noticed %+v, want %+v; dave noticed %+v, want %+v", toAlice, c.toAlice, toDave, c.toDave)
				}
				b.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{alice}})
				testwait.Advance(time.Second)
				noticed(t, b, alice)
				a.Close()
				testwait.Advance(10 * time.Second)
				a = in.Join(t, alice)
				testwait.Advance(5 * time.Second)
				again := noticed(t, b, alice)
				toBob.online, toBob.offline = again.online, again.offline
				if toBob != c.toBob {
					t.Errorf("bob noticed %+v of alice, want %+v", toBob, c.toBob)
				}
				// The marks are saved, and the readers' own devices have them.
				if reads := rig.Published.Reads(t); len(reads) != 2 {
					t.Errorf("%d marks were saved, want 2", len(reads))
				}
				for uid, in := range map[string]*servertest.Instance{alice: second, bob: in} {
					other, _, events := in.Hello(t, uid, "")
					own := 0
					for _, r := range readEvents(t, events) {
						if r.By == uid {
							own++
						}
					}
					if own != 1 {
						t.Errorf("another device of %s got %d of their marks", uid, own)
					}
					other.Close()
				}
				a.Say(bob, "a friend may write")

				// The choice ends on open sockets, too.
				a.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{bob}})
				testwait.Advance(time.Second)
				noticed(t, a, bob)
				choosePrivacy(t, rig, second, bob, chat.Privacy{})
				if p := noticed(t, a, bob); p.online != c.hidden {
					t.Errorf("after the end of the choice, alice sees bob: %+v", p)
				}
			})
		})
	}
}

// A person who is answered by somebody who shows their presence only to such people sees it at once.
func TestPresenceForChatsBeginsWithTheAnswer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		choosePrivacy(t, rig, in, bob, chat.Privacy{LastSeen: chat.Chats})
		a, c, b := in.Join(t, alice), in.Join(t, carol), second.Join(t, bob)
		for _, s := range []*servertest.Socket{a, c} {
			s.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{bob}})
			if p := servertest.As[wire.Presence](s); p != (wire.Presence{User: bob}) {
				t.Errorf("a stranger sees %+v", p)
			}
		}
		a.Say(bob, "hello")
		testwait.Advance(3 * time.Second)
		if p := noticed(t, a, bob); p.online {
			t.Error("a request shows the presence")
		}
		b.Say(alice, "hello to you")
		b.Say(carol, "bob writes first")
		testwait.Advance(3 * time.Second)
		for uid, s := range map[string]*servertest.Socket{alice: a, carol: c} {
			if p := noticed(t, s, bob); !p.online {
				t.Errorf("%s does not see who has written to them", uid)
			}
		}
	})
}

// downWriters is an inbox.Archive that fails until it is repaired.
type downWriters struct {
	savedWriters
	down bool
}

func (d *downWriters) Writers(ctx context.Context, conversation string) ([]string, error) {
	if d.down {
		return nil, problem.ErrUnavailable
	}
	return d.savedWriters.Writers(ctx, conversation)
}

// A message to somebody who wants only those of people they know is refused for good, unless the sender is known: to
// Redis, or to the archive after a loss of Redis. Changes are refused, too. While nobody knows, the refusal is only for
// now, since a client would give up.
func TestOnlyKnownWriters(t *testing.T) {
	archive := &downWriters{}
	change := func(d *server.Deps) { d.Inboxes.Archive = archive }
	bubble(t, change, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		choosePrivacy(t, rig, in, bob, chat.Privacy{OnlyKnown: true})
		a := in.Join(t, alice)
		for range 2 {
			m := servertest.Message(bob, "x")
			a.Send(m)
			if e := a.Refused("writers_limited"); e.ID != m.ID || e.RetryAfterMS != 0 {
				t.Errorf("%+v", e)
			}
		}
		of := servertest.Message(bob, "never sent")
		a.Send(servertest.Change(bob, chat.Target{ID: of.ID, From: alice, At: of.At}, chat.KindReact, "👍"))
		a.Refused("writers_limited")
		for _, key := range []string{"inbox:{" + bob + "}", "reach:{" + alice + "}"} {
			if rig.Mini.Exists(key) {
				t.Errorf("a refused message left %s", key)
			}
		}
		testwait.Advance(61 * time.Second)
		archive.set(alice, bob, alice, bob)
		a.Say(bob, "the archive knows that bob has answered")
		rig.Mini.FlushAll()
		testwait.Advance(61 * time.Second)
		a.Close()
		a = in.Join(t, alice)
		archive.down = true
		a.Send(servertest.Message(bob, "while the archive is down"))
		if e := a.Refused("unavailable"); e.RetryAfterMS == 0 {
			t.Errorf("%+v", e)
		}
		archive.down = false
		a.Say(bob, "when it is back")
	})
}

var _ inbox.Archive = (*downWriters)(nil)
