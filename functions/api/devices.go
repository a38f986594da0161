package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/clientaddr"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// device is where the caller is signed in.
type device struct {
	ID      string      `json:"id"`
	FirstAt chat.Micros `json:"first_at"`
	LastAt  chat.Micros `json:"last_at"` // to the hour
	This    bool        `json:"this"`    // the caller's
	useragent.Client
}

func deviceOf(d store.Device, signIn chat.Micros) device {
	return device{ID: d.ID(), FirstAt: d.First, LastAt: d.Last, This: d.Has(signIn), Client: d.Client}
}

// devicesOf returns where the caller is signed in, the newest first.
func (a *API) devicesOf(r *request) []device {
	list := []device{}
	for _, d := range r.user.ListedDevices(micros(a.deps.Now())) {
		list = append(list, deviceOf(d, store.SignInTime(r.claims.AuthTime)))
	}
	return list
}

// newestOther returns the newest device of u, who is the caller, that signed in after the caller's device, or nil.
func (a *API) newestOther(r *request, u store.User) *device {
	signIn := store.SignInTime(r.claims.AuthTime)
	since := signIn
	if mine, listed := u.DeviceOf(signIn); listed {
		since = mine.First
	}
	for _, d := range u.ListedDevices(micros(a.deps.Now())) { // the newest first
		if !d.Has(signIn) && d.First > since {
			newest := deviceOf(d, signIn)
			return &newest
		}
	}
	return nil
}

// listDevices lists where the caller is signed in.
func (a *API) listDevices(_ context.Context, r *request) (*response, error) {
	return ok(map[string]any{"devices": a.devicesOf(r)}), nil
}

// signOutDevice signs the caller out on one device, which deletes its data.
func (a *API) signOutDevice(ctx context.Context, r *request) (*response, error) {
	id := r.http.PathValue("id")
	if err := a.users.SignOutDevice(ctx, r.user.UID, id); err != nil {
		return nil, err
	}
	a.deps.Log.InfoContext(ctx, "signed out a device", "uid", r.user.UID, "device", id,
		"auth_time", r.claims.AuthTime.UTC(), "client", clientaddr.Of(r.http, a.deps.Proxies))
	return &response{}, nil
}

// signOutDevices signs the caller out everywhere else.
func (a *API) signOutDevices(ctx context.Context, r *request) (*response, error) {
	if err := a.requireFresh(r, freshSignIn); err != nil {
		return nil, err
	}
	if err := a.users.SignOutOthers(ctx, r.user.UID, r.claims.AuthTime); err != nil {
		return nil, err
	}
	a.deps.Log.InfoContext(ctx, "signed out all other devices", "uid", r.user.UID,
		"auth_time", r.claims.AuthTime.UTC(), "client", clientaddr.Of(r.http, a.deps.Proxies))
	return &response{}, nil
}

// renewSignIn joins the caller's sign-in to the device of the one that it replaces, because the password was entered
// again there. It is the first call with the new sign-in, so that this is not announced as a new device. The token of
// the old sign-in proves that it is the same device. If it has expired, or its sign-in has ended, the new sign-in is
// another device.
func (a *API) renewSignIn(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Replaces string `json:"replaces"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	replaces := chat.Micros(0)
	claims, err := a.deps.Verifier.Verify(ctx, in.Replaces)
	switch {
	case err == nil && claims.UID == r.claims.UID:
		replaces = store.SignInTime(claims.AuthTime)
	case err == nil:
		return nil, problem.ErrUnauthenticated.WithCause(fmt.Errorf("the replaced sign-in is that of %s", claims.UID))
	case errors.Is(err, problem.ErrUnavailable):
		return nil, err
	}
	return &response{}, a.followAccount(ctx, r, replaces)
}
