package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Services is the identity.ServiceVerifier of a Rig's instances. It accepts one token.
type Services struct{}

// ServiceToken is that token.
const ServiceToken = "service-token"

// VerifyService implements identity.ServiceVerifier.
func (Services) VerifyService(_ context.Context, token string) (string, error) {
	switch token {
	case ServiceToken:
		return "functions@demo-chat.iam.gserviceaccount.com", nil
	case "other-account":
		return "", problem.ErrForbidden
	}
	return "", problem.ErrUnauthenticated
}

// Call makes an internal call with the token and a JSON body. A string is sent as it is; nil sends no body.
func (in *Instance) Call(ctx context.Context, method, path, token string, body any) *httptest.ResponseRecorder {
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	default:
		data, _ = json.Marshal(b)
	}
	r := httptest.NewRequestWithContext(ctx, method, "http://chat.example.org"+path, bytes.NewReader(data))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	in.ServeHTTP(w, r)
	return w
}

// ChangeGate reports a changed gate to the instance, as the functions do.
func (in *Instance) ChangeGate(ctx context.Context, uid string, g gate.Gate) error {
	call := internalapi.Gate{UID: uid, Exists: g.Exists, Disabled: g.Disabled, Blocked: g.Blocked, Privacy: g.Privacy,
		Unverified: g.Unverified}
	if !g.ValidAfter.IsZero() {
		call.ValidAfter = chat.MicrosOf(g.ValidAfter)
	}
	for _, signIn := range g.Ended {
		call.Ended = append(call.Ended, chat.MicrosOf(signIn))
	}
	for _, signIn := range g.SignedOut {
		call.SignedOut = append(call.SignedOut, chat.MicrosOf(signIn))
	}
	if w := in.Call(ctx, http.MethodPost, internalapi.GatePath, ServiceToken, call); w.Code != http.StatusNoContent {
		return fmt.Errorf("POST %s: %d %s", internalapi.GatePath, w.Code, w.Body)
	}
	return nil
}
