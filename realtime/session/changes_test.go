package session_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// target returns the message of a frame that a user sent.
func target(f wire.ClientFrame, from string) chat.Target {
	return chat.Target{ID: f.ID, From: from, At: f.At}
}

// A change takes the path of a message: it waits for the ack of a device, is published then, and reported.
func TestChangeTravels(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, w, _ := in.Hello(t, alice, "")
		b, tablet := in.Join(t, bob), in.Dial(t, servertest.DialOptions{})
		tablet.HelloFrom(alice, "tablet", "")
		if !w.Changes {
			t.Error("the welcome does not offer changes")
		}
		m := servertest.Message(bob, "helo")
		edit := servertest.Change(bob, target(m, alice), chat.KindEdit, "hello")
		for _, f := range []wire.ClientFrame{m, edit, edit} {
			a.Send(f)
		}
		servertest.Until[wire.Sent](a)
		sent := servertest.Until[wire.Sent](a)
		if sent.ID != edit.ID || sent.AcceptedAt == 0 {
			t.Errorf("sent %+v", sent)
		}
		got, cursor := servertest.Event[wire.ChangeEvent](b, wire.EventChange)
		want := chat.Change{ID: edit.ID, Conversation: chat.ConversationID(alice, bob), From: alice, To: bob, At: edit.At,
			AcceptedAt: sent.AcceptedAt, Of: edit.Of, Kind: chat.KindEdit, Body: "hello"}
		if got.Change != want {
			t.Errorf("bob got %+v\nwant %+v", got.Change, want)
		}
		if other, _ := servertest.Event[wire.ChangeEvent](tablet, wire.EventChanged); other.Change != want {
			t.Errorf("alice's tablet got %+v", other.Change)
		}
		testwait.Advance(time.Hour / 2)
		if ids := rig.Published.Changes(t); len(ids) != 0 {
			t.Fatalf("saved before it was delivered: %v", ids)
		}
		b.Ack(cursor)
		d, _ := servertest.Event[wire.DeliveredEvent](a, wire.EventDelivered)
		if !slices.Equal(d.Messages, []wire.MessageRef{{ID: m.ID, At: m.At}}) ||
			!slices.Equal(d.Changes, []wire.MessageRef{{ID: edit.ID, At: edit.At}}) {
			t.Errorf("delivered %+v", d)
		}
		if ids := rig.Published.Changes(t); !slices.Equal(ids, []string{edit.ID}) {
			t.Errorf("published the changes %v", ids)
		}
		if ids := rig.Published.Messages(t); !slices.Equal(ids, []string{m.ID}) {
			t.Errorf("published the messages %v", ids)
		}
		// Alone, it leaves the list of messages empty. The recipient reacts in the same way.
		reaction := servertest.Change(alice, target(m, alice), chat.KindReact, "👍")
		b.Send(reaction)
		_, cursor = servertest.Event[wire.ChangeEvent](a, wire.EventChange)
		a.Ack(cursor)
		d, _ = servertest.Event[wire.DeliveredEvent](b, wire.EventDelivered)
		if d.Messages == nil || len(d.Messages) != 0 || len(d.Changes) != 1 || d.Changes[0].ID != reaction.ID {
			t.Errorf("delivered %+v", d)
		}
	})
}

// A change that nobody has acknowledged waits for a device that comes later, also on another instance.
func TestChangeWaits(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		m := servertest.Message(bob, "x")
		edit := servertest.Change(bob, target(m, alice), chat.KindDelete, "")
		a.Send(m)
		a.Send(edit)
		servertest.Until[wire.Sent](a)
		servertest.Until[wire.Sent](a)
		testwait.Advance(2 * time.Hour)
		_, _, events := rig.Start(nil).Hello(t, bob, "")
		if len(events) != 2 {
			t.Errorf("bob got %d events, want a message and a change", len(events))
		}
	})
}

// A deleted person has no socket (see TestGateChangesCloseOpenSockets), and persist drops what is still under way.
func TestChangesAreRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		m := servertest.Message(bob, "x")
		of := target(m, alice)
		theirs := chat.Target{ID: m.ID, From: bob, At: m.At}
		rig.Gates.Set("deletedUid0009", gate.Gate{})
		stranger := chat.Target{ID: m.ID, From: carol, At: m.At}
		for _, tt := range []struct {
			code string
			f    wire.ClientFrame
		}{
			{"change_forbidden", servertest.Change(bob, theirs, chat.KindEdit, "mine")},
			{"change_forbidden", servertest.Change(bob, theirs, chat.KindDelete, "")},
			{"change_invalid", servertest.Change(bob, stranger, chat.KindReact, "👍")},
			{"change_unknown", servertest.Change(bob, of, "pin", "")},
			{"emoji_invalid", servertest.Change(bob, of, chat.KindReact, strings.Repeat("👍", 200))},
			{"emoji_invalid", servertest.Change(bob, of, chat.KindReact, "👍👍")},
			{"emoji_invalid", servertest.Change(bob, of, chat.KindReact, "❤")}, // unqualified
			{"emoji_invalid", servertest.Change(bob, of, chat.KindReact, "ok")},
			{"body_empty", servertest.Change(bob, of, chat.KindEdit, " ")},
			{"body_too_long", servertest.Change(bob, of, chat.KindEdit, strings.Repeat("é", chat.MaxBody+1))},
			{"recipient_unknown", servertest.Change("nobody0000", of, chat.KindEdit, "x")},
			{"recipient_unknown", servertest.Change("deletedUid0009", of, chat.KindEdit, "x")},
		} {
			a.Send(tt.f)
			if e := a.Refused(tt.code); e.ID != tt.f.ID || e.RetryAfterMS != 0 {
				t.Errorf("%s: refused %+v", tt.code, e)
			}
		}
		early := servertest.Change(bob, of, chat.KindEdit, "y")
		early.At = of.At
		a.Send(early)
		a.Refused("change_too_early")

		// While it waits, its id has one content, also where the other is a message.
		edit := servertest.Change(bob, of, chat.KindEdit, "y")
		a.Send(edit)
		servertest.Until[wire.Sent](a)
		later, message := edit, servertest.Message(bob, "y")
		later.At++
		message.ID = edit.ID
		for _, f := range []wire.ClientFrame{later, message} {
			a.Send(f)
			a.Refused("id_reused")
		}
	})
}

