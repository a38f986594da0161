package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/stack"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"

	"github.com/google/uuid"
)

// The embedded store can be open in one process only, so a second command
// reaches it through the one that runs: over an address and a secret that lie in the data
// folder, where only who owns it can read them.

// control is the content of the file.
type control struct {
	URL    string `json:"url"`
	Secret string `json:"secret"`
}

func controlPath(data string) string { return filepath.Join(data, "control.json") }

// order is what a second command asks for.
type order struct {
	Superuser string `json:"superuser"` // email address
	Revoke    bool   `json:"revoke"`
}

// serveControl takes orders until stop is called.
func serveControl(st *stack.Stack, data string) (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := control{URL: "http://" + l.Addr().String(), Secret: rand.Text()}
	b, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(controlPath(data), b, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+c.Secret {
			http.Error(w, "This address is for the launcher's own commands.", http.StatusForbidden)
			return
		}
		var o order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
			http.Error(w, "This is no order.", http.StatusBadRequest)
			return
		}
		told, err := setSuperuser(r.Context(), st, o)
		if err != nil {
			http.Error(w, problem.Of(err).Message, problem.Of(err).Kind.HTTPStatus())
			return
		}
		fmt.Fprintln(w, told)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with Close
	}()
	return func() {
		os.Remove(controlPath(data))
		srv.Close()
		<-done
	}, nil
}

// setSuperuser makes somebody an admin, or one no longer, and writes it into the audit log.
func setSuperuser(ctx context.Context, st *stack.Stack, o order) (string, error) {
	u, err := st.Store.UserByEmail(ctx, o.Superuser)
	if errors.Is(err, problem.ErrNotFound) {
		return "", problem.New(problem.NotFound, "not_found", "Nobody has signed up with "+o.Superuser+". Sign up at "+st.URL+"/signup first.")
	}
	if err != nil {
		return "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	entry := store.Audit{ID: id.String(), At: chat.MicrosOf(time.Now()), By: "command:local", ByName: "infra/local", On: u.UID, OnName: u.DisplayName, Action: "make_admin"}
	told := u.DisplayName + " is an admin now: " + st.URL + "/admin"
	if o.Revoke {
		entry.Action, told = "unmake_admin", u.DisplayName+" is no admin any more."
	}
	if err := st.Store.AddAudit(ctx, entry); err != nil {
		return "", err
	}
	_, err = st.People.SetAdmin(ctx, u.UID, !o.Revoke, false)
	return told, err
}

// send gives an order to the launcher that runs with the data folder and prints its answer.
func (o order) send(ctx context.Context, data string, out io.Writer) error {
	var c control
	b, err := os.ReadFile(controlPath(data))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	notRunning := fmt.Errorf("No chat runs with the data folder %s. Start it in another terminal: go run ./infra/local", data)
	if err != nil {
		return notRunning
	}
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return notRunning
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(string(bytes.TrimSpace(answer)))
	}
	_, err = out.Write(answer)
	return err
}
