package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// purge calls POST /internal/purge.
func purge(t *testing.T, in *servertest.Instance, from, to, reason string) internalapi.Purged {
	t.Helper()
	var done internalapi.Purged
	call := internalapi.Purge{From: from, To: to, Reason: reason}
	w := in.Call(t.Context(), "POST", internalapi.PurgePath, servertest.ServiceToken, call)
	if w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &done) != nil {
		t.Fatalf("purge: %d %s", w.Code, w.Body)
	}
	return done
}

// states returns, for each event about the message id that a first visit of uid gets, its type and code, in order.
func states(t *testing.T, in *servertest.Instance, uid, id string) (list []string) {
	t.Helper()
	s, _, frames := in.Hello(t, uid, "")
	defer s.Close()
	for _, f := range frames {
		e, err := wire.DecodeEvent(f.Event)
		if err != nil {
			t.Fatal(err)
		}
		switch e := e.(type) {
		case wire.MessageEvent:
			if e.ID == id {
				list = append(list, e.Type)
			}
		case wire.DeliveredEvent:
			if slices.ContainsFunc(e.Messages, func(r wire.MessageRef) bool { return r.ID == id }) {
				list = append(list, e.Type)
			}
		case wire.RefusedEvent:
			if slices.ContainsFunc(e.Messages, func(r wire.MessageRef) bool { return r.ID == id }) {
				list = append(list, e.Type+" "+e.Code)
			}
		}
	}
	return list
}

func sameList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// Alice is disabled. What waits from her is refused to her, and so is what another instance accepts a moment later,
// because it has her old gate. Afterwards nothing of hers waits anywhere.
func TestDisabledSender(t *testing.T) {
	bubble(t, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		first := a.Say(bob, "first")
		second := rig.Start(nil)
		rig.Mini.HSet("gate:{"+alice+"}", "disabled", "1") // the notice to her instance is lost
		done := purge(t, second, alice, "", internalapi.ReasonWithdrawn)
		if done.Messages != 1 || !done.Complete || done.Bytes == 0 {
			t.Errorf("the purge returns %+v", done)
		}
		testwait.Advance(time.Second)
		late := a.Say(bob, "late")
		testwait.Advance(time.Minute)
		if rig.Mini.Exists("pending:{" + bob + "}") {
			t.Error("a message of the disabled user waits")
		}
		if err := second.ChangeGate(t.Context(), alice, gate.Gate{Exists: true}); err != nil {
			t.Fatal(err)
		}
		sameList(t, "the first message", states(t, second, alice, first), "sent", "refused withdrawn")
		// She has one device, so nobody but the device that sent it needs the sent event.
		sameList(t, "the late message", states(t, second, alice, late), "refused withdrawn")
		_, _, frames := second.Hello(t, bob, "")
		if len(frames) != 0 {
			t.Errorf("bob gets %d events", len(frames))
		}
	})
}

// Bob blocks alice. What waits from her for him is refused to her.
func TestBlockedSender(t *testing.T) {
	bubble(t, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		id := a.Say(bob, "one")
		if err := in.ChangeGate(t.Context(), bob, gate.Gate{Exists: true, Blocked: []string{alice}}); err != nil {
			t.Fatal(err)
		}
		purge(t, in, alice, bob, internalapi.ReasonUnavailable)
		sameList(t, "the message", states(t, in, alice, id), "sent", "refused recipient_unavailable")
	})
}

// Bob's phone has a message that is withdrawn. Its ack arrives later, on the same socket: the message is saved, and
// alice sees it as delivered. Bob's laptop, which was offline, gets it too.
func TestWithdrawnMessageThatADeviceHas(t *testing.T) {
	type ending func(t *testing.T, in *servertest.Instance, phone *servertest.Socket, cursor string)
	for name, later := range map[string]ending{
		"its ack comes late": func(_ *testing.T, _ *servertest.Instance, phone *servertest.Socket, cursor string) {
			phone.Send(wire.ClientFrame{Type: wire.TypeAck, Cursor: cursor})
		},
		"it reconnects": func(t *testing.T, in *servertest.Instance, phone *servertest.Socket, cursor string) {
			phone.Break()
			testwait.Advance(5 * time.Minute)
			again, w, _ := in.Hello(t, bob, cursor)
			if !w.Resumed {
				t.Error("the phone does not resume")
			}
			again.Send(wire.ClientFrame{Type: wire.TypeAck, Cursor: cursor})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, rig *servertest.Rig, in *servertest.Instance) {
				laptop, _, _ := in.Hello(t, bob, "")
				laptop.Close()
				phone := in.Join(t, bob)
				a := in.Join(t, alice)
				id := a.Say(bob, "one")
				f := servertest.Until[wire.EventFrame](phone)
				if done := purge(t, in, alice, bob, internalapi.ReasonUnavailable); done.Messages != 1 {
					t.Fatalf("the purge returns %+v", done)
				}
				// The laptop passes the removed message on another instance, and settles beyond it.
				second := rig.Start(nil)
				laptop, _, frames := second.Hello(t, bob, "")
				if len(frames) != 0 {
					t.Errorf("the laptop gets %d events after the withdrawal", len(frames))
				}
				c := second.Join(t, alice)
				other := c.Say(bob, "two")
				g := servertest.Until[wire.EventFrame](laptop)
				laptop.Send(wire.ClientFrame{Type: wire.TypeAck, Cursor: g.Cursor})
				testwait.Advance(5 * time.Second)
				sameList(t, "saved so far", rig.Published.Messages(t), other)
				sameList(t, "the message so far", states(t, in, alice, id), "sent", "refused recipient_unavailable")

				later(t, in, phone, f.Cursor)
				restored := servertest.Until[wire.EventFrame](laptop)
				e, err := wire.DecodeEvent(restored.Event)
				if m, ok := e.(wire.MessageEvent); err != nil || !ok || m.ID != id {
					t.Fatalf("the laptop gets %s", restored.Event)
				}
				laptop.Send(wire.ClientFrame{Type: wire.TypeAck, Cursor: restored.Cursor})
				testwait.Advance(10 * time.Second)
				if saved := rig.Published.Messages(t); !slices.Contains(saved, id) {
					t.Errorf("saved %q, want %s, too", saved, id)
				}
				got := states(t, in, alice, id)
				if n := len(got); n < 3 || got[n-1] != "delivered" {
					t.Errorf("the message is %q, want delivered in the end", got)
				}
				if rig.Mini.Exists("pending:{" + bob + "}") {
					t.Error("a message waits forever")
				}
			})
		})
	}
}

func TestWaitingRoute(t *testing.T) {
	bubble(t, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		a := in.Join(t, alice)
		a.Say(bob, "one")
		a.Say(bob, "two")
		var got internalapi.Waiting
		w := in.Call(t.Context(), "GET", internalapi.WaitingPath, servertest.ServiceToken, nil)
		if w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &got) != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if got.Messages != 2 || got.Inboxes != 1 || !got.Complete || got.Bytes < 300 || len(got.Senders) != 1 ||
			got.Senders[0].UID != alice || got.Recipients[0].UID != bob || got.Recipients[0].Messages != 2 {
			t.Errorf("%+v", got)
		}
	})
}
