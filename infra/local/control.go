package main

//lint:file-ignore ST1005 These errors are sentences for the person at the terminal.

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

// publishPath is the path of an order that publishes data as a realtime instance does. With it, tests publish data
// that no current instance writes, such as malformed data.
const publishPath = "/publish"

type publishOrder struct {
	Data []byte `json:"data"` // base64 in JSON
}

// serveControl accepts orders from functions/cmd/createsuperuser, functions/cmd/deadletters, functions/cmd/waiting and
// this command with -superuser until stop is called. The commands need it because only one process can open the
// embedded store.
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
	// The same dead letters as in the admin panel. With the Pub/Sub emulator they wait in a topic.
	deps := operatorDeps(st)
	mux := http.NewServeMux()
	setAdmin := func(ctx context.Context, o operator.AdminOrder) (string, error) { return setSuperuser(ctx, st, o) }
	handleDeadLetters := func(ctx context.Context, o operator.DeadLetterOrder) (string, error) {
		return operator.DeadLetters(ctx, deps, o)
	}
	handleWaiting := func(ctx context.Context, o operator.WaitingOrder) (string, error) {
		return operator.Waiting(ctx, deps, o)
	}
	mux.Handle(operator.AdminPath, operator.Handle(c.Secret, setAdmin))
	mux.Handle(operator.DeadLettersPath, operator.Handle(c.Secret, handleDeadLetters))
	mux.Handle(operator.WaitingPath, operator.Handle(c.Secret, handleWaiting))
	mux.Handle(publishPath, operator.Handle(c.Secret, func(ctx context.Context, o publishOrder) (string, error) {
		return "Published.", st.Publish(ctx, o.Data)
	}))
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: mux}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // returns after Close
	}()
	return func() {
		os.Remove(path)
		srv.Close()
		<-done
	}, nil
}

// operatorDeps returns the parts of a running system that functions/operator needs.
func operatorDeps(st *stack.Stack) operator.Deps {
	return operator.Deps{Store: st.Store, Users: st.Users, Accounts: st.Accounts, Collector: st.Collector,
		Replayer: st.Replayer, Realtime: st.Realtime,
		Panel: operator.Panel{URL: st.URL, Factor: st.AdminFactor, Codes: "the terminal of infra/local"}}
}

// setSuperuser carries out an order. The answer says what to do next.
func setSuperuser(ctx context.Context, st *stack.Stack, o operator.AdminOrder) (string, error) {
	answer, err := operator.SetAdmin(ctx, operatorDeps(st), o)
	if err != nil && !o.Create && o.UID == "" && problem.Of(err).Code == "user_not_found" {
		return "", problem.New(problem.NotFound, "user_not_found",
			problem.Of(err).Message+" Sign up at "+st.URL+"/signup first.")
	}
	return answer, err
}

// sendSuperuserOrder sends an order to the launcher that uses the data folder and prints its answer.
func sendSuperuserOrder(ctx context.Context, data string, o operator.AdminOrder, out io.Writer) error {
	answer, err := operator.Send(ctx, data, operator.AdminPath, o)
	if errors.Is(err, operator.ErrNotRunning) {
		return fmt.Errorf("No chat runs with the data folder %s. Start it in another terminal: go run ./infra/local", data)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, answer)
	return err
}
