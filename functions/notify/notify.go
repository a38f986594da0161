// Package notify sends pushes about new messages to people whom nobody of their devices has reached (DESIGN §12). It
// handles the Pub/Sub messages of the topic notify.
//
// Pub/Sub delivers at least once and in any order. A push that is repeated replaces the one before, and the worker in
// the browser knows by the ids of the messages what it has shown. So an event may be handled repeatedly. Nothing here
// must be durable: the messages themselves wait in the inbox. What cannot be sent for MaxAge is dropped and counted.
//
// An event has the text of messages that were not delivered yet. It is not stored and not logged. Package away of
// realtime/ describes it.
package notify

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/phoenixchat/phoenixchat/functions/pubsubevent"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Times and limits.
const (
	MaxAge   = 10 * time.Minute // an older event is dropped
	Gather   = 3 * time.Second  // an instance sends one push per conversation in this time
	MaxAfter = 5 * time.Second  // the longest pause of a push service that is waited for
	MaxIDs   = 20               // messages that a push lists
)

// content is what the service worker of a browser gets.
type content struct {
	V            int      `json:"v"`
	To           string   `json:"to"`
	Conversation string   `json:"conversation"`
	From         string   `json:"from"`
	Name         string   `json:"name"`
	IDs          []string `json:"ids"`   // the newest MaxIDs
	Count        int      `json:"count"` // of all
	Text         string   `json:"text,omitempty"`
}

// Store is the part of the store that a Function needs.
type Store interface {
	store.Subscriptions
	User(ctx context.Context, uid string) (store.User, error)
	Choices(ctx context.Context, uid string) (store.Choices, error)
}

// Deps is what a Function needs. All but the last group is required.
type Deps struct {
	Store  Store
	Sender interface {
		Send(ctx context.Context, to store.Subscription, topic string, content []byte) push.Result
	}
	// Gates makes the gate of a user take effect, so that nothing is published anymore about messages to a user without
	// a subscription. users.Service implements it.
	Gates interface {
		RefreshGate(ctx context.Context, uid string) error
	}
	// Publisher publishes to the topic notify.
	Publisher interface {
		Publish(ctx context.Context, data []byte) error
	}

	Now  func() time.Time                                 // nil: time.Now
	Wait func(ctx context.Context, d time.Duration) error // waits for d, or until ctx ends; nil: with a timer
	Log  *slog.Logger                                     // nil: slog.Default()
}

// Function sends pushes. It is safe for concurrent use.
type Function struct {
	deps   Deps
	gather gatherer
}

