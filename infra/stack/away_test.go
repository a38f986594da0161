package stack

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/pushstub"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// pushedTexts registers a device of a user and returns a function that waits for n pushes to it, and returns their
// texts.
func pushedTexts(t *testing.T, s *Stack, service *pushstub.Server, u *user, device string) func(n int) []string {
	t.Helper()
	key := call(t, http.MethodGet, s.URL+"/api/me/push", u.token, nil, http.StatusOK)["public_key"].(string)
	r, err := pushstub.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	path := service.Subscribe(key)
	p256dh, auth := r.Keys()
	call(t, http.MethodPut, s.URL+"/api/me/push", u.token, map[string]any{"device": device,
		"endpoint": s.PushURL + path, "keys": map[string]string{"p256dh": p256dh, "auth": auth}}, http.StatusNoContent)
	return func(n int) (texts []string) {
		t.Helper()
		late := time.After(30 * time.Second)
		for {
			changed := service.Changed()
			list, _ := service.Pushes(path)
			if len(list) < n {
				select {
				case <-changed:
					continue
				case <-late:
					t.Fatalf("%d pushes within 30 s, want %d", len(list), n)
				}
			}
			for _, p := range list {
				body, err := r.Decrypt(p.Body)
				var got struct{ Text string }
				if err == nil {
					err = json.Unmarshal(body, &got)
				}
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, got.Text)
			}
			return texts
		}
	}
}

// A message to somebody who is away reaches the push service, through every part of the system.
func TestMessagesArePushed(t *testing.T) {
	service := pushstub.New()
	s := start(t, Options{PushService: service})
	ann, bob := signUp(t, s, "ann", s.URL), signUp(t, s, "bob", s.URL)
	counters := s.Instances[0].server.Counters().Away
	send := func(what, body string, want int64) {
		t.Helper()
		before := counters.Messages.Load()
		ann.sendMessage(bob, body)
		if got := counters.Messages.Load() - before; got != want {
			t.Errorf("%s: %d messages are to be pushed, want %d", what, got, want)
		}
	}
	send("without a subscription", "zero", 0)
	bob.sendMessage(ann, "an answer: nobody is notified of the request of a stranger")
	bob.conn.Close()
	pushed := pushedTexts(t, s, service, bob, "phone")
	send("without a socket", "one", 1)
	if got := pushed(1); len(got) != 1 || got[0] != "one" {
		t.Errorf("pushed %q", got)
	}

	bob.connect(s.URL, map[string]any{"looking": true})
	send("a device that somebody looks at", "two", 0)
	bob.sendFrame(map[string]any{"type": "looking", "looking": false})
	rdb := s.Instances[0].redis
	testwait.Until(t, "nobody looks", func() bool {
		score, err := rdb.ZScore(t.Context(), "presence:{"+bob.uid+"}", s.Instances[0].Name).Result()
		return err == nil && score == float64(int64(score))
	})
	send("a device that acknowledges, and nobody looks", "three", 1)
	for {
		f := bob.awaitFrame("message")
		bob.sendFrame(map[string]any{"type": "ack", "cursor": f["cursor"]})
		if event, _ := f["event"].(map[string]any); event["body"] == "three" {
			break
		}
	}
	ann.awaitFrame("delivered")
	if got := pushed(2); len(got) != 2 || got[1] != "three" {
		t.Errorf("pushed %q", got)
	}

	call(t, http.MethodDelete, s.URL+"/api/me/push", bob.token, map[string]any{"device": "phone"}, http.StatusNoContent)
	send("the subscription was removed", "four", 0)
	if n := counters.Published.Load(); n != 2 {
		t.Errorf("%d events were published, want 2", n)
	}
}