// The server cannot see the archive, so it accepts these changes. The sum of changes decides about their effect.
func TestHarmlessChangesAreAccepted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		m := servertest.Message(bob, "never sent")
		wrongAt := target(m, alice)
		wrongAt.At -= 1000
		edit := servertest.Change(bob, target(m, alice), chat.KindEdit, "of no message")
		for _, f := range []wire.ClientFrame{edit, servertest.Change(bob, wrongAt, chat.KindEdit, "another time")} {
			a.Send(f)
			if sent := servertest.Until[wire.Sent](a); sent.ID != f.ID {
				t.Errorf("accepted %+v, want %s", sent, f.ID)
			}
			_, cursor := servertest.Event[wire.ChangeEvent](b, wire.EventChange)
			b.Ack(cursor)
			servertest.Event[wire.DeliveredEvent](a, wire.EventDelivered)
		}
		testwait.Advance(time.Minute) // Redis forgets a change after its receipt; then its id is free
		again := edit
		again.At, again.Body = edit.At+1, "other content"
		a.Send(again)
		if sent := servertest.Until[wire.Sent](a); sent.ID != again.ID {
			t.Errorf("accepted %+v", sent)
		}
		got, cursor := servertest.Event[wire.ChangeEvent](b, wire.EventChange)
		if got.ID != edit.ID || got.Body != "other content" {
			t.Errorf("bob got %+v", got)
		}
		b.Ack(cursor)
		servertest.Event[wire.DeliveredEvent](a, wire.EventDelivered)
		if ids := rig.Published.Changes(t); len(ids) != 3 {
			t.Errorf("published the changes %v, want all three for the archive", ids)
		}
	})
}

// A block stops changes in both directions.
func TestChangesAcrossABlock(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Gates.Set(bob, gate.Gate{Exists: true, Blocked: []string{alice}})
		a, b := in.Join(t, alice), in.Join(t, bob)
		m := servertest.Message(bob, "x")
		a.Send(servertest.Change(bob, target(m, alice), chat.KindEdit, "y"))
		a.Refused("recipient_unavailable")
		b.Send(servertest.Change(alice, target(m, alice), chat.KindReact, "👍"))
		b.Refused("recipient_unavailable")
	})
}

// One person reacts to one message a few times in a row. Other messages, edits and other people are not affected.
func TestFloodOfReactions(t *testing.T) {
	limits := func(d *server.Deps) { d.Limits.Reactions = session.Rate{PerSecond: 0.1, Burst: 3} }
	bubble(t, limits, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		m, other := servertest.Message(bob, "x"), servertest.Message(bob, "y")
		react := func(m wire.ClientFrame) {
			a.Send(servertest.Change(bob, target(m, alice), chat.KindReact, "👍"))
		}
		for range 3 {
			react(m)
			servertest.Until[wire.Sent](a)
		}
		react(m)
		if e := a.Refused("rate_limited"); e.RetryAfterMS <= 0 || e.ID == "" {
			t.Errorf("refused %+v", e)
		}
		react(other)
		servertest.Until[wire.Sent](a)
		a.Send(servertest.Change(bob, target(m, alice), chat.KindEdit, "z"))
		servertest.Until[wire.Sent](a)
		b.Send(servertest.Change(alice, target(m, alice), chat.KindReact, "👍"))
		servertest.Until[wire.Sent](b)
		testwait.Advance(10 * time.Second)
		react(m)
		servertest.Until[wire.Sent](a)
	})
}

// Changes count toward the limits on strangers, and fill the flow-control window.
func TestLimitsOfChanges(t *testing.T) {
	few := func(d *server.Deps) { d.Inboxes.Limits = inbox.Limits{StrangerMessages: 2} }
	bubble(t, few, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		m := servertest.Message(bob, "x")
		for _, f := range []wire.ClientFrame{m, servertest.Change(bob, target(m, alice), chat.KindEdit, "y")} {
			a.Send(f)
			servertest.Until[wire.Sent](a)
		}
		a.Send(servertest.Change(bob, target(m, alice), chat.KindEdit, "z"))
		a.Refused("answer_awaited")
	})
	many := func(d *server.Deps) { d.Inboxes.Limits = inbox.Generous() }
	bubble(t, many, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		m := servertest.Message(bob, "x")
		for range wire.MaxUnacked + 10 {
			a.Send(servertest.Change(bob, target(m, alice), chat.KindEdit, "y"))
			servertest.Until[wire.Sent](a)
		}
		b := in.Dial(t, servertest.DialOptions{})
		b.Send(wire.ClientFrame{Type: wire.TypeHello, Token: servertest.Token(bob, nil), Device: "d"})
		servertest.As[wire.Welcome](b)
		cursor := ""
		for range wire.MaxUnacked {
			cursor = servertest.As[wire.EventFrame](b).Cursor
		}
		b.Quiet(time.Minute)
		b.Ack(cursor)
		if events, _ := b.CaughtUp(); len(events) != 10 {
			t.Errorf("%d events after the ack, want 10", len(events))
		}
	})
}
