package stack

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/infra/pushstub"
	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func TestPushes(t *testing.T) {
	service := pushstub.New()
	checkPushes(t, start(t, Options{PushService: service}), service)
}

// checkPushes checks that an event reaches the devices of a user through the push service, and that a device that the
// push service could not reach gets it later.
func checkPushes(t *testing.T, s *Stack, service *pushstub.Server) {
	ann, bob := signUp(t, s, "ann", s.URL), signUp(t, s, "bob", s.URL)
	key := call(t, http.MethodGet, s.URL+"/api/me/push", bob.token, nil, http.StatusOK)["public_key"].(string)
	receivers := map[string]*pushstub.Receiver{}
	for _, device := range []string{"phone", "desktop"} {
		r, err := pushstub.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		path := service.Subscribe(key)
		receivers[path] = r
		if device == "desktop" {
			service.Answer(path, pushstub.Answer{Status: http.StatusServiceUnavailable})
		}
		p256dh, auth := r.Keys()
		call(t, http.MethodPut, s.URL+"/api/me/push", bob.token, map[string]any{"device": device,
			"endpoint": s.PushURL + path, "keys": map[string]string{"p256dh": p256dh, "auth": auth}}, http.StatusNoContent)
	}
	id := uuid.Must(uuid.NewV7()).String()
	data, err := json.Marshal(away.Event{V: 1, UID: bob.uid, Conversation: chat.ConversationID(ann.uid, bob.uid),
		From: ann.uid, IDs: []string{id}, Text: "hello", At: chat.MicrosOf(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Notify(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	late := time.After(30 * time.Second)
	for path, r := range receivers {
		var list []pushstub.Push
		for {
			changed := service.Changed()
			if list, _ = service.Pushes(path); len(list) > 0 {
				break
			}
			select {
			case <-changed:
			case <-late:
				t.Fatal("no push within 30 s")
			}
		}
		body, err := r.Decrypt(list[0].Body)
		var got struct {
			To, From, Name, Text string
			IDs                  []string
		}
		if err == nil {
			err = json.Unmarshal(body, &got)
		}
		if err != nil || len(list) != 1 || got.To != bob.uid || got.From != ann.uid || got.Name != "ann" ||
			got.Text != "hello" || len(got.IDs) != 1 || got.IDs[0] != id {
			t.Errorf("%d pushes; %s, %v", len(list), body, err)
		}
	}
}
