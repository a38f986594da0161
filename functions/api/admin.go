package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// adminRoutes are the endpoints of the operator. Every one that changes
// something, or shows what people wrote, is in the audit log before it is done.
func (a *API) adminRoutes() []route {
	return []route{
		{method: "GET", path: "/users", access: admin, handle: a.adminUsers},
		{method: "POST", path: "/users", access: admin, body: required, handle: a.adminAdd},
		{method: "GET", path: "/users.csv", access: admin, long: true, handle: a.adminUsersCSV},
		{method: "GET", path: "/users/{uid}", access: admin, handle: a.adminUser},
		{method: "PATCH", path: "/users/{uid}", access: admin, body: required, handle: a.adminChange},
		{method: "DELETE", path: "/users/{uid}", access: admin, body: optional, long: true, handle: a.adminDelete},
		{method: "POST", path: "/users/{uid}/sign-out", access: admin, body: optional, handle: a.adminSignOut},
		{method: "POST", path: "/users/{uid}/password-reset", access: admin, body: optional, handle: a.adminPasswordReset},
		{method: "POST", path: "/users/{uid}/conversations", access: admin, body: required, handle: a.adminConversations},
		{method: "POST", path: "/messages", access: admin, body: required, handle: a.adminMessages},
		{method: "GET", path: "/figures", access: admin, handle: a.adminFigures},
		{method: "GET", path: "/dead-letters", access: admin, handle: a.adminLetters},
		{method: "POST", path: "/dead-letters/replay", access: admin, body: optional, long: true, handle: a.adminReplayAll},
		{method: "GET", path: "/dead-letters/{id}", access: admin, handle: a.adminLetter},
		{method: "POST", path: "/dead-letters/{id}/replay", access: admin, body: optional, handle: a.adminReplay},
		{method: "POST", path: "/dead-letters/{id}/discard", access: admin, body: required, handle: a.adminDiscard},
		{method: "GET", path: "/audit", access: admin, handle: a.adminAudit},
		{method: "GET", path: "/audit.csv", access: admin, long: true, handle: a.adminAuditCSV},
	}
}

// What admins can do, as the audit log names it.
const (
	actAdd           = "add"
	actRename        = "rename"
	actMakeAdmin     = "make_admin"
	actUnmakeAdmin   = "unmake_admin"
	actDisable       = "disable"
	actEnable        = "enable"
	actDelete        = "delete"
	actSignOut       = "sign_out"
	actPasswordReset = "password_reset"
	actConversations = "read_conversations"
	actMessages      = "read_messages"
	actExportPeople  = "export_people"
	actExportAudit   = "export_audit"
	actReplay        = "dead_letter_replay"
	actReplayAll     = "dead_letters_replay_all"
	actDiscard       = "dead_letter_discard"
)

// adminProfile is what an operator sees of a person.
type adminProfile struct {
	profile
	Email        string      `json:"email"`
	Admin        bool        `json:"admin"`
	Disabled     bool        `json:"disabled"`
	Deleting     bool        `json:"deleting"`
	LastActiveAt chat.Micros `json:"last_active_at"` // to the hour; 0: never
}

func adminProfileOf(u store.User) adminProfile {
	return adminProfile{profile: profileOf(u), Email: u.Email, Admin: u.Admin, Disabled: u.Disabled, Deleting: u.ErasingAt != 0, LastActiveAt: u.LastActiveAt}
}

// maxReason is how many characters a reason may have.
const maxReason = 500

// reasoned is the part of a body that says why.
type reasoned struct {
	Reason string `json:"reason"`
}

// check tidies the reason and holds it to its rules.
func (r *reasoned) check(must bool) error {
	r.Reason = strings.TrimSpace(r.Reason)
	switch n := utf8.RuneCountInString(r.Reason); {
	case must && n == 0:
		return fieldProblem("reason", "Say why. It is kept in the audit log.")
	case n > maxReason:
		return fieldProblem("reason", "A reason has at most 500 characters.")
	}
	return nil
}