// New returns a Function.
func New(deps Deps) *Function {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Wait == nil {
		deps.Wait = wait
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	f := &Function{deps: deps}
	f.gather = gatherer{now: deps.Now, wait: deps.Wait, send: f.send}
	return f
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ServeHTTP handles a Pub/Sub push as functions-framework does.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pubsubevent.Serve(w, r, f.deps.Log, f.Handle)
}

// Handle sends the pushes of one google.cloud.pubsub.topic.v1.messagePublished event. An error is transient: the same
// event should be delivered again.
func (f *Function) Handle(ctx context.Context, e event.Event) error {
	m, err := pubsubevent.Of(e)
	if err != nil {
		f.drop(ctx, e.ID(), "malformed")
		return nil
	}
	n, err := away.Decode(m.Data)
	if err != nil { // the error may have a part of the text
		f.drop(ctx, m.ID, "malformed")
		return nil
	}
	if f.tooOld(n) {
		f.drop(ctx, m.ID, "too old")
		return nil
	}
	if n.Only != nil { // it was gathered before the first attempt
		return f.send(ctx, n)
	}
	return f.gather.handle(ctx, n)
}

// drop counts an event of which nothing is sent anymore (infra/terraform/push.tf).
func (f *Function) drop(ctx context.Context, id, reason string) {
	f.deps.Log.ErrorContext(ctx, "push dropped", "id", id, "reason", reason)
}

func (f *Function) tooOld(n away.Event) bool { return f.deps.Now().Sub(n.At.Time()) > MaxAge }

// send sends an event to the devices of the recipient. If some do not get it now, it publishes an event for them alone;
// if none does, it returns an error, so that Pub/Sub repeats the event later.
func (f *Function) send(ctx context.Context, n away.Event) error {
	to, from, err := f.recipient(ctx, n)
	if err != nil || len(to) == 0 {
		return err
	}
	topic := topicOf(n)
	with, without := contents(n, from)
	outcomes := make([]push.Result, len(to))
	var wg sync.WaitGroup
	for i, s := range to {
		wg.Go(func() {
			body := without
			if s.Preview {
				body = with
			}
			outcomes[i] = f.sendOne(ctx, s, topic, body)
		})
	}
	wg.Wait()
	gone, later := map[string]bool{}, []string{}
	for i, r := range outcomes {
		if r.Outcome != push.Accepted {
			f.deps.Log.WarnContext(ctx, "push failed", "service", push.Service(to[i].Endpoint), "status", r.Status,
				"outcome", names[r.Outcome], "error", r.Err)
		}
		switch r.Outcome {
		case push.Gone:
			gone[to[i].Endpoint] = true
		case push.Later:
			later = append(later, to[i].Device)
		}
	}
	if len(gone) > 0 {
		last, err := f.deps.Store.Unsubscribe(ctx, n.UID, func(s store.Subscription) bool { return gone[s.Endpoint] })
		if err != nil { // the next push finds them again
			f.deps.Log.WarnContext(ctx, "subscriptions could not be removed", "error", err)
		}
		if last {
			f.refreshGate(ctx, n.UID)
		}
	}
	switch {
	case len(later) == 0:
		return nil
	case len(later) == len(to):
		return problem.ErrUnavailable.WithCause(errors.New("push services are not available"))
	}
	return f.publish(ctx, n, later)
}

// refreshGate ends the events about a user without a subscription. If it fails, the next event does it again.
func (f *Function) refreshGate(ctx context.Context, uid string) {
	if err := f.deps.Gates.RefreshGate(ctx, uid); err != nil {
		f.deps.Log.WarnContext(ctx, "a gate could not be sent", "uid", uid, "error", err)
	}
}

// names are the outcomes in logs.
var names = map[push.Outcome]string{push.Gone: "gone", push.Later: "later", push.Refused: "refused"}

// publish publishes the event for some devices alone.
func (f *Function) publish(ctx context.Context, n away.Event, only []string) error {
	n.Only = only
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return f.deps.Publisher.Publish(ctx, data)
}

// sendOne sends to one device. It waits once, if the push service asks for a short pause.
func (f *Function) sendOne(ctx context.Context, to store.Subscription, topic string, body []byte) push.Result {
	r := f.deps.Sender.Send(ctx, to, topic, body)
	if r.Outcome != push.Later || r.After == 0 || r.After > MaxAfter || f.deps.Wait(ctx, r.After) != nil {
		return r
	}
	return f.deps.Sender.Send(ctx, to, topic, body)
}

// recipient returns the subscriptions that may get an event, and the sender. There are none if the recipient does not
// want it now, or must not get it.
func (f *Function) recipient(ctx context.Context, n away.Event) (to []store.Subscription, from store.User, err error) {
	user, err := f.deps.Store.User(ctx, n.UID)
	if errors.Is(err, problem.ErrNotFound) || err == nil && (!user.Active() || slices.Contains(user.Blocked, n.From)) {
		return nil, from, nil
	}
	if err != nil {
		return nil, from, err
	}
	list, err := f.deps.Store.Subscriptions(ctx, n.UID)
	if err != nil {
		return nil, from, err
	}
	if len(list) == 0 && n.Only == nil { // realtime/ has missed that the last one was removed
		f.refreshGate(ctx, n.UID)
	}
	now := chat.MicrosOf(f.deps.Now())
	for _, s := range list {
		if !user.HasEnded(s.SignIn) && !s.Quiet.Now(now) && (n.Only == nil || slices.Contains(n.Only, s.Device)) {
			to = append(to, s)
		}
	}
	if len(to) == 0 {
		return nil, from, nil
	}
	choices, err := f.deps.Store.Choices(ctx, n.UID)
	if err != nil {
		return nil, from, err
	}
	if mute := choices.Conversations[n.Conversation][chat.SettingMute]; !mute.Off(now) {
		return nil, from, nil
	}
	from, err = f.deps.Store.User(ctx, n.From)
	if errors.Is(err, problem.ErrNotFound) || err == nil && (!from.Active() || slices.Contains(from.Blocked, n.UID)) {
		return nil, from, nil
	}
	return to, from, err
}

// topicOf returns the topic of an event: a push replaces one about the same conversation that the device has not got
// yet. It has no information for the push service, except that two pushes belong together.
func topicOf(n away.Event) string {
	sum := sha256.Sum256([]byte(n.UID + "/" + n.Conversation))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:32] // RFC 8030, section 5.4
}

// contents returns what devices get with a preview, and without one.
func contents(n away.Event, from store.User) (with, without []byte) {
	c := content{V: 1, To: n.UID, Conversation: n.Conversation, From: n.From, Name: from.DisplayName,
		IDs: n.IDs[max(0, len(n.IDs)-MaxIDs):], Count: len(n.IDs)}
	without = encode(c)
	c.Text = store.PreviewOf(chat.Message{Body: n.Text}).Text
	if with = encode(c); len(with) > push.MaxContent {
		with = without
	}
	return with, without
}

func encode(c content) []byte {
	b, _ := json.Marshal(c) // strings and numbers only
	return b
}
