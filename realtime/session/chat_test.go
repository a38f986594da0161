package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

func TestTwoUsersChat(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b, tablet := in.Join(t, alice), in.Join(t, bob), in.Join(t, alice)
		m := servertest.Message(bob, "Are you there?\n\tשלום \u202bx\u202c <b>")
		a.Send(m)
		sent := servertest.Until[wire.Sent](a)
		if sent.ID != m.ID || sent.AcceptedAt == 0 {
			t.Errorf("sent %+v", sent)
		}
		got, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		want := chat.Message{ID: m.ID, Conversation: chat.ConversationID(alice, bob),
			From: alice, To: bob, Body: m.Body, At: m.At, AcceptedAt: sent.AcceptedAt}
		if got.Message != want {
			t.Errorf("bob got %+v\nwant %+v", got.Message, want)
		}
		if other, _ := servertest.Event[wire.MessageEvent](tablet, wire.EventSent); other.Message != want {
			t.Errorf("alice's tablet got %+v", other.Message)
		}

		// Not saved before the ack, no matter how long that takes.
		testwait.Advance(time.Hour / 2)
		if ids := rig.Published.Messages(t); len(ids) != 0 {
			t.Fatalf("saved before it was delivered: %v", ids)
		}
		b.Ack(cursor)
		d, _ := servertest.Event[wire.DeliveredEvent](a, wire.EventDelivered)
		if d.Conversation != want.Conversation || len(d.Messages) != 1 ||
			d.Messages[0] != (wire.MessageRef{ID: m.ID, At: m.At}) {
			t.Errorf("delivered %+v", d)
		}
		if ids := rig.Published.Messages(t); !slices.Equal(ids, []string{m.ID}) {
			t.Errorf("published %v when the sender received delivered", ids)
		}
		servertest.Event[wire.DeliveredEvent](tablet, wire.EventDelivered)
	})
}

func TestChatAcrossTwoInstances(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		rig.Acquaint(alice, bob)
		a, b := in.Join(t, alice), second.Join(t, bob)
		for i := range 20 {
			id := a.Say(bob, fmt.Sprint(i))
			got, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
			if got.ID != id {
				t.Fatalf("bob got %s, want %s", got.ID, id)
			}
			b.Ack(cursor)
			if d, _ := servertest.Event[wire.DeliveredEvent](a, wire.EventDelivered); d.Messages[0].ID != id {
				t.Fatalf("delivered %+v, want %s", d, id)
			}
		}
		b.Send(wire.ClientFrame{Type: wire.TypeTyping, To: alice})
		for {
			if f, ok := a.Next().(wire.Typing); ok {
				if f.From != bob {
					t.Errorf("typing %+v", f)
				}
				break
			}
		}
	})
}

// Each device of a user is sent each message, on any instance: live, and from the stream if it connects later.
func TestEveryDeviceIsSentMessages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		second := rig.Start(nil)
		a := in.Join(t, alice)
		devices := []*servertest.Socket{in.Join(t, bob), second.Join(t, bob), in.Join(t, bob), second.Join(t, bob)}
		var ids []string
		for i := range 3 {
			ids = append(ids, a.Say(bob, fmt.Sprint(i)))
			began := time.Now()
			for n, b := range devices {
				got, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
				// The comparison with the newest event, every 30 s, would also bring it.
				if took := time.Since(began); got.ID != ids[i] || took > time.Second {
					t.Fatalf("device %d got %s after %v, want %s", n, got.ID, took, ids[i])
				}
			}
		}
		for _, instance := range []*servertest.Instance{in, second} {
			if _, _, events := instance.Hello(t, bob, ""); len(events) != len(ids) {
				t.Errorf("a device that connects later got %d events, want %d", len(events), len(ids))
			}
		}
	})
}

// A message waits in Redis for a recipient who is offline, and a device resumes after what it has stored.
func TestMessageWaitsAndDeviceResumes(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		var ids []string
		for i := range 5 {
			ids = append(ids, a.Say(bob, fmt.Sprint(i)))
		}
		testwait.Advance(3 * 24 * time.Hour / 100)
		b, w, events := in.Hello(t, bob, "")
		if w.Resumed || len(events) != 5 {
			t.Fatalf("resumed %v, %d events", w.Resumed, len(events))
		}
		stored := events[2].Cursor
		b.Break() // before any ack

		b, w, events = in.Hello(t, bob, stored)
		if !w.Resumed || len(events) != 2 {
			t.Fatalf("resumed %v, %d events; want the two that are not stored", w.Resumed, len(events))
		}
		// The hello acknowledged the first three.
		testwait.Advance(5 * time.Second)
		if got := rig.Published.Messages(t); !slices.Equal(got, ids[:3]) {
			t.Errorf("published %v, want %v", got, ids[:3])
		}
		b.Ack(events[1].Cursor)
		b.Close()
		testwait.Advance(5 * time.Second)
		if got := rig.Published.Messages(t); !slices.Equal(got, ids) {
			t.Errorf("published %v, want %v", got, ids)
		}
	})
}

func TestInvalidMessagesAreRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		rig.Gates.Set(carol, gate.Gate{Exists: true, Blocked: []string{alice}})
		rig.Gates.Set("disabledUid01", gate.Gate{Exists: true, Disabled: true})
		for name, tc := range map[string]struct {
			change func(*wire.ClientFrame)
			code   string
			retry  bool // the client may try again
		}{
			"to oneself":           {func(f *wire.ClientFrame) { f.To = alice }, "recipient_self", false},
			"to an unknown user":   {func(f *wire.ClientFrame) { f.To = "nobodyUid0009" }, "recipient_unknown", false},
			"to a disabled user":   {func(f *wire.ClientFrame) { f.To = "disabledUid01" }, "recipient_unavailable", false},
			"to an invalid uid":    {func(f *wire.ClientFrame) { f.To = "a/b" }, "recipient_invalid", false},
			"to a user who blocks": {func(f *wire.ClientFrame) { f.To = carol }, "recipient_unavailable", false},
			"empty":                {func(f *wire.ClientFrame) { f.Body = "" }, "body_empty", false},
			"only white space":     {func(f *wire.ClientFrame) { f.Body = " \n\t " }, "body_empty", false},
			"one past the limit": {func(f *wire.ClientFrame) {
				f.Body = strings.Repeat("é", chat.MaxBody+1)
			}, "body_too_long", false},
			"control character": {func(f *wire.ClientFrame) { f.Body = "a\u0000b" }, "body_invalid", false},
			"escape character":  {func(f *wire.ClientFrame) { f.Body = "a\u001b[31m" }, "body_invalid", false},
			"invalid id":        {func(f *wire.ClientFrame) { f.ID = "1" }, "id_invalid", false},
			"invalid reply":     {func(f *wire.ClientFrame) { f.ReplyTo = "1" }, "reply_invalid", false},
			"stranger's reply":  {func(f *wire.ClientFrame) { f.ReplyTo = chat.KeyOf(f.ID, "eve") }, "reply_invalid", false},
			"too far ahead": {func(f *wire.ClientFrame) {
				f.At += chat.Micros(chat.MaxAhead.Microseconds() + 1e6)
			}, "at_ahead", true},
			"too old": {func(f *wire.ClientFrame) {
				f.At -= chat.Micros(chat.MaxAge.Microseconds() + 1e6)
			}, "at_too_old", false},
		} {
			m := servertest.Message(bob, "x")
			tc.change(&m)
			a.Send(m)
			e := a.Refused(tc.code)
			if e.ID != m.ID || (e.RetryAfterMS > 0) != tc.retry || e.Message == "" {
				t.Errorf("%s: %+v", name, e)
			}
		}
		// The error for a malformed send frame has its id, too. Otherwise the client would send it again on every socket.
		a.Text(`{"type":"send","id":"m-1","to":7,"at":1}`)
		if e := a.Refused("bad_frame"); e.ID != "m-1" || e.RetryAfterMS != 0 {
			t.Errorf("malformed send: %+v", e)
		}
		b.Quiet(time.Minute / 2)
		for _, body := range []string{
			strings.Repeat("é", chat.MaxBody), strings.Repeat("👋", chat.MaxBody), "\u202eabc\u202c", "a\r\n\tb",
			"\u00a0.\u00a0",
		} {
			a.Say(bob, body)
			if got, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage); got.Body != body {
				t.Errorf("a body of %d bytes arrived with %d", len(body), len(got.Body))
			}
		}
	})
}

func TestRepeatedSendIsIdempotent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		m := servertest.Message(bob, "once")
		a.Send(m)
		first := servertest.Until[wire.Sent](a)
		testwait.Advance(time.Second)
		a.Send(m)
		second := servertest.Until[wire.Sent](a)
		if second != first {
			t.Errorf("the repeated send is answered %+v, the first %+v", second, first)
		}
		changed := m
		changed.Body = "twice"
		a.Send(changed)
		if e := a.Refused("id_reused"); e.ID != m.ID || e.RetryAfterMS != 0 {
			t.Errorf("the same id with another body: %+v", e)
		}
		if got, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage); got.Body != "once" {
			t.Errorf("bob got %q", got.Body)
		}
		b.Quiet(20 * time.Second)
	})
}

func TestSendsOfASocketKeepTheirOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		var want []string
		for i := range 60 { // without waiting for replies
			m := servertest.Message(bob, fmt.Sprint(i))
			want = append(want, m.ID)
			a.Send(m)
		}
		var got []string
		for range want {
			e, _ := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
			got = append(got, e.ID)
		}
		if !slices.Equal(got, want) {
			t.Error("the messages arrived in a different order")
		}
	})
}

func TestBadFramesAfterHello(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		close int
		code  string
	}{
		"not JSON":           {"x", 1008, "bad_frame"},
		"invalid UTF-8":      {`{"type":"send","id":"m","to":"bob","at":1,"body":"` + "\xff" + `"}`, 1008, "bad_frame"},
		"no type":            {"{}", 1008, "bad_frame"},
		"ack without cursor": {`{"type":"ack"}`, 1008, "bad_frame"},
		"too large":          {strings.Repeat(" ", chat.MaxFrameSize+1), 1009, "frame_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
				a, b := in.Join(t, alice), in.Join(t, bob)
				a.Text(tc.text)
				wantError(t, a.Closed(tc.close), tc.code)
				b.Send(wire.ClientFrame{Type: wire.TypePing})
				servertest.As[wire.Pong](b)
			})
		})
	}
}

func TestUnknownFramesAreIgnored(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		a.Text(`{"type":"react","emoji":"👍"}`)
		a.Text(`{"type":"ping","later":[1,{"deep":true}]}`)
		servertest.As[wire.Pong](a)
	})
}

func TestReadMarksOfOtherConversationsAreRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		now := chat.MicrosOf(time.Now())
		for conversation, code := range map[string]string{
			chat.ConversationID(bob, carol): "forbidden",
			"everything":                    "conversation_invalid",
			bob + "~" + alice:               "conversation_invalid",
		} {
			a.Send(wire.ClientFrame{Type: wire.TypeRead, Conversation: conversation, At: now})
			a.Refused(code)
		}
		a.Send(wire.ClientFrame{Type: wire.TypeRead, Conversation: chat.ConversationID(alice, bob), At: now + 60e6})
		a.Refused("at_ahead")
		a.Send(wire.ClientFrame{Type: wire.TypeRead, Conversation: chat.ConversationID(alice, "nobodyUid0009"), At: now})
		b.Quiet(20 * time.Second)
		if reads := rig.Published.Reads(t); len(reads) != 0 {
			t.Errorf("published %v", reads)
		}
	})
}

func TestReadMarks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Acquaint(alice, bob)
		a, b := in.Join(t, alice), in.Join(t, bob)
		a.Say(bob, "x")
		m, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		b.Ack(cursor)
		b.Send(wire.ClientFrame{Type: wire.TypeRead, Conversation: m.Conversation, At: m.At})
		for _, s := range []*servertest.Socket{a, b} {
			e, _ := servertest.Event[wire.ReadEvent](s, wire.EventRead)
			if e.By != bob || e.At != m.At || e.Conversation != m.Conversation {
				t.Errorf("%s got %+v", s.UID, e)
			}
		}
		if reads := rig.Published.Reads(t); len(reads) != 1 || reads[0].By != bob {
			t.Errorf("published %v", reads)
		}
	})
}

func TestTyping(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		rig.Acquaint(alice, bob, carol)
		a, b, c := in.Join(t, alice), in.Join(t, bob), in.Join(t, carol)
		a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: bob})
		if got := servertest.As[wire.Typing](b); got.From != alice {
			t.Errorf("got %+v", got)
		}
		rig.Gates.Set(carol, gate.Gate{Exists: true, Blocked: []string{alice}})
		testwait.Advance(25 * time.Hour / 100)
		for range 100 { // hints above the rate limit are dropped without an error
			a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: bob})
		}
		testwait.Advance(time.Second)
		received := 0
		for ; ; received++ {
			if _, ok := b.Wait(time.Second); !ok {
				break
			}
		}
		if received < 5 || received > 10 {
			t.Errorf("%d of 100 typing frames sent at once arrived, want 5 to 10", received)
		}
		a.Quiet(10 * time.Second)
		a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: alice})
		a.Send(wire.ClientFrame{Type: wire.TypeTyping, To: "nobodyUid0009"})
		a.Quiet(time.Second)
		c.Quiet(time.Second)
	})
}

