package api_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
)

// pushServices are the push services of all tests.
var pushServices = func() push.Services {
	s, err := push.ParseServices("push.example.org")
	if err != nil {
		panic(err)
	}
	return s
}()

// device returns what a device registers.
func device(id, endpoint string) map[string]any {
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]any{"device": id, "endpoint": "https://push.example.org/" + endpoint, "keys": map[string]string{
		"p256dh": base64.RawURLEncoding.EncodeToString(k.PublicKey().Bytes()), "auth": "c2VjcmV0IG9mIGEgcGhvbg"}}
}

var aDevice = device("phone", "1")

type pushDevices struct {
	PublicKey string `json:"public_key"`
	Devices   []struct {
		Device, Service string
		Preview         bool
		Quiet           store.Quiet
	}
}

// pushes returns the devices of the caller as "<device> <service> <preview> [<quiet hours>]".
func (s *system) pushes(token string) string {
	s.t.Helper()
	var got pushDevices
	s.call("GET", "/me/push", token, nil).must(200, &got)
	var list []string
	for _, d := range got.Devices {
		text := fmt.Sprint(d.Device, " ", d.Service, " ", d.Preview)
		if d.Quiet != (store.Quiet{}) {
			text += fmt.Sprint(" ", d.Quiet)
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func TestPush(t *testing.T) {
	s := newSystem(t)
	ada, bob := s.token(s.user("ada")), s.token(s.user("bob"))
	var got, again pushDevices
	s.call("GET", "/me/push", ada, nil).must(200, &got)
	s.rebuild()
	s.call("GET", "/me/push", bob, nil).must(200, &again)
	key, err := base64.RawURLEncoding.DecodeString(got.PublicKey)
	if err != nil || len(key) != 65 || again.PublicKey != got.PublicKey || len(got.Devices) != 0 {
		t.Errorf("at first: %+v, %+v, %v", got, again, err)
	}
	silent := device("desktop", "2")
	silent["preview"] = false
	silent["quiet"] = store.Quiet{From: 1320, To: 420, Zone: "Europe/Berlin"}
	s.call("PUT", "/me/push", ada, aDevice).must(204, nil)
	s.call("PUT", "/me/push", ada, silent).must(204, nil)
	desktop := "desktop push.example.org false {1320 420 Europe/Berlin 0}"
	want := "phone push.example.org true, " + desktop
	if got := s.pushes(ada); got != want {
		t.Errorf("devices: %s, want %s", got, want)
	}
	// The export has no endpoint and no key.
	file := s.call("GET", "/me/export", ada, nil)
	file.must(200, nil)
	if text := string(file.body); !strings.Contains(text, `"push":[{"device":"phone","service":"push.example.org"`) ||
		strings.Contains(text, "example.org/1") || strings.Contains(text, "secret") || strings.Contains(text, "c2Vjcm") {
		t.Errorf("the export has %s", text)
	}
	// Another account in the same browser takes the endpoint.
	s.call("PUT", "/me/push", bob, aDevice).must(204, nil)
	if a, b := s.pushes(ada), s.pushes(bob); a != desktop || b != "phone push.example.org true" {
		t.Errorf("after bob has registered the browser: %s; %s", a, b)
	}
	for range 2 {
		s.call("DELETE", "/me/push", ada, form{"device": "desktop"}).must(204, nil)
	}
	s.call("DELETE", "/me/push", ada, form{"device": "phone"}).must(204, nil)
	if a, b := s.pushes(ada), s.pushes(bob); a != "" || b == "" {
		t.Errorf("after ada has removed hers: %q; %q", a, b)
	}
}

func TestBadPushes(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	with := func(field string, value any) map[string]any {
		d := device("phone", "1")
		d[field] = value
		return d
	}
	for name, c := range map[string]struct {
		body any
		code string
	}{
		"nothing":            {form{}, "push_device_invalid"},
		"a long device":      {with("device", strings.Repeat("x", 65)), "push_device_invalid"},
		"no endpoint":        {with("endpoint", ""), "push_endpoint_refused"},
		"another service":    {with("endpoint", "https://evil.example.org/1"), "push_endpoint_refused"},
		"a private address":  {with("endpoint", "https://169.254.169.254/1"), "push_endpoint_refused"},
		"without encryption": {with("endpoint", "http://push.example.org/1"), "push_endpoint_refused"},
		"another port":       {with("endpoint", "https://push.example.org:8443/1"), "push_endpoint_refused"},
		"a long endpoint": {with("endpoint", "https://push.example.org/"+strings.Repeat("x", 1000)),
			"push_endpoint_refused"},
		"no keys":        {with("keys", form{}), "push_keys_invalid"},
		"broken keys":    {with("keys", form{"p256dh": "AAAA", "auth": "c2VjcmV0IG9mIGEgcGhvbg"}), "push_keys_invalid"},
		"keys of a type": {with("keys", "x"), "invalid_fields"},
		"a long hour":    {with("quiet", store.Quiet{From: 1440}), "push_quiet_invalid"},
		"no such zone":   {with("quiet", store.Quiet{Zone: "Nowhere/Else"}), "push_quiet_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			s.clock.advance(time.Hour)
			s.call("PUT", "/me/push", s.token("ada"), c.body).refused(422, c.code)
		})
	}
	token := s.token("ada")
	s.call("DELETE", "/me/push", token, form{}).refused(422, "push_device_invalid")
	if got := s.pushes(token); got != "" {
		t.Errorf("stored: %s", got)
	}
	// A flood of devices is refused before it could fill anything.
	s.clock.advance(2 * time.Hour)
	token = s.token("ada")
	refused := 0
	for i := range 100 {
		a := s.call("PUT", "/me/push", token, device(fmt.Sprint("device", i), fmt.Sprint(i)))
		if a.status == 429 {
			refused++
		}
	}
	list, err := s.store.Subscriptions(t.Context(), "ada")
	if err != nil || len(list) != store.MaxSubscriptions || refused < 75 {
		t.Errorf("100 devices: %d are stored and %d refused (%v)", len(list), refused, err)
	}
}

// A subscription ends with its sign-in.
func TestPushEndsWithItsSignIn(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	signIn := func(ago time.Duration) string {
		return s.token("ada", func(c jwt.MapClaims) { c["auth_time"] = s.clock.Now().Add(-ago).Unix() })
	}
	phone, desktop, tablet := signIn(3*time.Second), signIn(2*time.Second), signIn(0)
	register := func() {
		t.Helper()
		s.call("PUT", "/me/push", phone, device("phone", "1")).must(204, nil)
		s.call("PUT", "/me/push", desktop, device("desktop", "2")).must(204, nil)
		s.call("PUT", "/me/push", tablet, device("tablet", "3")).must(204, nil)
	}
	left := func() string {
		t.Helper()
		list, err := s.store.Subscriptions(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		var devices []string
		for _, d := range list {
			devices = append(devices, d.Device)
		}
		return strings.Join(devices, " ")
	}
	register()
	s.call("POST", "/me/sign-out", desktop, nil).must(204, nil)
	if got := left(); got != "phone tablet" {
		t.Errorf("after the desktop has signed out: %q", got)
	}
	s.call("POST", "/me/sign-out-others", tablet, nil).must(204, nil)
	if got := left(); got != "tablet" {
		t.Errorf("after all others were signed out: %q", got)
	}
	_, root := s.admin("root")
	s.call("POST", "/admin/users/ada/sign-out", root, nil).must(204, nil)
	if got := left(); got != "" {
		t.Errorf("after an admin has ended all sign-ins: %q", got)
	}
}

// pushLog is a push service that answers with result, and keeps what it got.
type pushLog struct {
	result push.Result
	sent   []string // "<endpoint> <topic> <content>"
}

func (p *pushLog) Send(_ context.Context, to store.Subscription, topic string, content []byte) push.Result {
	p.sent = append(p.sent, to.Endpoint+" "+topic+" "+string(content))
	return p.result
}

func TestTestPushes(t *testing.T) {
	pushes := &pushLog{}
	s := newSystem(t, func(d *api.Deps) { d.Pushes = pushes })
	ada, bob := s.token(s.user("ada")), s.token(s.user("bob"))
	phone := form{"device": "phone"}
	s.call("POST", "/me/push/test", ada, form{}).refused(422, "push_device_invalid")
	s.call("POST", "/me/push/test", ada, phone).refused(404, "push_not_registered")
	s.call("PUT", "/me/push", ada, aDevice).must(204, nil)
	s.call("POST", "/me/push/test", bob, phone).refused(404, "push_not_registered") // the device of another user
	s.call("POST", "/me/push/test", ada, phone).must(204, nil)
	want := `https://push.example.org/1 test {"kind":"test","to":"ada","v":1}`
	if len(pushes.sent) != 1 || pushes.sent[0] != want {
		t.Errorf("sent %q, want %s", pushes.sent, want)
	}
	for _, outcome := range []push.Outcome{push.Later, push.Refused} {
		pushes.result = push.Result{Outcome: outcome, Status: 403}
		s.call("POST", "/me/push/test", ada, phone).refused(503, "unavailable")
	}
	if got := s.pushes(ada); got != "phone push.example.org true" {
		t.Errorf("devices after refusals: %s", got)
	}
	pushes.result = push.Result{Outcome: push.Gone, Status: 410}
	s.call("POST", "/me/push/test", ada, phone).refused(404, "push_not_registered")
	if got := s.pushes(ada); got != "" {
		t.Errorf("devices after the end of the subscription: %s", got)
	}
	// Tests share the budget of registrations, 10 an hour.
	for range 3 {
		s.call("POST", "/me/push/test", ada, phone).refused(404, "push_not_registered")
	}
	s.call("POST", "/me/push/test", ada, phone).refused(429, "rate_limited")
}
