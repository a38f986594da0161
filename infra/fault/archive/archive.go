// Package archive is the part of a fault run behind Pub/Sub: the persist function, the HTTP functions, and a store.
// The store records what is saved, counts what a real backend would bill, and can be down.
package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/persist"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Archive is a store.Store with the functions around it. It is safe for concurrent use.
type Archive struct {
	store.Store
	log     *record.Log
	project string
	began   time.Time // when all users signed in
	persist *persist.Function
	api     http.Handler

	down          atomic.Bool
	failAfterSave atomic.Bool // down, but saves succeed before the error is returned

	reads, writes, gates, lists, added atomic.Int64

	corrected func(ctx context.Context, call internalapi.Corrected) error // calls realtime/; see OnCorrected

	mu    sync.Mutex
	saved map[[2]string]bool // conversation and key of each message and change: true once confirmed; guarded by mu
}

// Figures counts what a deployment is billed for.
type Figures struct {
	Reads  int64 `json:"reads"`  // documents, including gates
	Writes int64 `json:"writes"` // documents
	Gates  int64 `json:"gates"`  // gates of users that instances requested
	Lists  int64 `json:"lists"`  // requests for history
}

// Figures returns the counts so far.
func (a *Archive) Figures() Figures {
	return Figures{a.reads.Load(), a.writes.Load(), a.gates.Load(), a.lists.Load()}
}

// New returns an archive that stores in s and accepts tokens of a project.
func New(s store.Store, log *record.Log, project string) (*Archive, error) {
	a := &Archive{Store: s, log: log, project: project, began: time.Now().Add(-5 * time.Second),
		saved: map[[2]string]bool{}}
	verifier, err := identity.NewEmulator(project, func(name string) string {
		return map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "in this process"}[name]
	}, nil)
	if err != nil {
		return nil, err
	}
	discard := slog.New(slog.DiscardHandler)
	a.persist = persist.New(persist.Deps{Store: a, DeadLetters: deadletter.Local{Store: a}, Realtime: a, Log: discard})
	a.api = api.New(api.Deps{Store: a, Accounts: signIns{}, Verifier: verifier, Log: discard}).Handler()
	return a, nil
}

// signIns stands for Firebase Auth, which the functions ask about each sign-in: every user has an account that nothing
// has changed.
type signIns struct{ accounts.Accounts }

// Get implements accounts.Accounts.
func (signIns) Get(_ context.Context, uid string) (accounts.Account, error) {
	return accounts.Account{UID: uid, Email: emailOf(uid), EmailVerified: true}, nil
}

// OnCorrected sets how persist calls POST /internal/corrected of an instance. Until then it cannot.
func (a *Archive) OnCorrected(call func(ctx context.Context, call internalapi.Corrected) error) {
	a.corrected = call
}

// OwnProfileChanged does nothing: each user of the fault tests signs in once.
func (a *Archive) OwnProfileChanged(context.Context, string) error { return nil }

// Corrected tells an instance what is saved, for persist.
func (a *Archive) Corrected(ctx context.Context, messages []delivery.Delivered) error {
	if a.corrected == nil {
		return errors.New("no instance can be called")
	}
	for part := range slices.Chunk(messages, correctedAtOnce) {
		if err := a.corrected(ctx, internalapi.Corrected{Messages: part}); err != nil {
			return err
		}
	}
	return nil
}

// correctedAtOnce is the number of messages in one call. The largest ones fit.
const correctedAtOnce = 10

// Persist returns the function that receives the pushes of Pub/Sub.
func (a *Archive) Persist() http.Handler { return a.persist }

// API returns the HTTP functions.
func (a *Archive) API() http.Handler { return a.api }

// Down makes the store fail for persist, the HTTP functions and gates, or repairs it. With afterSave, a save succeeds
// and returns an error nevertheless.
func (a *Archive) Down(down, afterSave bool) {
	a.failAfterSave.Store(down && afterSave)
	a.down.Store(down)
}

// Gate implements gate.Source.
func (a *Archive) Gate(ctx context.Context, uid string) (gate.Gate, error) {
	a.gates.Add(1)
	u, err := a.User(ctx, uid)
	if err != nil && !errors.Is(err, problem.ErrNotFound) {
		return gate.Gate{}, err
	}
	return gate.Gate{Exists: err == nil && u.ErasingAt == 0, Disabled: u.Disabled, Blocked: u.Blocked, Push: u.Push}, nil
}

