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

// trial is one run of the test.
type trial struct {
	hosted, revision *url.URL
	header           http.Header // of every request
	out              io.Writer
	began            time.Time

	config server.ClientConfig
	users  []*user // the users that signed up, or may have, and must be deleted
}

// user is a user that exists only for this trial.
type user struct {
	email, password, username string
	signedUp                  bool // whether the sign-up was confirmed

	uid, token string
	ends       time.Time

	device *client.Client
	notes  chan client.Note // events on the device
}

// cleanUpTimeout is how long the cleanup may take, even if the time limit has passed.
const cleanUpTimeout = time.Minute

// run runs the trial. Its error names the first step that failed and the users that could not be deleted.
func (t *trial) run(ctx context.Context) (err error) {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		err = errors.Join(err, t.deleteUsers(ctx))
		if err == nil {
			t.say("both users are deleted; everything works")
		}
	}()

	if err := t.readSettings(ctx); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	t.say("read the settings from %s", t.revision)

	run := strings.ToLower(rand.Text()[:10])
	a, err := t.signUp(ctx, "smoke-a-"+run)
	if err != nil {
		return err
	}
	b, err := t.signUp(ctx, "smoke-b-"+run)
	if err != nil {
		return err
	}
	t.say("%s and %s have signed up and signed in", a.username, b.username)

	for _, p := range []*user{a, b} {
		t.connect(p)
		if _, err := p.awaitNote(ctx, func(n client.Note) bool { return n.NoteKind == client.NoteUp }); err != nil {
			return fmt.Errorf("socket of %s at %s: %w", p.username, t.socketURL(), err)
		}
	}
	t.say("two sockets are open at %s", t.socketURL())

	body := "Is this on? " + run
	id := a.device.Write(b.uid, body, "")
	got, err := b.awaitNote(ctx, func(n client.Note) bool { return n.NoteKind == client.NoteShown && n.Message.ID == id })
	if err != nil {
		return fmt.Errorf("the message did not reach %s: %w", b.username, err)
	}
	if got.Message.Body != body || got.Message.From != a.uid {
		return fmt.Errorf("the message arrived as %q from %s", got.Message.Body, got.Message.From)
	}
	if _, err := a.awaitNote(ctx, func(n client.Note) bool {
		return n.NoteKind == client.NoteState && n.Message.ID == id && n.State >= client.Delivered
	}); err != nil {
		return fmt.Errorf("the sender did not see that the message was delivered: %w", err)
	}
	t.say("the message was delivered, and its sender saw it")

	if err := t.waitSaved(ctx, b, chat.ConversationID(a.uid, b.uid), id); err != nil {
		return fmt.Errorf("the message was delivered, but is not in the archive: %w", err)
	}
	t.say("the message is saved")
	return nil
}

// signUp signs up a user and signs them in.
func (t *trial) signUp(ctx context.Context, username string) (*user, error) {
	p := &user{username: username, email: username + "@example.com", password: rand.Text() + "-aZ9",
		notes: make(chan client.Note, 256)}
	t.users = append(t.users, p)
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

// socketURL returns the address of the sockets, which is that of the tested revision.
func (t *trial) socketURL() string {
	if t.revision.Host == t.hosted.Host {
		return t.config.RealtimeURL
	}
	u := *t.revision
	u.Scheme, u.Path = "ws"+strings.TrimPrefix(u.Scheme, "http"), "/ws"
	return u.String()
}

// connect starts a device of p, which follows the rules of every client.
func (t *trial) connect(p *user) {
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: 30 * time.Second,
		Proxy: http.ProxyFromEnvironment}
	p.device = client.New(client.NewStore(p.uid, "smoke"), client.Options{
		Dial: func(ctx context.Context) (client.Conn, error) {
			conn, _, err := dialer.DialContext(ctx, t.socketURL(), t.requestHeader())
			if err != nil {
				return nil, err // without a nil *websocket.Conn in the interface
			}
			return conn, nil
		},
		Token:   func(context.Context) (string, time.Time, error) { return p.token, p.ends, nil },
		History: t.history(p),
		Note: func(n client.Note) {
			select {
			case p.notes <- n:
			default: // the test reads no more notes
			}
		},
	})
}

// requestHeader returns the header of a request. It looks like a request of a page, so that CORS and the check of
// origins are tested too.
func (t *trial) requestHeader() http.Header {
	h := t.header.Clone()
	h.Set("Origin", t.hosted.String())
	return h
}

func (t *trial) history(p *user) *client.HTTPHistory {
	return &client.HTTPHistory{Base: t.config.APIBase,
		Token: func(context.Context) (string, error) { return p.token, nil }}
}

// awaitNote reads the events on p's device until one matches. A refused message is an error.
func (p *user) awaitNote(ctx context.Context, match func(client.Note) bool) (client.Note, error) {
	for {
		select {
		case n := <-p.notes:
			if match(n) {
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

// waitSaved waits until the archive has the message.
func (t *trial) waitSaved(ctx context.Context, p *user, conversation, id string) error {
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

// deleteUsers closes the devices and deletes the users with all their data.
func (t *trial) deleteUsers(ctx context.Context) error {
	var errs []error
	for _, p := range t.users {
		if p.device != nil {
			p.device.Close()
		}
		var err error
		if p.token == "" { // the trial failed before the sign-in
			if p.token, _, _, err = signIn(ctx, t, t.config, p.email, p.password); err != nil && !p.signedUp {
				continue // the sign-up failed too
			}
		}
		if err == nil {
			err = t.call(ctx, http.MethodDelete, t.config.APIBase+"/me", p.token, nil, nil)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s could not be deleted; delete the user in the admin panel: %w", p.username, err))
		}
	}
	return errors.Join(errs...)
}

func (t *trial) say(format string, args ...any) {
	fmt.Fprintf(t.out, "%6.1f s  %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// unwrapURL removes the address, which may contain the API key, from an error of the HTTP client.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
