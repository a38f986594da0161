package push_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/pushstub"
)

const contact = "https://chat.example.org"

// service is a push service with a sender.
type service struct {
	*pushstub.Server
	url    string
	pair   push.Pair
	sender *push.Sender
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{Server: pushstub.New()}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	keys := push.NewFileKeys(filepath.Join(t.TempDir(), "push.json"))
	s.pair = pairOf(t, keys)
	s.sender = push.NewSender(push.Services{Local: s.url}, keys, contact)
	t.Cleanup(s.sender.Close)
	return s
}

// subscribe returns a subscription, its path and its receiver.
func (s *service) subscribe(t *testing.T) (store.Subscription, string, *pushstub.Receiver) {
	t.Helper()
	r, err := pushstub.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	p256dh, auth, err := push.DecodeKeys(r.Keys())
	if err != nil {
		t.Fatal(err)
	}
	path := s.Subscribe(s.pair.Public)
	return store.Subscription{Endpoint: s.url + path, P256DH: p256dh, Auth: auth}, path, r
}

// Only the device of the subscription can decrypt a push.
func TestSend(t *testing.T) {
	s := newService(t)
	content := append(make([]byte, 0, 8<<10), `{"text": "hello"}`...) // with room, into which no push may write
	topic := strings.Repeat("t", 32)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			to, path, receiver := s.subscribe(t)
			if r := s.sender.Send(t.Context(), to, topic, content); r != (push.Result{Outcome: push.Accepted, Status: 201}) {
				t.Errorf("result: %+v", r)
				return
			}
			list, _ := s.Pushes(path)
			p := list[0]
			if got, err := receiver.Decrypt(p.Body); err != nil || !bytes.Equal(got, content) {
				t.Errorf("decrypted: %q, %v", got, err)
			}
			if p.TTL != 24*time.Hour || p.Urgency != "high" || p.Topic != topic || len(p.Body) != 4096 {
				t.Errorf("headers: %v %s %s; %d bytes", p.TTL, p.Urgency, p.Topic, len(p.Body))
			}
			if _, _, other := s.subscribe(t); other != nil {
				if _, err := other.Decrypt(p.Body); err == nil {
					t.Error("another device can decrypt it")
				}
			}
		})
	}
	wg.Wait()
	to, _, _ := s.subscribe(t)
	if r := s.sender.Send(t.Context(), to, topic, make([]byte, push.MaxContent)); r.Outcome != push.Accepted {
		t.Errorf("the largest content: %+v", r)
	}
	if r := s.sender.Send(t.Context(), to, topic, make([]byte, push.MaxContent+1)); r.Outcome != push.Refused {
		t.Errorf("a larger content: %+v", r)
	}
}

func TestOutcomes(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		answer pushstub.Answer
		want   push.Outcome
		after  time.Duration
	}{
		{pushstub.Answer{Status: 200}, push.Accepted, 0},
		{pushstub.Answer{Status: 404}, push.Gone, 0},
		{pushstub.Answer{Status: 410}, push.Gone, 0},
		{pushstub.Answer{Status: 429, RetryAfter: "3"}, push.Later, 3 * time.Second},
		{pushstub.Answer{Status: 429, RetryAfter: "-1"}, push.Later, 0},
		{pushstub.Answer{Status: 429, RetryAfter: "99999999999"}, push.Later, 24 * time.Hour},
		{pushstub.Answer{Status: 503, RetryAfter: time.Unix(0, 0).UTC().Format(http.TimeFormat)}, push.Later, 0},
		{pushstub.Answer{Status: 503, RetryAfter: "soon"}, push.Later, 0},
		{pushstub.Answer{Status: 500}, push.Later, 0},
		{pushstub.Answer{Status: 302}, push.Refused, 0}, // not followed
		{pushstub.Answer{Status: 400}, push.Refused, 0},
		{pushstub.Answer{Status: 413}, push.Refused, 0},
	} {
		to, path, _ := s.subscribe(t)
		s.Answer(path, c.answer)
		r := s.sender.Send(t.Context(), to, "t", []byte("x"))
		if r != (push.Result{Outcome: c.want, Status: c.answer.Status, After: c.after}) {
			t.Errorf("%+v: %+v", c.answer, r)
		}
		if _, calls := s.Pushes(path); calls != 1 {
			t.Errorf("%+v: %d calls", c.answer, calls)
		}
	}
	to, path, _ := s.subscribe(t)
	s.Unsubscribe(path)
	if r := s.sender.Send(t.Context(), to, "t", nil); r.Outcome != push.Gone {
		t.Errorf("after it was ended: %+v", r)
	}
	// A subscription that was made with another key.
	to, _, _ = s.subscribe(t)
	to.Endpoint = s.url + s.Subscribe("another key")
	if r := s.sender.Send(t.Context(), to, "t", nil); r.Outcome != push.Refused || r.Status != 403 {
		t.Errorf("with another key: %+v", r)
	}
	to.P256DH = []byte("broken")
	if r := s.sender.Send(t.Context(), to, "t", nil); r.Outcome != push.Refused || r.Err == nil {
		t.Errorf("with broken keys: %+v", r)
	}
}

