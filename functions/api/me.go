package api

import (
	"context"
	"encoding/json"
	"io"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// own is a user's view of their own record.
type own struct {
	profile
	Email   string   `json:"email"`
	Admin   bool     `json:"admin"`
	Blocked []string `json:"blocked"`
}

func ownOf(u store.User) own {
	o := own{profile: profileOf(u), Email: u.Email, Admin: u.Admin, Blocked: u.Blocked}
	if o.Blocked == nil {
		o.Blocked = []string{}
	}
	return o
}

func (a *API) getMe(ctx context.Context, r *request) (*response, error) {
	a.sweep(ctx, "deletions", a.users.SweepErasures)
	return ok(ownOf(r.user)), nil
}

// patchMe changes the caller's names.
func (a *API) patchMe(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Username    *string `json:"username"`
		DisplayName *string `json:"display_name"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	u, err := a.users.Rename(ctx, r.user.UID, in.Username, in.DisplayName, false)
	if err != nil {
		return nil, err
	}
	return ok(ownOf(u)), nil
}

// deleteMe deletes the caller with all their data. It may be repeated until it succeeds.
func (a *API) deleteMe(ctx context.Context, r *request) (*response, error) {
	if r.user.ErasingAt == 0 {
		if err := a.requireFresh(r, freshSignIn); err != nil {
			return nil, err
		}
	}
	// A deletion that has begun continues even if the caller closes the page.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longTimeLimit)
	defer cancel()
	if err := a.users.Erase(ctx, r.user.UID); err != nil {
		return nil, err
	}
	return &response{}, nil
}

func (a *API) block(ctx context.Context, r *request) (*response, error) {
	uid := r.http.PathValue("uid")
	if uid == r.user.UID {
		return nil, problem.New(problem.Invalid, "blocked_self", "You cannot block yourself.")
	}
	if !chat.ValidUID(uid) {
		return nil, errNoUser
	}
	if _, err := a.deps.Store.User(ctx, uid); err != nil {
		return nil, noUser(err)
	}
	u, err := a.users.SetBlocked(ctx, r.user.UID, uid, true)
	if err != nil {
		return nil, err
	}
	return ok(ownOf(u)), nil
}

// unblock also accepts a user who has been deleted.
func (a *API) unblock(ctx context.Context, r *request) (*response, error) {
	u, err := a.users.SetBlocked(ctx, r.user.UID, r.http.PathValue("uid"), false)
	if err != nil {
		return nil, err
	}
	return ok(ownOf(u)), nil
}

// exportMe returns all data of the caller as one JSON file: the profile, and every conversation with its messages,
// newest first. The file is written page by page, so memory does not limit its size.
func (a *API) exportMe(ctx context.Context, r *request) (*response, error) {
	return &response{file: "phoenix-chat-export.json", contentType: "application/json", stream: func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		e := exporter{a: a, w: w, enc: enc, uid: r.user.UID}
		return e.run(ctx, r.user)
	}}, nil
}

// exporter writes one export. After the first error, err, it writes nothing more.
type exporter struct {
	a   *API
	w   io.Writer
	enc *json.Encoder
	uid string
	err error
}

func (e *exporter) text(s string) {
	if e.err == nil {
		_, e.err = io.WriteString(e.w, s)
	}
}

func (e *exporter) value(v any) {
	if e.err == nil {
		e.err = e.enc.Encode(v)
	}
}

func (e *exporter) run(ctx context.Context, u store.User) error {
	e.text(`{"exported_at":`)
	e.value(micros(e.a.deps.Now()))
	e.text(`,"profile":`)
	e.value(ownOf(u))
	e.text(`,"conversations":[`)
	for cursor, first := "", true; e.err == nil; {
		page, next, err := e.a.conversations(ctx, e.uid, cursor, store.MaxPage)
		if err != nil {
			return err
		}
		for _, c := range page {
			if !first {
				e.text(",")
			}
			first = false
			e.text(`{"conversation":`)
			e.value(c)
			e.messages(ctx, c.ID)
			e.text("}")
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	e.text("]}\n")
	return e.err
}

func (e *exporter) messages(ctx context.Context, id string) {
	e.text(`,"messages":[`)
	first := true
	for pos, more := (store.Position{}), true; more && e.err == nil; {
		page, older, err := e.a.deps.Store.Messages(ctx, id, pos, store.MaxPage)
		if err != nil {
			e.err = err
			return
		}
		for i := len(page) - 1; i >= 0; i-- {
			if !first {
				e.text(",")
			}
			first = false
			e.value(page[i])
			pos = store.Position{At: page[i].At, ID: page[i].ID}
		}
		more = older
	}
	e.text("]")
}
