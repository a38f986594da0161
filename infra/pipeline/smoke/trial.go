package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// trial is one run of the test.
type trial struct {
	hosted, revision *url.URL
	header           http.Header // of every request
	out              io.Writer
	began            time.Time

	identity identity     // nil: not the prober
	log      *slog.Logger // of steps; nil: not the prober
	silent   bool         // steps are not logged

	config server.ClientConfig
	users  []*user // the users that signed up, or may have, and must be deleted; or the prober's
}

// user is a user that exists only for this trial, or one of the prober's.
type user struct {
	email, password, username string
	signedUp                  bool // whether the sign-up was confirmed
	permanent                 bool // one of the prober's users, who is not deleted

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
		err = errors.Join(err, t.cleanUp(ctx))
		switch {
		case err != nil:
		case t.identity != nil:
			t.say("everything works")
		default:
			t.say("both users are deleted; everything works")
		}
	}()

	run := strings.ToLower(rand.Text()[:10])
	var a, b *user
	err = t.step("sign_in", signInWithin, func() (err error) {
		if err := t.readSettings(ctx); err != nil {
			return fmt.Errorf("settings: %w", err)
		}
		t.say("read the settings from %s", t.revision)
		a, b, err = t.twoUsers(ctx, run)
		return err
	})
	if err != nil {
		return err
	}

	err = t.step("hello", helloWithin, func() error {
		for _, p := range []*user{a, b} {
			t.connect(p, run)
			up := func(n client.Note) bool { return n.NoteKind == client.NoteUp }
			if _, err := p.awaitNote(ctx, up); err != nil {
				return fmt.Errorf("socket of %s at %s: %w", p.username, t.socketURL(), err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.say("two sockets are open at %s", t.socketURL())

	var id string
	err = t.step("delivered", deliveredWithin, func() (err error) {
		id, err = exchange(ctx, a, b, "Is this on? "+run)
		return err
	})
	if err != nil {
		return err
	}
	err = t.step("delivered", deliveredWithin, func() (err error) {
		_, err = exchange(ctx, b, a, "It is. "+run)
		return err
	})
	if err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	t.say("the message was delivered, its sender saw it, and the answer arrived")

	return t.step("saved", savedWithin, func() error {
		if err := t.waitSaved(ctx, b, chat.ConversationID(a.uid, b.uid), id); err != nil {
			return fmt.Errorf("the message was delivered, but is not in the archive: %w", err)
		}
		t.say("the message is saved")
		return nil
	})
}

// How long a step may take for the prober. A longer step is not an error, but counts against the objective. Signing in
// includes the cold start of a function.
const (
	signInWithin    = 15 * time.Second
	helloWithin     = 15 * time.Second
	deliveredWithin = 2 * time.Second
	savedWithin     = time.Minute
)

// step takes a step of the trial, and logs for the prober whether it succeeded in time.
func (t *trial) step(name string, within time.Duration, f func() error) error {
	began := time.Now()
	err := f()
	if t.log == nil || t.silent {
		return err
	}
	took, outcome := time.Since(began), "good"
	attrs := []slog.Attr{slog.String("step", name), slog.Int64("took_ms", took.Milliseconds())}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	if err != nil || took > within {
		outcome = "bad"
	}
	t.log.LogAttrs(context.Background(), slog.LevelInfo, "probe", append(attrs, slog.String("outcome", outcome))...)
	return err
}

// exchange sends a message, and waits until it has arrived and its sender knows that. It returns its id.
func exchange(ctx context.Context, from, to *user, body string) (string, error) {
	id := from.device.Write(to.uid, body, "")
	got, err := to.awaitNote(ctx, func(n client.Note) bool {
		return n.NoteKind == client.NoteShown && n.Message.ID == id
	})
	if err != nil {
		return id, fmt.Errorf("the message did not reach %s: %w", to.username, err)
	}
	if got.Message.Body != body || got.Message.From != from.uid {
		return id, fmt.Errorf("the message arrived as %q from %s", got.Message.Body, got.Message.From)
	}
	if _, err := from.awaitNote(ctx, func(n client.Note) bool {
		return n.NoteKind == client.NoteState && n.Message.ID == id && n.State >= client.Delivered
	}); err != nil {
		return id, fmt.Errorf("the sender did not see that the message was delivered: %w", err)
	}
	return id, nil
}

// twoUsers returns two users who are signed in: the prober's, or new ones.
func (t *trial) twoUsers(ctx context.Context, run string) (a, b *user, err error) {
	if t.identity != nil {
		return t.probers(ctx)
	}
	if a, err = t.signUp(ctx, "smoke-a-"+run); err == nil {
		b, err = t.signUp(ctx, "smoke-b-"+run)
	}
	if err == nil {
		t.say("%s and %s have signed up and signed in", a.username, b.username)
	}
	return a, b, err
}

// probers signs in as the two users of the prober.
func (t *trial) probers(ctx context.Context) (a, b *user, err error) {
	token, err := t.identity(ctx, prober.Audience(t.hosted.String()))
	if err != nil {
		return nil, nil, err
	}
	var probe prober.Answer
	if err := t.call(ctx, http.MethodPost, t.config.APIBase+prober.Path, token, nil, &probe); err != nil {
		return nil, nil, fmt.Errorf("the prober's users: %w", err)
	}
	if len(probe.Users) != 2 {
		return nil, nil, fmt.Errorf("the prober has %d users, want 2", len(probe.Users))
	}
	for _, u := range probe.Users {
		p := &user{uid: u.UID, username: u.Username, permanent: true, notes: make(chan client.Note, 256)}
		t.users = append(t.users, p)
		if p.token, p.ends, err = signInWithToken(ctx, t, u.Token); err != nil {
			return nil, nil, fmt.Errorf("sign-in: %w", err)
		}
	}
	t.say("the prober's users have signed in")
	return t.users[0], t.users[1], nil
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
func (t *trial) connect(p *user, run string) {
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: 30 * time.Second,
		Proxy: http.ProxyFromEnvironment}
	p.device = client.New(client.NewStore(p.uid, "smoke-"+run), client.Options{
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
		if err == nil && slices.ContainsFunc(page.Messages, func(m delivery.Delivered) bool { return m.ID == id }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(time.Second):
		}
	}
}

// cleanUp closes the devices. It deletes the users with all their data, except those of the prober.
func (t *trial) cleanUp(ctx context.Context) error {
	var errs []error
	for _, p := range t.users {
		if p.device != nil {
			p.device.Close()
		}
		if p.permanent {
			continue
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
	if t.log != nil {
		t.log.Info(fmt.Sprintf(format, args...))
		return
	}
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