func TestPresence(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		a.Send(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{bob}})
		if got := servertest.As[wire.Presence](a); got.User != bob || got.Online {
			t.Errorf("before bob connects: %+v", got)
		}
		b := in.Join(t, bob)
		if got := servertest.As[wire.Presence](a); got.User != bob || !got.Online {
			t.Errorf("when bob connects: %+v", got)
		}
		b.Close()
		left := time.Now()
		got := servertest.As[wire.Presence](a)
		if got.Online || got.LastSeen == 0 || time.Since(left) > time.Minute {
			t.Errorf("after bob disconnected: %+v after %v", got, time.Since(left))
		}
		a.Send(wire.ClientFrame{Type: wire.TypeWatch})
		testwait.Advance(time.Second)
		in.Join(t, bob)
		a.Quiet(20 * time.Second)
	})
}

func TestForgedAcks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		a.Say(bob, "one")
		_, cursor := servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		epoch, _, _ := strings.Cut(cursor, ":")
		b.Ack("newest")
		b.Refused("cursor_invalid")
		b.Ack("0123456789abcdef:99999999999999-0") // another epoch: ignored
		testwait.Advance(5 * time.Second)
		if got := rig.Published.Messages(t); len(got) != 0 {
			t.Fatalf("an ack of another epoch published %v", got)
		}
		// Beyond what was sent: remembered, and applied to the messages that are sent later.
		b.Ack(epoch + ":99999999999999-0")
		testwait.Advance(5 * time.Second)
		a.Say(bob, "two")
		servertest.Event[wire.MessageEvent](b, wire.EventMessage)
		testwait.Advance(5 * time.Second)
		if got := rig.Published.Messages(t); len(got) != 2 {
			t.Errorf("published %v, want both", got)
		}
	})
}

// shortBursts keeps the default rates and shortens the bursts, so that fewer messages use them up. The burst of frames
// covers the burst of sends and the queue of the worker, as with the defaults.
func shortBursts(d *server.Deps) {
	d.Limits = session.Limits{}.WithDefaults()
	d.Limits.Sends.Burst, d.Limits.UserSends.Burst, d.Limits.Frames.Burst = 40, 100, 150
}

// A flood of sends is slowed down to the rate limit by not reading it. Nothing is refused, and nobody else waits.
func TestFloodOfSends(t *testing.T) {
	bubble(t, shortBursts, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		const n = 200
		began := time.Now()
		go func() {
			for i := range n {
				a.Send(servertest.Message(bob, fmt.Sprint(i)))
			}
		}()
		for range n {
			servertest.Until[wire.Sent](a)
			b.Send(wire.ClientFrame{Type: wire.TypePing})
			asked := time.Now()
			servertest.Until[wire.Pong](b)
			if took := time.Since(asked); took > 100*time.Millisecond {
				t.Fatalf("a bystander waited %v", took)
			}
		}
		if took := time.Since(began); took < 7*time.Second || took > 12*time.Second {
			t.Errorf("%d messages took %v, want 8 s: a burst of 40, and 20 a second", n, took)
		}
	})
}

// A flood of frames that are not sends is refused first, and then the socket is closed.
func TestFloodOfFrames(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a, b := in.Join(t, alice), in.Join(t, bob)
		go func() {
			for range 2000 {
				a.Send(wire.ClientFrame{Type: wire.TypePing})
			}
		}()
		wantError(t, a.Closed(websocket.ClosePolicyViolation), "rate_limited")
		b.Send(wire.ClientFrame{Type: wire.TypePing})
		servertest.Until[wire.Pong](b)
	})
}

// A device that was offline for a long time sends its whole outbox, 32 messages at a time as clients do. It is slowed
// down, but nothing is refused.
func TestLongOutboxIsNotAFlood(t *testing.T) {
	bubble(t, shortBursts, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		const n = 200 // more than each burst
		sent, answered := 0, 0
		began := time.Now()
		for answered < n {
			for sent < n && sent-answered < 32 {
				a.Send(servertest.Message(bob, fmt.Sprint(sent)))
				sent++
			}
			switch f := a.Next().(type) {
			case wire.Sent:
				answered++
			case wire.ErrorFrame:
				t.Fatalf("refused: %+v", f)
			}
		}
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("%d messages took %v", n, took)
		}
	})
}

func TestUserRateLimitAppliesToAllSockets(t *testing.T) {
	bubble(t, func(d *server.Deps) {
		d.Limits.UserSends = session.Rate{PerSecond: 1, Burst: 5}
	}, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		first, second := in.Join(t, alice), in.Join(t, alice)
		began := time.Now()
		for range 5 {
			first.Say(bob, "x")
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the first five took %v", took)
		}
		second.Say(bob, "y")
		second.Close() // reconnecting does not reset the limit
		third := in.Join(t, alice)
		for range 4 {
			third.Say(bob, "z")
		}
		if took := time.Since(began).Round(time.Second); took != 5*time.Second {
			t.Errorf("ten messages, five of which wait a second each, took %v", took)
		}
	})
}
