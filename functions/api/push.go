package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Pusher sends pushes. [push.Sender] is one.
type Pusher interface {
	// Send sends a push to a device, once, within push.SendTime. It is safe for concurrent use.
	Send(ctx context.Context, to store.Subscription, topic string, content []byte) push.Result
}

// pushDevice is a device of the caller that gets pushes. Whoever knows the whole endpoint could try to send to it, so
// only the host of the push service is shown.
type pushDevice struct {
	Device  string      `json:"device"`
	Service string      `json:"service"`
	Preview bool        `json:"preview"`
	Quiet   store.Quiet `json:"quiet"`
	At      chat.Micros `json:"at"`
}

func pushDevices(list []store.Subscription) []pushDevice {
	devices := []pushDevice{}
	for _, s := range list {
		devices = append(devices, pushDevice{s.Device, push.Service(s.Endpoint), s.Preview, s.Quiet, s.At})
	}
	return devices
}

// getPush returns the key with which browsers subscribe, and the caller's devices with a subscription.
func (a *API) getPush(ctx context.Context, r *request) (*response, error) {
	list, err := a.deps.Store.Subscriptions(ctx, r.user.UID)
	if err != nil {
		return nil, err
	}
	pair, err := a.deps.PushKeys.Pair(ctx)
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{"public_key": pair.Public, "devices": pushDevices(list)}), nil
}

// putPush registers the push subscription of a device. It may be repeated.
func (a *API) putPush(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Device   string `json:"device"`
		Endpoint string `json:"endpoint"`
		Keys     struct {
			P256DH string `json:"p256dh"`
			Auth   string `json:"auth"`
		} `json:"keys"`
		Preview *bool       `json:"preview"`
		Quiet   store.Quiet `json:"quiet"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := push.CheckDevice(in.Device); err != nil {
		return nil, err
	}
	if err := a.deps.PushServices.Check(in.Endpoint); err != nil {
		return nil, err
	}
	point, secret, err := push.DecodeKeys(in.Keys.P256DH, in.Keys.Auth)
	if err != nil {
		return nil, err
	}
	now := micros(a.deps.Now())
	if err := in.Quiet.Check(now); err != nil {
		return nil, push.ErrQuiet.WithCause(err)
	}
	return &response{}, a.users.Subscribe(ctx, r.user, store.Subscription{
		Device: in.Device, Endpoint: in.Endpoint, P256DH: point, Auth: secret,
		Preview: in.Preview == nil || *in.Preview, Quiet: in.Quiet,
		SignIn: store.SignInTime(r.claims.AuthTime), At: now,
	})
}

// errNoDevice answers a call about a device that gets no pushes.
var errNoDevice = problem.New(problem.NotFound, "push_not_registered", "This device does not get notifications.")

// testTopic replaces an earlier test that a device has not got yet.
const testTopic = "test"

// testPush sends a device of the caller a push that its worker shows. A device that got one may sleep (DESIGN §12).
func (a *API) testPush(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Device string `json:"device"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := push.CheckDevice(in.Device); err != nil {
		return nil, err
	}
	list, err := a.deps.Store.Subscriptions(ctx, r.user.UID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(s store.Subscription) bool {
		return s.Device == in.Device && !r.user.HasEnded(s.SignIn)
	})
	if i < 0 {
		return nil, errNoDevice
	}
	content, err := json.Marshal(map[string]any{"v": 1, "to": r.user.UID, "kind": "test"})
	if err != nil {
		return nil, err
	}
	result := a.deps.Pushes.Send(ctx, list[i], testTopic, content)
	switch result.Outcome {
	case push.Accepted:
		return &response{}, nil
	case push.Gone:
		endpoint := list[i].Endpoint
		return nil, errors.Join(errNoDevice, a.users.Unsubscribe(ctx, r.user,
			func(s store.Subscription) bool { return s.Endpoint == endpoint }))
	default:
		return nil, problem.ErrUnavailable.WithCause(fmt.Errorf("the push service answered %d: %w", result.Status,
			cmp.Or(result.Err, errors.New("no error"))))
	}
}

// deletePush removes the subscription of a device. It succeeds if there is none.
func (a *API) deletePush(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Device string `json:"device"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := push.CheckDevice(in.Device); err != nil {
		return nil, err
	}
	return &response{}, a.users.Unsubscribe(ctx, r.user,
		func(s store.Subscription) bool { return s.Device == in.Device })
}
