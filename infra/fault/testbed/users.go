package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// AddUsers creates n users and returns their uids.
func (tb *Testbed) AddUsers(ctx context.Context, n int) ([]string, error) {
	return tb.archive.AddUsers(ctx, n)
}

// Token returns an ID token for uid, and when it expires.
func (tb *Testbed) Token(uid string) (string, time.Time, error) { return tb.archive.Token(uid) }

// History returns the saved conversations as uid can read them.
func (tb *Testbed) History(uid string) client.History { return tb.archive.History(uid) }

// List returns the conversations of uid as the API lists them.
func (tb *Testbed) List(ctx context.Context, uid string) ([]record.Item, error) {
	return tb.archive.List(ctx, uid)
}

// serveStore serves gates, and who has written in a conversation, to the instances. It replaces their reads of
// Firestore.
func (tb *Testbed) serveStore() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for reads of the store: %w", err)
	}
	mux := http.NewServeMux()
	serve := func(pattern string, read func(ctx context.Context, id string) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := read(r.Context(), r.PathValue("id"))
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	serve("GET /gates/{id}", func(ctx context.Context, id string) (any, error) { return tb.archive.Gate(ctx, id) })
	serve("GET /writers/{id}", func(ctx context.Context, id string) (any, error) { return tb.archive.Writers(ctx, id) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	tb.storeAddr = l.Addr().String()
	go func() { _ = server.Serve(l) }()
	tb.closers = append(tb.closers, func() { _ = server.Close() })
	return nil
}
