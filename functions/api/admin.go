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

// adminRoutes are the endpoints for admins. A call that changes something, or shows what users wrote, enters the
// audit log before it takes effect.
func (a *API) adminRoutes() []route {
	return []route{
		{method: "GET", path: "/users", access: admin, handle: a.adminUsers},
		{method: "POST", path: "/users", access: admin, body: required, handle: a.adminAdd},
		{method: "GET", path: "/users.csv", access: admin, long: true, handle: a.adminUsersCSV},
		{method: "GET", path: "/users/{uid}", access: admin, handle: a.adminUser},
		{method: "PATCH", path: "/users/{uid}", access: admin, body: required, handle: a.adminChange},
		{method: "DELETE", path: "/users/{uid}", access: admin, body: required, long: true, handle: a.adminDelete},
		{method: "POST", path: "/users/{uid}/sign-out", access: admin, body: optional, handle: a.adminSignOut},
		{method: "POST", path: "/users/{uid}/password-reset", access: admin, body: optional, handle: a.adminPasswordReset},
		{method: "POST", path: "/users/{uid}/conversations", access: admin, body: required, handle: a.adminConversations},
		{method: "POST", path: "/messages", access: admin, body: required, handle: a.adminMessages},
		{method: "GET", path: "/reports", access: admin, handle: a.adminReports},
		{method: "GET", path: "/reports/{id}", access: admin, handle: a.adminReport},
		{method: "POST", path: "/reports/{id}/act", access: admin, body: required, handle: a.adminActOnReport},
		{method: "GET", path: "/figures", access: admin, handle: a.adminFigures},
		{method: "GET", path: "/dead-letters", access: admin, handle: a.adminDeadLetters},
		{method: "POST", path: "/dead-letters/replay", access: admin, body: optional, long: true, handle: a.adminReplayAll},
		{method: "GET", path: "/dead-letters/{id}", access: admin, handle: a.adminDeadLetter},
		{method: "POST", path: "/dead-letters/{id}/replay", access: admin, body: optional, handle: a.adminReplay},
		{method: "POST", path: "/dead-letters/{id}/discard", access: admin, body: required, handle: a.adminDiscard},
		{method: "POST", path: "/probe", access: service, handle: a.probe},
		{method: "GET", path: "/audit", access: admin, handle: a.adminAudit},
		{method: "GET", path: "/audit.csv", access: admin, long: true, handle: a.adminAuditCSV},
	}
}

// Actions of admins, as the audit log names them.
const (
	actAdd           = "add"
	actRename        = "rename"
	actRemovePicture = "remove_picture"
	actMakeAdmin     = "make_admin"
	actUnmakeAdmin   = "unmake_admin"
	actDisable       = "disable"
	actEnable        = "enable"
	actDelete        = "delete"
	actSignOut       = "sign_out"
	actPasswordReset = "password_reset"
	actConversations = "read_conversations"
	actMessages      = "read_messages"
	actExportUsers   = "export_people"
	actExportAudit   = "export_audit"
	actReplay        = "dead_letter_replay"
	actReplayAll     = "dead_letters_replay_all"
	actDiscard       = "dead_letter_discard"
)

// adminProfile is what an admin sees of a user.
type adminProfile struct {
	profile
	Email         string      `json:"email"` // "": not known until the user signs in
	EmailVerified bool        `json:"email_verified"`
	Admin         bool        `json:"admin"`
	Disabled      bool        `json:"disabled"`
	Deleting      bool        `json:"deleting"`
	LastActiveAt  chat.Micros `json:"last_active_at"` // to the hour; 0: never
}

func adminProfileOf(u store.User) adminProfile {
	return adminProfile{profile: profileOf(u), Email: u.Email, EmailVerified: u.EmailVerified, Admin: u.Admin,
		Disabled: u.Disabled, Deleting: u.ErasingAt != 0, LastActiveAt: u.LastActiveAt}
}

// maxReason limits the characters of a reason.
const maxReason = 500

// reasoned is the part of a body that has the reason of an action.
type reasoned struct {
	Reason string `json:"reason"`
}

// check trims the reason and checks its length.
func (r *reasoned) check(required bool) error {
	r.Reason = strings.TrimSpace(r.Reason)
	switch n := utf8.RuneCountInString(r.Reason); {
	case required && n == 0:
		return fieldProblem("reason", "Enter a reason. It is kept in the audit log.")
	case n > maxReason:
		return fieldProblem("reason", "Shorten the reason to 500 characters.")
	}
	return nil
}

// audited records in the audit log that the caller begins an action, and runs it. If the action fails, it records
// that, too. An action that cannot be recorded is not run.
func (a *API) audited(ctx context.Context, r *request, action, on, onName, reason string, run func() error) error {
	if err := a.writeAudit(ctx, r, action, on, onName, reason, ""); err != nil {
		return err
	}
	err := run()
	if err != nil {
		// The caller may have left or run out of time. The failure is recorded anyway.
		auditCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if werr := a.writeAudit(auditCtx, r, action, on, onName, reason, "failed: "+problem.Of(err).Code); werr != nil {
			a.deps.Log.ErrorContext(ctx, "recording a failed action in the audit log failed", "action", action, "error", werr)
		}
	}
	return err
}

func (a *API) writeAudit(ctx context.Context, r *request, action, on, onName, reason, outcome string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit id: %w", err)
	}
	entry := store.Audit{ID: id.String(), At: micros(a.deps.Now()), By: r.user.UID, ByName: r.user.Username,
		Action: action, On: on, OnName: onName, Reason: reason, Outcome: outcome}
	if err := a.deps.Store.AddAudit(ctx, entry); err != nil {
		return err
	}
	// On Google Cloud, a sink copies records with this attribute into a log bucket (infra/terraform/audit.tf).
	a.deps.AuditLog.InfoContext(ctx, "entry of the audit log", store.AuditKey, entry)
	return nil
}

var errAbsent = problem.New(problem.NotFound, "user_not_found",
	"This person no longer exists. Another admin may have deleted them.")

// absent replaces problem.ErrNotFound by errAbsent.
func absent(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return errAbsent.WithCause(err)
	}
	return err
}

// target returns the user in the path.
func (a *API) target(ctx context.Context, r *request) (store.User, error) {
	uid := r.http.PathValue("uid")
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

// adminConversations lists with whom a user has conversations, and when the last message was sent. It needs a reason,
// although it does not show messages.
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
	uid := r.http.PathValue("uid")
	u, err := a.target(ctx, r)
	if err != nil {
		return nil, err
	}
	type listed struct {
		ID     string      `json:"id"`
		With   profile     `json:"with"`
		LastAt chat.Micros `json:"last_at"`
	}
	list, next := []listed{}, ""
	err = a.audited(ctx, r, actConversations, uid, u.Username, in.Reason, func() error {
		var page []listedConversation
		page, next, err = a.conversations(ctx, uid, in.Cursor, 50)
		for _, c := range page {
			list = append(list, listed{c.ID, c.With, c.LastAt})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{"conversations": list, "next": next}), nil
}

// adminMessages returns saved messages of a conversation. It needs a reason.
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

// ignoreNotFound returns nil for problem.ErrNotFound: another admin has just done the same.
func ignoreNotFound(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return nil
	}
	return err
}
