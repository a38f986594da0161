package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// trial is one run.
type trial struct {
	hosted, revision *url.URL
	out              io.Writer
	began            time.Time

	config server.ClientConfig
	people []*person // who has signed up, or may have, and must leave again
}

// person is somebody who exists for this trial only.
type person struct {
	email, password, username string
	signedUp                  bool // and the answer said so

	uid, token string
	ends       time.Time

	device *client.Client
	notes  chan client.Note // what happens on the device
}

// leaveWithin is how long cleaning up may take, also after everything else ran out of time.
const leaveWithin = time.Minute

// run does it all; the error names the first step that failed, and what could not be cleaned up.
func (t *trial) run(ctx context.Context) (err error) {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
		defer cancel()
		err = errors.Join(err, t.leave(ctx))
		if err == nil {
			t.say("both have left; all of it works")
		}
	}()

	if err := t.settings(ctx); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	t.say("settings read from %s", t.revision)

	run := strings.ToLower(rand.Text()[:10])
	a, err := t.join(ctx, "smoke-a-"+run)
	if err != nil {
		return err
	}
	b, err := t.join(ctx, "smoke-b-"+run)
	if err != nil {
		return err
	}
	t.say("%s and %s have signed up and in", a.username, b.username)

	for _, p := range []*person{a, b} {
		t.connect(p)
		if _, err := p.await(ctx, func(n client.Note) bool { return n.NoteKind == client.NoteUp }); err != nil {
			return fmt.Errorf("socket of %s at %s: %w", p.username, t.socketURL(), err)
		}
	}
	t.say("two sockets are open at %s", t.socketURL())

	body := "Is this on? " + run
	id := a.device.Write(b.uid, body, "")
	got, err := b.await(ctx, func(n client.Note) bool { return n.NoteKind == client.NoteShown && n.Message.ID == id })
	if err != nil {
		return fmt.Errorf("the message did not come to %s: %w", b.username, err)
	}
	if got.Message.Body != body || got.Message.From != a.uid {
		return fmt.Errorf("the message came as %q from %s", got.Message.Body, got.Message.From)
	}
	if _, err := a.await(ctx, func(n client.Note) bool {
		return n.NoteKind == client.NoteState && n.Message.ID == id && n.State >= client.Delivered
	}); err != nil {
		return fmt.Errorf("the sender did not see it delivered: %w", err)
	}
	t.say("the message was delivered, and its sender knows")

	if err := t.saved(ctx, b, chat.ConversationID(a.uid, b.uid), id); err != nil {
		return fmt.Errorf("the message was delivered and is not in the archive: %w", err)
	}
	t.say("the message is saved")
	return nil
}

// join signs somebody up and in.
func (t *trial) join(ctx context.Context, username string) (*person, error) {
	p := &person{username: username, email: username + "@example.com", password: rand.Text() + "-aZ9", notes: make(chan client.Note, 256)}
	t.people = append(t.people, p)
	err := t.call(ctx, http.MethodPost, t.config.APIBase+"/signup", "", map[string]any{
		"email": p.email, "password": p.password, "username": p.username, "display_name": "Smoke test",
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("sign-up: %w", err)
	}
	p.signedUp = true
	if p.token, p.uid, p.ends, err = signIn(ctx, t, t.config, p.email, p.password); err != nil {
		return nil, fmt.Errorf("sign-in: %w", err)
	}
	return p, nil
}

// socketURL is where sockets are opened: at the revision that is tried.
func (t *trial) socketURL() string {
	if t.revision.Host == t.hosted.Host {
		return t.config.RealtimeURL
	}
	u := *t.revision
	u.Scheme, u.Path = "ws"+strings.TrimPrefix(u.Scheme, "http"), "/ws"
	return u.String()
}

// connect starts a device of p, which keeps the client's rules like any other.
func (t *trial) connect(p *person) {
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: 30 * time.Second, Proxy: http.ProxyFromEnvironment}
	p.device = client.New(client.NewStore(p.uid, "smoke"), client.Options{
		Dial: func(ctx context.Context) (client.Conn, error) {
			conn, _, err := dialer.DialContext(ctx, t.socketURL(), http.Header{"Origin": {t.hosted.String()}})
			if err != nil {
				return nil, err // not the nil *websocket.Conn
			}
			return conn, nil
		},
		Token:   func(context.Context) (string, time.Time, error) { return p.token, p.ends, nil },
		History: t.history(p),
		Note: func(n client.Note) {
			select {
			case p.notes <- n:
			default: // nobody waits any more
			}
		},
	})
}

func (t *trial) history(p *person) *client.HTTPHistory {
	return &client.HTTPHistory{Base: t.config.APIBase, Token: func(context.Context) (string, error) { return p.token, nil }}
}

// await reads what happens on p's device until it is what is waited for.
func (p *person) await(ctx context.Context, is func(client.Note) bool) (client.Note, error) {
	for {
		select {
		case n := <-p.notes:
			if is(n) {
				return n, nil
			}
			if n.NoteKind == client.NoteState && n.State == client.Refused {
				return n, errors.New("the message was refused")
			}
		case <-ctx.Done():
			return client.Note{}, context.Cause(ctx)
		}
	}
}

// saved waits until the archive holds the message.
func (t *trial) saved(ctx context.Context, p *person, conversation, id string) error {
	for {
		page, err := t.history(p).Messages(ctx, conversation, "", 10)
		if err == nil && slices.ContainsFunc(page.Messages, func(m chat.Message) bool { return m.ID == id }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(time.Second):
		}
	}
}

// leave closes the devices and deletes the accounts with all that is theirs.
func (t *trial) leave(ctx context.Context) error {
	var errs []error
	for _, p := range t.people {
		if p.device != nil {
			p.device.Close()
		}
		var err error
		if p.token == "" { // it broke in between
			if p.token, _, _, err = signIn(ctx, t, t.config, p.email, p.password); err != nil && !p.signedUp {
				continue // nobody
			}
		}
		if err == nil {
			err = t.call(ctx, http.MethodDelete, t.config.APIBase+"/me", p.token, nil, nil)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s could not leave, delete them in the admin panel: %w", p.username, err))
		}
	}
	return errors.Join(errs...)
}

func (t *trial) say(format string, args ...any) {
	fmt.Fprintf(t.out, "%6.1f s  %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// unwrapURL takes the address, which may hold the key, out of an error of the HTTP client.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
