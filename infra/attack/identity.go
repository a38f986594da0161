package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// squatter signs up with the operator's address before the operator does, and waits to be made an admin.
func squatter(ctx context.Context, w *world) (result, error) {
	const email = "operator@corp.example"
	me, err := w.signUp(ctx, email)
	if err != nil {
		return result{}, err
	}
	orders := []operator.AdminOrder{
		{Email: email, By: "attack"}, {Email: email, By: "attack", Create: true, Password: password},
		{Email: strings.ToUpper(email), By: "attack", Create: true, Username: "operator9"},
	}
	r := result{tried: len(orders)}
	for _, o := range orders {
		deps := operator.Deps{Store: w.stack.Store, Users: w.stack.Users, Accounts: w.stack.Accounts}
		if answer, err := operator.SetAdmin(ctx, deps, o); err == nil {
			r.note = answer
		}
		u, err := w.stack.Store.User(ctx, me.uid)
		if err != nil {
			return r, err
		}
		if u.Admin {
			r.through++
		}
	}
	return r, nil
}

// sessionAfterReset keeps using what was made from a stolen password after its owner has reset it.
func sessionAfterReset(ctx context.Context, w *world) (result, error) {
	const email, changed = "victim@example.org", "a much better password"
	thief, err := w.signUp(ctx, email)
	if err != nil {
		return result{}, err
	}
	s, err := thief.open(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	time.Sleep(1100 * time.Millisecond) // sign-ins of the same second count as one
	if err := w.resetPassword(ctx, email, changed); err != nil {
		return result{}, err
	}
	in, err := w.signIn(ctx, email, changed)
	if err != nil {
		return result{}, err
	}
	// The page ends all other sign-ins once the new one is complete.
	owner := &person{w: w, uid: in.uid, token: in.idToken, from: "10.201.0.1"}
	if _, err := owner.call(ctx, http.MethodPost, "/me/sign-out-others", nil); err != nil {
		return result{}, err
	}
	r := result{tried: 3}
	if !eventually(ctx, 5*time.Second, s.isEnded) {
		r.through++
		r.note = "the open socket stays open; "
	}
	if a, err := thief.call(ctx, http.MethodGet, "/me", nil); err != nil {
		return r, err
	} else if a.status == http.StatusOK {
		r.through++
		r.note += "the old token is accepted; "
	}
	if again, err := thief.open(ctx); err == nil {
		again.end()
		r.through++
		r.note += "a new socket opens"
	}
	if a, err := owner.call(ctx, http.MethodGet, "/me", nil); err != nil || a.status != http.StatusOK {
		return r, fmt.Errorf("the owner's new sign-in does not work: %d %s %w", a.status, a.body, err)
	}
	return r, nil
}

// addressOfAnother signs up with an address that belongs to somebody else and stays signed in on two devices. The owner
// resets the password, because the address already has an account, and signs in. Their page ends nothing: the first
// call of their sign-in does.
func addressOfAnother(ctx context.Context, w *world) (result, error) {
	const email, chosen = "owner@example.org", "words of the owner"
	first, err := w.signUp(ctx, email)
	if err != nil {
		return result{}, err
	}
	time.Sleep(1100 * time.Millisecond) // sign-ins of the same second count as one
	in, err := w.signIn(ctx, email, password)
	if err != nil {
		return result{}, err
	}
	second := &person{w: w, uid: in.uid, username: first.username, email: email, from: first.from, token: in.idToken,
		refresh: in.refreshToken}
	devices := []*person{first, second}
	var sockets []*socket
	for _, d := range devices {
		if a, err := d.call(ctx, http.MethodGet, "/me", nil); err != nil || a.status != http.StatusOK {
			return result{}, fmt.Errorf("own profile: %d %s %w", a.status, a.body, err)
		}
		s, err := d.open(ctx)
		if err != nil {
			return result{}, err
		}
		defer s.end()
		sockets = append(sockets, s)
	}
	time.Sleep(1100 * time.Millisecond)
	if err := w.resetPassword(ctx, email, chosen); err != nil {
		return result{}, err
	}
	if in, err = w.signIn(ctx, email, chosen); err != nil {
		return result{}, err
	}
	owner := &person{w: w, uid: in.uid, token: in.idToken, from: "10.203.0.1"}
	if a, err := owner.call(ctx, http.MethodGet, "/me", nil); err != nil || a.status != http.StatusOK {
		return result{}, fmt.Errorf("the owner's sign-in does not work: %d %s %w", a.status, a.body, err)
	}
	r := result{}
	allEnded := func() bool { return sockets[0].isEnded() && sockets[1].isEnded() }
	r.attempt("a socket stays open", !eventually(ctx, 5*time.Second, allEnded))
	for i, d := range devices {
		a, err := d.call(ctx, http.MethodGet, "/me", nil)
		if err != nil {
			return r, err
		}
		r.attempt(fmt.Sprintf("the token of device %d is accepted", i), a.status == http.StatusOK)
		s, err := d.open(ctx)
		if err == nil {
			s.end()
		}
		r.attempt(fmt.Sprintf("device %d opens a socket", i), err == nil)
		if a, err = w.refresh(ctx, d.refresh); err != nil {
			return r, err
		}
		r.attempt(fmt.Sprintf("the refresh token of device %d is accepted", i), a.status == http.StatusOK)
	}
	_, err = w.signIn(ctx, email, password)
	r.attempt("the old password works", err == nil)
	var list struct {
		Devices []struct {
			This bool `json:"this"`
		} `json:"devices"`
	}
	a, err := owner.call(ctx, http.MethodGet, "/me/devices", nil)
	if err == nil {
		err = json.Unmarshal(a.body, &list)
	}
	if err != nil || len(list.Devices) == 0 {
		return r, fmt.Errorf("devices: %d %s %w", a.status, a.body, err)
	}
	r.attempt(fmt.Sprintf("%d devices are listed", len(list.Devices)), len(list.Devices) > 1 || !list.Devices[0].This)
	return r, nil
}

// resetPassword resets a password by mail, as the page does.
func (w *world) resetPassword(ctx context.Context, email, password string) error {
	a, err := w.auth(ctx, "identitytoolkit.googleapis.com/v1/accounts:sendOobCode",
		map[string]string{"requestType": "PASSWORD_RESET", "email": email})
	if err != nil || a.status != http.StatusOK {
		return fmt.Errorf("ask for a reset mail: %d %s %w", a.status, a.body, err)
	}
	mail, err := w.mailTo(email)
	if err != nil {
		return err
	}
	link, err := url.Parse(mail.Link)
	if err != nil {
		return err
	}
	a, err = w.auth(ctx, "identitytoolkit.googleapis.com/v1/accounts:resetPassword",
		map[string]string{"oobCode": link.Query().Get("oobCode"), "newPassword": password})
	if err != nil || a.status != http.StatusOK {
		return fmt.Errorf("reset the password: %d %s %w", a.status, a.body, err)
	}
	return nil
}

// sessionAfterSignOut uses the tokens of a session that its user has ended.
func sessionAfterSignOut(ctx context.Context, w *world) (result, error) {
	me, err := w.signUp(ctx, "leaver@example.org")
	if err != nil {
		return result{}, err
	}
	time.Sleep(1100 * time.Millisecond) // sign-ins of the same second count as one
	in, err := w.signIn(ctx, me.email, password)
	if err != nil {
		return result{}, err
	}
	device := &person{w: w, uid: in.uid, token: in.idToken, from: me.from}
	s, err := device.open(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	if _, err := device.call(ctx, http.MethodPost, "/me/sign-out", nil); err != nil {
		return result{}, err
	}
	r := result{tried: 3}
	if !eventually(ctx, 5*time.Second, s.isEnded) {
		r.through++
		r.note = "the open socket stays open; "
	}
	if a, err := device.call(ctx, http.MethodGet, "/me", nil); err != nil {
		return r, err
	} else if a.status == http.StatusOK {
		r.through++
		r.note += "the ID token is accepted; "
	}
	if a, err := w.refresh(ctx, in.refreshToken); err != nil {
		return r, err
	} else if a.status == http.StatusOK {
		later := &person{w: w, uid: in.uid, token: a.field("id_token"), from: me.from}
		if a, err := later.call(ctx, http.MethodGet, "/me", nil); err != nil {
			return r, err
		} else if a.status == http.StatusOK {
			r.through++
			r.note += "the refresh token makes tokens that are accepted"
		}
	}
	if a, err := me.call(ctx, http.MethodGet, "/me", nil); err != nil || a.status != http.StatusOK {
		return r, fmt.Errorf("another sign-in of the user was ended, too: %d %s %w", a.status, a.body, err)
	}
	return r, nil
}

// addressDrift changes the address of an account without proving that it is one's own, and signs up with the address
// that became free.
func addressDrift(ctx context.Context, w *world) (result, error) {
	me, err := w.signUp(ctx, "drifter@example.org")
	if err != nil {
		return result{}, err
	}
	r := result{tried: 2}
	a, err := w.auth(ctx, "identitytoolkit.googleapis.com/v1/accounts:update",
		map[string]any{"idToken": me.token, "email": "someone-else@example.org", "returnSecureToken": true})
	if err != nil {
		return r, err
	}
	if a.status == http.StatusOK {
		r.through++
		r.note = "an unproven address was accepted; "
	}
	form := map[string]string{"email": "drifter@example.org", "password": password, "username": "drifter2",
		"display_name": "Drifter"}
	second := &person{w: w, from: "10.202.0.1"}
	if a, err = second.call(ctx, http.MethodPost, "/signup", form); err != nil {
		return r, err
	}
	if a.status == http.StatusCreated {
		r.through++
		r.note += "one address has two users"
	}
	return r, nil
}

// adminPerson returns an admin with a second factor, who has signed in with it at a time.
func (w *world) adminPerson(ctx context.Context, signedIn time.Time) (*person, error) {
	p, err := w.person(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := w.stack.Store.SetAdmin(ctx, p.uid, true, false); err != nil {
		return nil, err
	}
	signIn := store.SignInTime(signedIn.Add(-time.Second)) // as in the token
	if _, err := w.stack.Store.SetRecoveryCodes(ctx, p.uid, nil, chat.MicrosOf(time.Now()), signIn); err != nil {
		return nil, err
	}
	p.admin, p.factor = true, true
	p.token, err = w.tokenOf(p, signedIn)
	return p, err
}

// oldAdmin calls every kind of admin route with a sign-in of some hours ago, and with one by the password alone.
func oldAdmin(ctx context.Context, w *world) (result, error) {
	old, err := w.adminPerson(ctx, time.Now().Add(-2*time.Hour))
	if err != nil {
		return result{}, err
	}
	now := time.Now()
	fresh, err := w.adminPerson(ctx, now)
	if err != nil {
		return result{}, err
	}
	alone := *fresh
	alone.factor = false
	if alone.token, err = w.tokenOf(&alone, now); err != nil {
		return result{}, err
	}
	victim, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{}
	reason := map[string]string{"reason": "because I can"}
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "/admin/users", nil}, {http.MethodGet, "/admin/users.csv", nil},
		{http.MethodGet, "/admin/audit.csv", nil}, {http.MethodGet, "/admin/users/" + victim.uid, nil},
		{http.MethodPost, "/admin/users/" + victim.uid + "/conversations", reason},
		{http.MethodPost, "/admin/users/" + victim.uid + "/sign-out", nil},
		{http.MethodPatch, "/admin/users/" + victim.uid, map[string]any{"disabled": true}},
		{http.MethodDelete, "/admin/users/" + victim.uid, reason},
	} {
		for why, p := range map[string]*person{"an old sign-in": old, "the password alone": &alone} {
			a, err := p.call(ctx, c.method, c.path, c.body)
			if err != nil {
				return r, err
			}
			if a.status/100 != 2 && a.code != "sign_in_again" {
				return r, fmt.Errorf("%s %s with %s: %d %s", c.method, c.path, why, a.status, a.body)
			}
			r.attempt(c.method+" "+c.path+" with "+why, a.status/100 == 2)
		}
	}
	if a, err := fresh.call(ctx, http.MethodGet, "/admin/users", nil); err != nil || a.status != http.StatusOK {
		return r, fmt.Errorf("an admin who has just signed in is refused: %d %s %w", a.status, a.body, err)
	}
	return r, nil
}

// csvFormulas uses names that a spreadsheet would calculate.
func csvFormulas(ctx context.Context, w *world) (result, error) {
	admin, err := w.adminPerson(ctx, time.Now())
	if err != nil {
		return result{}, err
	}
	names := []string{"=1+1", "+1+1", "-1+1", "@SUM(1)", "＝1+1", "＋1+1", "－1+1", "＠SUM(1)"}
	r := result{}
	for _, name := range names {
		p, err := w.person(ctx)
		if err != nil {
			return r, err
		}
		if _, err := w.stack.Store.Rename(ctx, p.uid, nil, &name, 1, true); err != nil {
			return r, err
		}
		r.tried++
	}
	a, err := admin.call(ctx, http.MethodGet, "/admin/users.csv", nil)
	if err != nil || a.status != http.StatusOK {
		return r, fmt.Errorf("the CSV file: %d %s %w", a.status, a.body, err)
	}
	table, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(a.body, []byte("\ufeff")))).ReadAll()
	if err != nil {
		return r, err
	}
	found := 0
	for _, line := range table {
		for _, cell := range line {
			for _, name := range names {
				if strings.HasSuffix(cell, name) {
					found++
				}
				if cell == name {
					r.through++
					r.note = strings.TrimSpace(r.note + " " + name)
				}
			}
		}
	}
	if found < len(names) {
		return r, errors.New("the names are missing from the CSV file")
	}
	return r, nil
}

// resetLinks asks the stand-in for reset links as a page does that another name leads to the loopback address.
func resetLinks(ctx context.Context, w *world) (result, error) {
	path := "http://" + w.stack.AuthAddr + "/emulator/v1/projects/" + w.stack.Project + "/oobCodes"
	r := result{}
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example"} {
		r.tried++
		a, err := w.request(ctx, http.MethodGet, path, nil, http.Header{"Host": {host}, "Authorization": {"Bearer owner"}})
		if err != nil {
			return r, err
		}
		if a.status == http.StatusOK {
			r.through++
			r.note = "at " + host
		}
	}
	return r, nil
}
