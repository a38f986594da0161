package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/authstub"
)

// unconfirmed writes to as many new people as possible from an account whose address is not confirmed. Then the address
// is confirmed, and the same socket goes on. People who have written first are answered without a limit.
func unconfirmed(ctx context.Context, w *world) (result, error) {
	const before, after = 3, 20
	me, err := w.signUp(ctx, "unconfirmed@example.org")
	if err != nil {
		return result{}, err
	}
	friends, err := w.persons(ctx, before+2)
	if err != nil {
		return result{}, err
	}
	if err := me.befriend(ctx, friends...); err != nil {
		return result{}, fmt.Errorf("answer those who wrote first: %w", err)
	}
	strangers, err := w.persons(ctx, 2*after)
	if err != nil {
		return result{}, err
	}
	s, err := me.open(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	r := result{}
	reached := map[string]bool{}
	// reach writes to all strangers and checks how many people that has reached in all.
	reach := func(when string, want int) error {
		tried, sent := s.sendAll(ctx, uidsOf(strangers), "hello "+when)
		for uid := range sent {
			reached[uid] = true
		}
		r.tried += tried
		if n := beyond(len(reached), want); n > 0 {
			r.through += n
			r.note += fmt.Sprintf("%d people %s; ", len(reached), when)
		}
		if len(reached) < want || s.isEnded() {
			return fmt.Errorf("%s: %d new people were reached, want %d", when, len(reached), want)
		}
		for _, p := range strangers {
			if reached[p.uid] {
				continue
			}
			if answer := s.answerTo(ctx, s.send(p.uid, "hello again")); answer != "too_many_new_people" {
				return fmt.Errorf("%s: a message to another new person was answered %q", when, answer)
			}
			break
		}
		return nil
	}
	if err := reach("before", before); err != nil {
		return r, err
	}
	for _, p := range friends {
		if answer := s.answerTo(ctx, s.send(p.uid, "an answer")); answer != "sent" {
			return r, fmt.Errorf("an answer was answered %q", answer)
		}
	}
	if err := me.confirm(ctx); err != nil {
		return r, err
	}
	return r, reach("after", after)
}

// confirm opens the link that the person asks for, and calls the API with a token that says so.
func (p *person) confirm(ctx context.Context) error {
	const accountsAPI = "identitytoolkit.googleapis.com/v1/accounts:"
	a, err := p.w.auth(ctx, accountsAPI+"sendOobCode",
		map[string]string{"requestType": authstub.VerifyEmail, "idToken": p.token})
	if err != nil || a.status != http.StatusOK {
		return fmt.Errorf("ask for the mail: %d %s %w", a.status, a.body, err)
	}
	mail, err := p.w.mailTo(p.email)
	if err != nil {
		return err
	}
	link, err := url.Parse(mail.Link)
	if err != nil {
		return err
	}
	a, err = p.w.auth(ctx, accountsAPI+"update", map[string]string{"oobCode": link.Query().Get("oobCode")})
	if err != nil || a.status != http.StatusOK {
		return fmt.Errorf("confirm the address: %d %s %w", a.status, a.body, err)
	}
	// The times of tokens have whole seconds, so a token of the second in which the person signed up is not yet newer
	// than the copy of the address.
	confirmed := eventually(ctx, 5*time.Second, func() bool {
		if a, err = p.w.refresh(ctx, p.refresh); err != nil || a.status != http.StatusOK {
			return false
		}
		p.token = a.field("id_token")
		a, err = p.call(ctx, http.MethodGet, "/me", nil)
		return err == nil && bytes.Contains(a.body, []byte(`"email_verified":true`))
	})
	if !confirmed {
		return fmt.Errorf("the address is not confirmed: %d %s %w", a.status, a.body, err)
	}
	return nil
}
