package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// savedMessage returns a message of Alice to Bob, as the archive holds it.
func savedMessage() delivery.Delivered {
	now := chat.MicrosOf(time.Now())
	return delivery.Delivered{Message: chat.Message{ID: "019a0000-0000-7000-8000-000000000001",
		Conversation: chat.ConversationID(alice, bob), From: alice, To: bob, Body: "as saved", At: now,
		AcceptedAt: now + 1, ReplyTo: chat.KeyOf("019a0000-0000-7000-8000-000000000002", bob)}, DeliveredAt: now + 2}
}

// correctedEvents returns the corrected events that a first visit of uid gets.
func correctedEvents(t *testing.T, in *servertest.Instance, uid string) (list []wire.CorrectedEvent) {
	t.Helper()
	s, _, frames := in.Hello(t, uid, "")
	defer s.Close()
	for _, f := range frames {
		e, err := wire.DecodeEvent(f.Event)
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := e.(wire.CorrectedEvent); ok {
			list = append(list, e)
		}
	}
	return list
}

// Devices of both users, open or not, get the saved content. A call that Redis does not answer is to be repeated.
func TestCorrected(t *testing.T) {
	bubble(t, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		saved := savedMessage()
		want := wire.CorrectedEvent{Type: wire.EventCorrected, Message: saved.Message, DeliveredAt: saved.DeliveredAt}
		call := func(messages ...delivery.Delivered) int {
			return in.Call(t.Context(), http.MethodPost, internalapi.CorrectedPath, servertest.ServiceToken,
				internalapi.Corrected{Messages: messages}).Code
		}
		s := in.Join(t, bob)
		if code := call(saved); code != http.StatusNoContent {
			t.Fatalf("status %d", code)
		}
		f := servertest.As[wire.EventFrame](s)
		if e, err := wire.DecodeEvent(f.Event); err != nil || e != any(want) {
			t.Errorf("an open socket got %+v, %v", e, err)
		}
		for _, uid := range []string{alice, bob} {
			if got := correctedEvents(t, in, uid); len(got) != 1 || got[0] != want {
				t.Errorf("%s got %+v", uid, got)
			}
		}
		bad := saved
		bad.From = "eve"
		if code := call(bad); code != http.StatusUnprocessableEntity {
			t.Errorf("a message of a stranger: status %d", code)
		}
		if code := call(); code != http.StatusUnprocessableEntity {
			t.Errorf("no message: status %d", code)
		}
		in.Redis.Down(true)
		if code := call(saved); code != http.StatusServiceUnavailable {
			t.Errorf("Redis is down: status %d", code)
		}
	})
}
