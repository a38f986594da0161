package main

import (
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

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/infra/stack"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// publishPath takes data and publishes it as a realtime instance does, so that tests can
// have what no instance of today would write: of another version, or malformed.
const publishPath = "/publish"

type publishOrder struct {
	Data []byte `json:"data"` // base64 in JSON
}

// serveControl takes orders of functions/cmd/createsuperuser and deadletters, and of
// this command with -superuser, until stop is called: the embedded store can
// be open in one process only, so they reach it through the one that runs.
func serveControl(st *stack.Stack, data string) (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := operator.Address{URL: "http://" + l.Addr().String(), Secret: rand.Text()}
	path := filepath.Join(data, operator.File)
	b, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	// The same dead letters as the panel's: with the Pub/Sub emulator they wait in a topic.
	deps := operatorDeps(st)
	mux := http.NewServeMux()
	setAdmin := func(ctx context.Context, o operator.AdminOrder) (string, error) { return setSuperuser(ctx, st, o) }
	handleDeadLetters := func(ctx context.Context, o operator.DeadLetterOrder) (string, error) {
		return operator.DeadLetters(ctx, deps, o)
	}
	mux.Handle(operator.AdminPath, operator.Handle(c.Secret, setAdmin))
	mux.Handle(operator.DeadLettersPath, operator.Handle(c.Secret, handleDeadLetters))
	mux.Handle(publishPath, operator.Handle(c.Secret, func(ctx context.Context, o publishOrder) (string, error) {
		return "Published.", st.Publish(ctx, o.Data)
	}))
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: mux}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with Close
	}()
	return func() {
		os.Remove(path)
		srv.Close()
		<-done
	}, nil
}

// operatorDeps is what the orders of functions/operator need of a running system.
func operatorDeps(st *stack.Stack) operator.Deps {
	return operator.Deps{Store: st.Store, Users: st.Users, Collector: st.Collector, Replayer: st.Replayer}
}

// setSuperuser carries out an order and says where to go from there.
func setSuperuser(ctx context.Context, st *stack.Stack, o operator.AdminOrder) (string, error) {
	told, err := operator.SetAdmin(ctx, operatorDeps(st), o)
	switch {
	case err != nil && !o.Create && problem.Of(err).Code == "user_not_found":
		return "", problem.New(problem.NotFound, "user_not_found", problem.Of(err).Message+" Sign up at "+st.URL+"/signup first.")
	case err != nil || o.Revoke:
		return told, err
	}
	return told + "\nThe panel is at " + st.URL + "/admin", nil
}

// order gives an order to the launcher that runs with the data folder and prints its answer.
func order(ctx context.Context, data string, o operator.AdminOrder, out io.Writer) error {
	told, err := operator.Send(ctx, data, operator.AdminPath, o)
	if errors.Is(err, operator.ErrNotRunning) {
		return fmt.Errorf("No chat runs with the data folder %s. Start it in another terminal: go run ./infra/local", data)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, told)
	return err
}