// A push service that does not answer delays nothing for longer than the timeout, and no error has the endpoint.
func TestPushServicesThatDoNotAnswer(t *testing.T) {
	s := newService(t)
	s.sender.SetTimeout(20 * time.Millisecond)
	hidden := func(what string, r push.Result, to store.Subscription) {
		t.Helper()
		if r.Outcome != push.Later || r.Err == nil || strings.Contains(r.Err.Error(), to.Endpoint[len(s.url)+6:]) {
			t.Errorf("%s: %+v", what, r)
		}
	}
	to, path, _ := s.subscribe(t)
	s.Answer(path, pushstub.Answer{After: time.Hour})
	hidden("hangs", s.sender.Send(t.Context(), to, "t", nil), to)
	s.sender.SetTimeout(push.SendTime)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hidden("the caller gives up", s.sender.Send(ctx, to, "t", nil), to)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	keys := push.NewFileKeys(filepath.Join(t.TempDir(), "push.json"))
	closed := push.NewSender(push.Services{Local: gone.URL}, keys, contact)
	to.Endpoint = gone.URL + to.Endpoint[len(s.url):]
	hidden("nobody listens", closed.Send(t.Context(), to, "t", nil), to)
	unreadable := push.NewSender(push.Services{Local: s.url}, push.NewFileKeys(t.TempDir()), contact)
	to.Endpoint = s.url + path
	hidden("no key", unreadable.Send(t.Context(), to, "t", nil), to)
}

// The sender connects to no address that is not public, even if the name of a push service resolves to one.
func TestPrivateAddresses(t *testing.T) {
	s := newService(t)
	for _, bad := range []string{
		"127.0.0.1:443", "0.0.0.0:443", "10.1.2.3:443", "172.16.0.1:443", "192.168.1.1:443", "169.254.169.254:443",
		"100.64.0.1:443", "192.0.0.1:443", "192.0.2.1:443", "198.18.0.1:443", "198.51.100.1:443", "203.0.113.1:443",
		"224.0.0.1:443", "240.0.0.1:443", "255.255.255.255:443", "[::]:443", "[::1]:443", "[fe80::1%eth0]:443",
		"[fe80::1]:443", "[fc00::1]:443", "[fd00::1]:443", "[ff02::1]:443", "[::ffff:10.0.0.1]:443", "[64:ff9b::a00:1]:443",
		"[2001:db8::1]:443", "[2002:a00:1::]:443", "[2001::1]:443", "[100::1]:443",
		"8.8.8.8:80", "8.8.8.8:22", "[2606:4700::1]:6379", "x", "",
	} {
		if (push.Services{}).Control(bad) == nil {
			t.Errorf("%s is connected to", bad)
		}
	}
	for _, good := range []string{"8.8.8.8:443", "142.250.1.1:443", "[2a00:1450::1]:443", "[2606:4700::1]:443"} {
		if err := (push.Services{}).Control(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	// The sender asks before it connects.
	sender := push.NewSender(services(t, push.DefaultServices), push.NewFileKeys(t.TempDir()+"/k"), contact)
	if err := sender.Dial(t.Context(), strings.TrimPrefix(s.url, "http://")); err == nil ||
		!strings.Contains(err.Error(), "not public") {
		t.Errorf("connecting to this machine: %v", err)
	}
	if err := s.sender.Dial(t.Context(), strings.TrimPrefix(s.url, "http://")); err != nil {
		t.Errorf("connecting to the stand-in: %v", err)
	}
	// A subscription of a service that is not in the list anymore.
	to, path, _ := s.subscribe(t)
	if r := sender.Send(t.Context(), to, "t", nil); r.Outcome != push.Refused {
		t.Errorf("not in the list: %+v", r)
	}
	if _, calls := s.Pushes(path); calls != 0 {
		t.Errorf("%d calls", calls)
	}
}
