package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// listed is a device in answers.
type listed struct {
	ID                     string
	FirstAt                chat.Micros `json:"first_at"`
	LastAt                 chat.Micros `json:"last_at"`
	This                   bool
	Browser, System, Place string
}

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile/15E148 Safari/604.1"
)

// devices lists the devices of the user of a token.
func (s *system) devices(token string, header ...string) []listed {
	s.t.Helper()
	var got struct{ Devices []listed }
	s.call("GET", "/me/devices", token, nil, header...).must(200, &got)
	return got.Devices
}

// A person sees where they are signed in, and signs out one device for good: no token of it is accepted anymore, in any
// call, and it learns why. Other devices go on.
func TestSignOutOneDevice(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.PlaceHeader = "X-Place" })
	s.account("ada")
	phone := s.clock.Now()
	s.devices(s.token("ada"), "User-Agent", iphone, "X-Place", "Zurich, CH")
	s.clock.advance(time.Minute)
	laptop := s.clock.Now()
	list := s.devices(s.token("ada"), "User-Agent", firefox)
	want := []listed{
		{ID: list[0].ID, FirstAt: micros(laptop), LastAt: micros(laptop), This: true, Browser: "Firefox", System: "Linux"},
		{ID: list[1].ID, FirstAt: micros(phone), LastAt: micros(phone), Browser: "Safari", System: "iPhone",
			Place: "Zurich, CH"},
	}
	if len(list) != 2 || list[0] != want[0] || list[1] != want[1] || list[0].ID == list[1].ID {
		t.Fatalf("devices %+v, want %+v", list, want)
	}
	s.call("DELETE", "/me/devices/"+list[1].ID, s.token("ada", signedInAt(laptop)), nil).must(204, nil)
	if g := s.realtime.last(); len(g.SignedOut) != 1 || g.SignedOut[0] != micros(phone) || len(g.Ended) != 1 {
		t.Errorf("gate %+v", g)
	}
	s.clock.advance(time.Minute)
	// Its refresh token still makes tokens. None of them is of use.
	for _, path := range []string{"/me", "/me/devices", "/conversations", "/users"} {
		s.call("GET", path, s.token("ada", signedInAt(phone)), nil).refused(401, "signed_out")
	}
	s.clock.advance(100 * 24 * time.Hour) // longer than devices are listed
	s.call("GET", "/me", s.token("ada", signedInAt(phone)), nil).refused(401, "signed_out")
	if list := s.devices(s.token("ada", signedInAt(laptop))); len(list) != 1 || !list[0].This {
		t.Errorf("devices %+v", list)
	}
	s.call("DELETE", "/me/devices/"+want[1].ID, s.token("ada"), nil).refused(404, "device_unknown")
	// Nobody signs out the devices of others.
	s.account("eve")
	s.call("DELETE", "/me/devices/"+want[0].ID, s.token("eve"), nil).refused(404, "device_unknown")

	// If realtime/ is down, the device has ended for the API, and the caller learns that sockets may still be open.
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("DELETE", "/me/devices/"+want[0].ID, s.token("ada", signedInAt(laptop)), nil).refused(503, "unavailable")
	s.realtime.failWith(nil)
	s.call("GET", "/me", s.token("ada", signedInAt(laptop)), nil).refused(401, "signed_out")
}

// Two sign-ins within one second cannot be told apart, so they are one device.
func TestTwoSignInsInOneSecond(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	one := s.token("ada")
	s.devices(one, "User-Agent", firefox)
	other := s.token("ada", func(c jwt.MapClaims) { c["nonce"] = "another" })
	list := s.devices(other, "User-Agent", iphone)
	if len(list) != 1 || !list[0].This || list[0].Browser != "Firefox" || len(s.realtime.ownProfiles) != 0 {
		t.Fatalf("devices %+v, announced %q", list, s.realtime.ownProfiles)
	}
	s.call("DELETE", "/me/devices/"+list[0].ID, one, nil).must(204, nil)
	for _, token := range []string{one, other} {
		s.call("GET", "/me", token, nil).refused(401, "signed_out")
	}
}

