// Command twin has two people chat through a running system with the Go client of its own commit. Command rollback
// builds it in the tree of each release, so it uses only what has long been there.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func main() {
	url := flag.String("url", "", "address of the system")
	from := flag.String("from", "", "email address of the person who writes first")
	to := flag.String("to", "", "email address of the person who answers")
	password := flag.String("password", "", "of both")
	say := flag.String("say", "", "what they write; the other arguments are what they wrote before")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, *url, *from, *to, *password, *say, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "twin:", err)
		os.Exit(1)
	}
}

// person is a person with one device, which is new.
type person struct {
	uid   string
	store *client.Store
	app   *client.Client
}

func run(ctx context.Context, url, from, to, password, say string, earlier []string) error {
	a, err := connect(ctx, url, from, password)
	if err != nil {
		return err
	}
	defer a.app.Kill()
	b, err := connect(ctx, url, to, password)
	if err != nil {
		return err
	}
	defer b.app.Kill()
	conversation := chat.ConversationID(a.uid, b.uid)
	for _, p := range []*person{a, b} {
		if err := await(ctx, "to be connected", p.app.Up); err != nil {
			return err
		}
		if err := p.app.Open(ctx, conversation, true); err != nil {
			return fmt.Errorf("load the conversation: %w", err)
		}
	}
	for i, turn := range []struct{ from, to *person }{{a, b}, {b, a}} {
		body := fmt.Sprint(say, " ", i)
		id := turn.from.app.Write(turn.to.uid, body, "")
		if err := await(ctx, fmt.Sprintf("%q to be shown to the other person", body), func() bool {
			return turn.to.count(conversation, body) == 1
		}); err != nil {
			return err
		}
		if err := await(ctx, fmt.Sprintf("%q to be delivered", body), func() bool {
			for _, l := range turn.from.store.Conversation(conversation) {
				if l.ID == id {
					return l.State >= client.Delivered
				}
			}
			return false
		}); err != nil {
			return err
		}
	}
	for _, body := range earlier {
		for i := range 2 {
			for _, p := range []*person{a, b} {
				if n := p.count(conversation, fmt.Sprint(body, " ", i)); n != 1 {
					return fmt.Errorf("%q is shown %d times", fmt.Sprint(body, " ", i), n)
				}
			}
		}
	}
	return nil
}

func (p *person) count(conversation, body string) (n int) {
	for _, l := range p.store.Conversation(conversation) {
		if l.Body == body {
			n++
		}
	}
	return n
}

func await(ctx context.Context, what string, ok func() bool) error {
	for !ok() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

func connect(ctx context.Context, url, email, password string) (*person, error) {
	var config struct {
		APIBase     string `json:"api_base"`
		RealtimeURL string `json:"realtime_url"`
		Auth        string `json:"auth_emulator_url"`
		Firebase    struct {
			APIKey string `json:"apiKey"`
		} `json:"firebase"`
	}
	if err := call(ctx, http.MethodGet, url+"/config.json", nil, &config); err != nil {
		return nil, err
	}
	var in struct {
		IDToken string `json:"idToken"`
		LocalID string `json:"localId"`
	}
	err := call(ctx, http.MethodPost,
		config.Auth+"/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key="+config.Firebase.APIKey,
		map[string]any{"email": email, "password": password, "returnSecureToken": true}, &in)
	if err != nil {
		return nil, fmt.Errorf("sign in %s: %w", email, err)
	}
	if strings.HasPrefix(config.APIBase, "/") {
		config.APIBase = url + config.APIBase
	}
	token := func(context.Context) (string, error) { return in.IDToken, nil }
	store := client.NewStore(in.LocalID, fmt.Sprintf("twin-%d", time.Now().UnixNano()))
	app := client.New(store, client.Options{
		Dial: func(ctx context.Context) (client.Conn, error) {
			d := websocket.Dialer{Subprotocols: []string{"chat.v1"}}
			conn, _, err := d.DialContext(ctx, config.RealtimeURL, http.Header{"Origin": {url}})
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
		Token: func(ctx context.Context) (string, time.Time, error) {
			t, err := token(ctx)
			return t, time.Now().Add(time.Hour), err
		},
		History: &client.HTTPHistory{Base: config.APIBase, Token: token},
	})
	return &person{in.LocalID, store, app}, nil
}

func call(ctx context.Context, method, url string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