// audited writes into the audit log that the caller takes up an action, then does it, and
// writes down when it failed. What cannot be written down is not done.
func (a *API) audited(ctx context.Context, r *request, action, on, onName, reason string, do func() error) error {
	if err := a.writeAudit(ctx, r, action, on, onName, reason, ""); err != nil {
		return err
	}
	err := do()
	if err != nil {
		// The caller may have gone or run out of time: the note is made all the same.
		note, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if werr := a.writeAudit(note, r, action, on, onName, reason, "failed: "+problem.Of(err).Code); werr != nil {
			a.deps.Log.ErrorContext(ctx, "a failed action could not be noted in the audit log", "action", action, "error", werr)
		}
	}
	return err
}

func (a *API) writeAudit(ctx context.Context, r *request, action, on, onName, reason, outcome string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit id: %w", err)
	}
	return a.deps.Store.AddAudit(ctx, store.Audit{ID: id.String(), At: micros(a.deps.Now()), By: r.user.UID, ByName: r.user.Username,
		Action: action, On: on, OnName: onName, Reason: reason, Outcome: outcome})
}

var errAbsent = problem.New(problem.NotFound, "user_not_found", "This person is not there any more. Another admin may have deleted them.")

// absent is what an admin is told of somebody who is not there.
func absent(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return errAbsent.WithCause(err)
	}
	return err
}

// target returns the person whom a path names.
func (a *API) target(ctx context.Context, r *request) (store.User, error) {
	uid := r.params["uid"]
	if !chat.ValidUID(uid) {
		return store.User{}, errAbsent
	}
	u, err := a.deps.Store.User(ctx, uid)
	return u, absent(err)
}

// adminAudit lists the audit log, newest first.
func (a *API) adminAudit(ctx context.Context, r *request) (*response, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	entries, next, err := a.deps.Store.AuditLog(ctx, r.query.Get("cursor"), limit)
	if err != nil {
		return nil, err
	}
	if entries == nil {
		entries = []store.Audit{}
	}
	return ok(map[string]any{"entries": entries, "next": next}), nil
}

// adminConversations lists whom a person talks with, and when last: what was said
// is not in it. A reason is needed all the same.
func (a *API) adminConversations(ctx context.Context, r *request) (*response, error) {
	var in struct {
		reasoned
		Cursor string `json:"cursor"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(true); err != nil {
		return nil, err
	}
	uid := r.params["uid"]
	u, err := a.target(ctx, r)
	if err != nil {
		return nil, err
	}
	type line struct {
		ID     string      `json:"id"`
		With   profile     `json:"with"`
		LastAt chat.Micros `json:"last_at"`
	}
	lines, next := []line{}, ""
	err = a.audited(ctx, r, actConversations, uid, u.Username, in.Reason, func() error {
		var page []listedConversation
		page, next, err = a.conversations(ctx, uid, in.Cursor, 50)
		for _, c := range page {
			lines = append(lines, line{c.ID, c.With, c.LastAt})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{"conversations": lines, "next": next}), nil
}

// adminMessages shows saved messages of a conversation, for a reason.
func (a *API) adminMessages(ctx context.Context, r *request) (*response, error) {
	var in struct {
		reasoned
		Conversation string `json:"conversation"`
		Before       string `json:"before"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(true); err != nil {
		return nil, err
	}
	one, two, err := chat.Members(in.Conversation)
	if err != nil {
		return nil, err
	}
	if _, err := parsePosition(in.Before); err != nil {
		return nil, err
	}
	users, err := a.deps.Store.Users(ctx, []string{one, two})
	if err != nil {
		return nil, err
	}
	names := users[one].Username + ", " + users[two].Username
	var page *response
	err = a.audited(ctx, r, actMessages, in.Conversation, names, in.Reason, func() error {
		page, err = a.history(ctx, in.Conversation, in.Before, 50)
		return err
	})
	return page, err
}

// gone is no error where somebody else has just done it, too.
func gone(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return nil
	}
	return err
}
