package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
)

// AddUsers creates n users and returns their uids.
func (tb *Testbed) AddUsers(ctx context.Context, n int) ([]string, error) {
	return tb.archive.AddUsers(ctx, n)
}

// Token returns an ID token for uid, and when it expires.
func (tb *Testbed) Token(uid string) (string, time.Time, error) { return tb.archive.Token(uid) }

// History returns the saved conversations as uid can read them.
func (tb *Testbed) History(uid string) client.History { return tb.archive.History(uid) }

// serveGates serves the gates of users to the instances. It replaces their reads of Firestore.
func (tb *Testbed) serveGates() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for gates: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /gates/{uid}", func(w http.ResponseWriter, r *http.Request) {
		g, err := tb.archive.Gate(r.Context(), r.PathValue("uid"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(g)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	tb.gatesAddr = l.Addr().String()
	go func() { _ = server.Serve(l) }()
	tb.closers = append(tb.closers, func() { _ = server.Close() })
	return nil
}