// A new sign-in is announced on the other devices, once. One that replaces another on the same device is not, if the
// token of the other proves that.
func TestNewSignInsAreAnnounced(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	s.account("eve")
	newest := func(token string) *listed {
		t.Helper()
		var me struct {
			Newest *listed `json:"newest_device"`
		}
		s.call("GET", "/me", token, nil, "User-Agent", firefox).must(200, &me)
		return me.Newest
	}
	announced := func(want int) {
		t.Helper()
		if got := strings.Join(s.realtime.ownProfiles, " "); got != strings.TrimSpace(strings.Repeat("ada ", want)) {
			t.Fatalf("announced %q, want %d times", got, want)
		}
	}
	laptop := s.token("ada")
	if d := newest(laptop); d != nil {
		t.Errorf("the first device sees %+v", d)
	}
	announced(0)
	s.clock.advance(time.Minute)
	phone := s.token("ada")
	for range 2 {
		if d := newest(phone); d != nil {
			t.Errorf("the new device announces an older one: %+v", d)
		}
	}
	announced(1)
	if d := newest(laptop); d == nil || d.FirstAt != micros(s.clock.Now()) || d.This {
		t.Errorf("the other device sees %+v", d)
	}
	var renamed struct {
		Newest *listed `json:"newest_device"`
	}
	s.call("PATCH", "/me", laptop, form{"display_name": "Ada B."}).must(200, &renamed)
	if renamed.Newest == nil || renamed.Newest.FirstAt != micros(s.clock.Now()) {
		t.Errorf("the answer to a change of the name has the new device %+v", renamed.Newest)
	}
	// The password is entered again on the phone.
	s.clock.advance(time.Minute)
	again := s.token("ada")
	s.call("POST", "/me/sign-in", again, form{"replaces": phone}).must(204, nil)
	announced(1)
	list := s.devices(again)
	if len(list) != 2 || !list[0].This {
		t.Errorf("devices %+v", list)
	}
	s.call("POST", "/me/sign-out", phone, nil).must(204, nil) // as the client does afterwards
	s.call("GET", "/me", phone, nil).refused(401, "token_ended")
	if list := s.devices(again); len(list) != 2 {
		t.Errorf("devices %+v", list)
	}
	// A token of somebody else, an ended one, and none do not prove anything.
	s.clock.advance(time.Minute)
	s.call("POST", "/me/sign-in", s.token("ada"), form{"replaces": s.token("eve")}).refused(401, "unauthenticated")
	announced(1)
	for n, replaces := range []string{phone, "", strings.Repeat("x", 9000)} {
		s.clock.advance(time.Minute)
		s.call("POST", "/me/sign-in", s.token("ada"), form{"replaces": replaces}).must(204, nil)
		announced(2 + n)
	}
	s.call("POST", "/me/sign-in", s.token("ada"), "{}").must(204, nil)
	s.call("POST", "/me/sign-in", s.token("ada"), "[]").refused(400, "bad_json")
	// If the notice cannot be sent, the call succeeds.
	s.realtime.failWith(problem.ErrUnavailable)
	s.clock.advance(time.Minute)
	newest(s.token("ada"))
}

// The use of a device is written at most hourly.
func TestUseOfADeviceIsWrittenHourly(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	first := s.clock.Now()
	token := func() string { return s.token("ada", signedInAt(first)) }
	s.devices(token())
	for _, c := range []struct {
		after time.Duration
		want  time.Duration
	}{{59 * time.Minute, 0}, {time.Minute, time.Hour}, {59 * time.Minute, time.Hour}, {time.Minute, 2 * time.Hour}} {
		s.clock.advance(c.after)
		s.devices(token())
		if list := s.devices(token()); list[0].LastAt != micros(first.Add(c.want)) {
			t.Errorf("last use %v, want %v", list[0].LastAt.Time(), first.Add(c.want))
		}
	}
}

// revokingAccounts keeps whose refresh tokens were revoked. The sign-in system would use its own clock.
type revokingAccounts struct {
	accounts.Accounts
	revoked string
}

func (a *revokingAccounts) Revoke(_ context.Context, uid string) error {
	a.revoked += uid
	return nil
}

// "Sign out everywhere else" needs the password, signs out all other devices, and revokes all refresh tokens.
func TestSignOutEverywhereElse(t *testing.T) {
	var revoking *revokingAccounts
	s := newSystem(t, func(d *api.Deps) {
		revoking = &revokingAccounts{Accounts: d.Accounts}
		d.Accounts = revoking
	})
	s.account("ada")
	phone := s.clock.Now()
	s.devices(s.token("ada"))
	s.clock.advance(time.Hour)
	s.call("DELETE", "/me/devices", s.token("ada", signedInAt(phone)), nil).refused(403, "sign_in_again")
	here := s.clock.Now()
	s.call("DELETE", "/me/devices", s.token("ada"), nil).must(204, nil)
	s.call("GET", "/me", s.token("ada", signedInAt(phone)), nil).refused(401, "signed_out")
	s.call("GET", "/me", s.token("ada", signedInAt(here)), nil).must(200, nil)
	if revoking.revoked != "ada" {
		t.Errorf("revoked the refresh tokens of %q", revoking.revoked)
	}
	// A new password does not make the other devices delete what waits there.
	s.clock.advance(time.Minute)
	s.call("POST", "/me/sign-out-others", s.token("ada"), nil).must(204, nil)
	s.call("GET", "/me", s.token("ada", signedInAt(here)), nil).refused(401, "token_ended")
}
