package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// A setting reaches the user's devices, also one that comes later, and nobody else. A bad call reaches nobody.
func TestSetting(t *testing.T) {
	bubble(t, func(t *testing.T, _ *servertest.Rig, in *servertest.Instance) {
		set := internalapi.Setting{UID: alice, Setting: chat.Setting{Conversation: chat.ConversationID(alice, bob),
			Kind: chat.SettingMute, Choice: chat.Choice{Value: chat.MutedAlways, At: chat.MicrosOf(time.Now()),
				ID: "019a0000-0000-7000-8000-000000000001"}}}
		call := func(s internalapi.Setting) int {
			return in.Call(t.Context(), http.MethodPost, internalapi.SettingPath, servertest.ServiceToken, s).Code
		}
		open := in.Join(t, alice)
		if code := call(set); code != http.StatusNoContent {
			t.Fatalf("status %d", code)
		}
		want := any(wire.SettingEvent{Type: wire.EventSetting, Setting: set.Setting})
		if e, err := wire.DecodeEvent(servertest.As[wire.EventFrame](open).Event); err != nil || e != want {
			t.Errorf("an open socket got %+v, %v", e, err)
		}
		for uid, n := range map[string]int{alice: 1, bob: 0} {
			s, _, frames := in.Hello(t, uid, "")
			s.Close()
			if len(frames) != n {
				t.Errorf("%s got %d events", uid, len(frames))
			}
		}
		for name, bad := range map[string]func(*internalapi.Setting){
			"uid":          func(s *internalapi.Setting) { s.UID = "~" },
			"conversation": func(s *internalapi.Setting) { s.Setting.Conversation = "x~y" },
			"kind":         func(s *internalapi.Setting) { s.Setting.Kind = "" },
		} {
			s := set
			bad(&s)
			if code := call(s); code != http.StatusUnprocessableEntity && code != http.StatusBadRequest {
				t.Errorf("bad %s: status %d", name, code)
			}
		}
	})
}