// History returns the saved conversations as uid can read them. It calls the HTTP functions without a network.
func (a *Archive) History(uid string) client.History {
	return &client.HTTPHistory{
		Base: "http://functions/api",
		Token: func(context.Context) (string, error) {
			token, _, err := a.Token(uid)
			return token, err
		},
		Client: &http.Client{Transport: inProcess{a.api}},
	}
}

// List returns the conversations of uid as the API lists them.
func (a *Archive) List(ctx context.Context, uid string) ([]record.Item, error) {
	token, _, err := a.Token(uid)
	if err != nil {
		return nil, err
	}
	var items []record.Item
	for cursor := ""; ; {
		target := "http://functions/api/conversations?limit=200&cursor=" + url.QueryEscape(cursor)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(target, "&cursor="), nil)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		a.api.ServeHTTP(w, r)
		if w.Code == http.StatusTooManyRequests {
			seconds, _ := strconv.Atoi(w.Header().Get("Retry-After"))
			select {
			case <-time.After(time.Duration(max(seconds, 1)) * time.Second):
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if w.Code != http.StatusOK {
			return nil, fmt.Errorf("GET /conversations: %d: %s", w.Code, w.Body)
		}
		var page struct {
			Conversations []struct {
				ID      string                 `json:"id"`
				LastAt  chat.Micros            `json:"last_at"`
				Preview store.Preview          `json:"preview"`
				Unread  int                    `json:"unread"`
				Read    map[string]chat.Micros `json:"read"`
			} `json:"conversations"`
			Next string `json:"next"`
		}
		if err := json.NewDecoder(w.Body).Decode(&page); err != nil {
			return nil, fmt.Errorf("GET /conversations: %w", err)
		}
		for _, c := range page.Conversations {
			p := chat.Message{ID: c.Preview.ID, Conversation: c.ID, From: c.Preview.From, Body: c.Preview.Text, At: c.Preview.At}
			items = append(items, record.Item{Conversation: c.ID, ID: p.Key(), At: p.At, Text: record.TextOf(p),
				LastAt: c.LastAt, Unread: c.Unread, Read: c.Read})
		}
		if cursor = page.Next; cursor == "" {
			return items, nil
		}
	}
}

// inProcess is an http.RoundTripper that calls a handler without a network.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

var errDown = problem.ErrUnavailable.WithCause(errors.New("the store is down"))

// Save implements store.Archive. The record says that a message is saved just before the store is called, so that
// nobody can see the message before its entry.
func (a *Archive) Save(ctx context.Context, delivered []delivery.Delivered,
	read []delivery.Read) ([]delivery.Delivered, error) {
	if a.down.Load() && !a.failAfterSave.Load() {
		return nil, errDown
	}
	conversations := map[string]bool{}
	for _, d := range delivered {
		conversations[d.Conversation] = true
		e := record.Entry{Kind: record.Saved, ID: d.Key(), Conversation: d.Conversation, At: d.At,
			Sum: record.SumOf(d.Message), Text: record.TextOf(d.Message)}
		a.recordSaved(e)
	}
	for _, r := range read {
		conversations[r.Conversation] = true
	}
	a.writes.Add(int64(len(delivered) + len(conversations)))
	kept, err := a.Store.Save(ctx, delivered, read)
	if err == nil {
		for _, d := range delivered {
			a.recordStored(d.Conversation, d.Key())
		}
	}
	if err == nil && a.failAfterSave.Load() {
		return nil, errDown
	}
	return kept, err
}

// SaveChanges implements store.Archive. The record has the changes that count in each sum, and whether they are saved,
// as for messages.
func (a *Archive) SaveChanges(ctx context.Context, list []store.MessageChanges, now chat.Micros) error {
	if a.down.Load() && !a.failAfterSave.Load() {
		return errDown
	}
	var begun []record.Entry
	for _, c := range list {
		_, from, _ := chat.ParseKey(c.Key)
		a.reads.Add(1)
		a.writes.Add(1)
		m := chat.Message{Conversation: c.Conversation, From: from}
		for _, w := range record.Winners(record.ChangesOf(m, c.Sum)) {
			e := record.Entry{Kind: record.Saved, ID: w.ID, Conversation: c.Conversation, At: w.At, Text: w.Text,
				Name: w.Kind, Of: c.Key}
			begun = append(begun, e)
			a.recordSaved(e)
		}
	}
	err := a.Store.SaveChanges(ctx, list, now)
	if err != nil {
		return err
	}
	for _, e := range begun {
		a.recordStored(e.Conversation, e.ID)
	}
	if a.failAfterSave.Load() {
		return errDown
	}
	return nil
}

// recordSaved adds an entry about a message or a change unless the record has one. It holds the lock meanwhile, so that
// of two concurrent saves none records that the store has it before this entry.
func (a *Archive) recordSaved(e record.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := [2]string{e.Conversation, e.ID}
	if _, known := a.saved[key]; !known {
		a.saved[key] = false
		a.log.Add(e)
	}
}

// Changed implements store.Archive.
func (a *Archive) Changed(ctx context.Context, uid string, since chat.Micros, cursor string,
	limit int) ([]delivery.Delivered, string, error) {
	if a.down.Load() {
		return nil, "", errDown
	}
	a.lists.Add(1)
	list, next, err := a.Store.Changed(ctx, uid, since, cursor, limit)
	a.reads.Add(int64(1 + len(list))) // the count, and the documents
	return list, next, err
}

// recordStored records, once for each message and change, that the store has it.
func (a *Archive) recordStored(conversation, id string) {
	a.mu.Lock()
	key := [2]string{conversation, id}
	confirmed := a.saved[key]
	a.saved[key] = true
	a.mu.Unlock()
	if !confirmed {
		a.log.Add(record.Entry{Kind: record.Stored, ID: id, Conversation: conversation})
	}
}

// Conversations implements store.Archive.
func (a *Archive) Conversations(ctx context.Context, uid, cursor string, limit int) ([]store.Listed, string, error) {
	if a.down.Load() {
		return nil, "", errDown
	}
	a.lists.Add(1)
	list, next, err := a.Store.Conversations(ctx, uid, cursor, limit)
	a.reads.Add(int64(2 * len(list))) // the document, and its unread count
	return list, next, err
}

// User implements store.Store. Every call of the functions begins with it.
func (a *Archive) User(ctx context.Context, uid string) (store.User, error) {
	if a.down.Load() {
		return store.User{}, errDown
	}
	a.reads.Add(1)
	return a.Store.User(ctx, uid)
}

// readingScale is how much larger the budgets of reading are than in production. Devices of a run load history again
// after 2, 6 and 20 s instead of 1, 5 and 15 min, and every few seconds a fault gives them a reason to.
const readingScale = 30

// Take implements store.Limits.
func (a *Archive) Take(
	ctx context.Context, key string, n, limit int64, window time.Duration, now chat.Micros,
) (taken int64, ends chat.Micros, err error) {
	if strings.HasPrefix(key, "read-") {
		limit *= readingScale
	}
	return a.Store.Take(ctx, key, n, limit, window, now)
}

// Writers implements store.Archive. Instances ask it before they refuse a stranger.
func (a *Archive) Writers(ctx context.Context, conversation string) ([]string, error) {
	if a.down.Load() {
		return nil, errDown
	}
	a.reads.Add(1)
	return a.Store.Writers(ctx, conversation)
}

// Message implements store.Archive.
func (a *Archive) Message(ctx context.Context, conversation, key string) (delivery.Delivered, bool, error) {
	if a.down.Load() {
		return delivery.Delivered{}, false, errDown
	}
	a.reads.Add(1)
	return a.Store.Message(ctx, conversation, key)
}

// Messages implements store.Archive.
func (a *Archive) Messages(
	ctx context.Context, conversation string, before store.Position, limit int,
) ([]delivery.Delivered, bool, error) {
	if a.down.Load() {
		return nil, false, errDown
	}
	a.lists.Add(1)
	page, more, err := a.Store.Messages(ctx, conversation, before, limit)
	a.reads.Add(int64(len(page)))
	return page, more, err
}
