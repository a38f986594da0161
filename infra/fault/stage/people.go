package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Enrol makes n people and returns their uids.
func (s *Stage) Enrol(ctx context.Context, n int) ([]string, error) {
	var uids []string
	now := chat.MicrosOf(time.Now())
	for i := range n {
		uid := fmt.Sprintf("person%05d", i+1)
		email := uid + "@example.org"
		sign, err := s.archive.Reserve(ctx, email, uid, uid, uid, now, time.Minute)
		if err != nil {
			return nil, fmt.Errorf("enrol %s: %w", uid, err)
		}
		u := store.User{UID: sign.UID, Username: uid, DisplayName: fmt.Sprintf("Person %d", i+1), Email: email, CreatedAt: now}
		if err := s.archive.Commit(ctx, sign, u); err != nil {
			return nil, fmt.Errorf("enrol %s: %w", uid, err)
		}
		uids = append(uids, sign.UID)
	}
	return uids, nil
}

// tokenLife is as long as that of Firebase's ID tokens.
const tokenLife = time.Hour

// Token returns an ID token for uid, unsigned, as the Auth emulator makes them.
func (s *Stage) Token(uid string) (string, time.Time, error) {
	now := time.Now().Add(-5 * time.Second)
	ends := now.Add(tokenLife)
	t := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + project, "aud": project, "sub": uid,
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": ends.Unix(), "email": uid + "@example.org",
	})
	token, err := t.SignedString(jwt.UnsafeAllowNoneSignatureType)
	return token, ends, err
}

// serveGates answers the instances' questions about people, in the place of
// their reads of Firestore.
func (s *Stage) serveGates() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for gates: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /gates/{uid}", func(w http.ResponseWriter, r *http.Request) {
		s.archive.gates.Add(1)
		u, err := s.archive.User(r.Context(), r.PathValue("uid"))
		if err != nil && !errors.Is(err, problem.ErrNotFound) {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(gate.Gate{Exists: err == nil && u.ErasingAt == 0, Disabled: u.Disabled, Blocked: u.Blocked})
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.webAddr = l.Addr().String()
	go func() { _ = server.Serve(l) }()
	s.closers = append(s.closers, func() { _ = server.Close() })
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serveAPI makes the HTTP functions, which this process calls without a network.
func (s *Stage) serveAPI() error {
	verifier, err := identity.NewEmulator(project, func(name string) string {
		if name == "FIREBASE_AUTH_EMULATOR_HOST" {
			return "in this process"
		}
		return ""
	}, nil)
	if err != nil {
		return err
	}
	s.api = api.New(api.Deps{Store: s.archive, Verifier: verifier, Origins: []string{Origin}, Log: quiet()}).Handler()
	return nil
}

// History returns the saved conversations as uid can read them, over the HTTP functions.
func (s *Stage) History(uid string) client.History {
	return &client.HTTPHistory{
		Base: Origin + "/api",
		Token: func(context.Context) (string, error) {
			token, _, err := s.Token(uid)
			return token, err
		},
		Client: &http.Client{Transport: inProcess{s.api}},
	}
}

// inProcess carries requests to a handler without a network.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}
