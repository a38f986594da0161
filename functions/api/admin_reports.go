package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of the panel's reports.
const (
	reportsListed = 20 // on a page of the list, and of the others about a person
	maxLimitDays  = 90
)

// Actions because of a report, as its record and the audit log name them.
const (
	actReadReport    = "read_report"
	actDismissReport = "dismiss_report"
	actWarn          = "warn"
	actLimit         = "limit_contacts" // 0 days: lift the limit
)

// The API's names of the actions. Disabling is the action of that name of the audit log.
var reportActions = map[string]string{"dismiss": actDismissReport, "warn": actWarn, "limit": actLimit,
	"disable": actDisable}

// listedReport is a report in a list. It has nothing that somebody wrote.
type listedReport struct {
	ID       string      `json:"id"`
	At       chat.Micros `json:"at"`
	About    profile     `json:"about"`
	Reason   string      `json:"reason"`
	State    string      `json:"state"`
	Messages int         `json:"messages"`
}

// mark says how a copy of a message compares with the archive.
type mark string

const (
	markSame      mark = "same"      // the archive has it
	markDiffers   mark = "differs"   // the archive has this message with another content
	markEdited    mark = "edited"    // it was edited since; the archive has only the newest text, which is another one
	markDeleted   mark = "deleted"   // it was deleted since; the archive has no text
	markMissing   mark = "missing"   // the archive does not have it
	markUnchecked mark = "unchecked" // the reporter has left, so nobody knows the conversation
)

// markedCopy is a copy with its mark.
type markedCopy struct {
	store.MessageCopy
	Mark    mark   `json:"mark"`
	Archive string `json:"archive,omitempty"` // the text that the archive has, if it is another one
}

// reportedUser is what the panel shows of the person whom a report is about.
type reportedUser struct {
	adminProfile
	LimitedUntil chat.Micros `json:"limited_until"` // 0: not limited
	WarnedAt     chat.Micros `json:"warned_at"`     // of a warning that they have not confirmed; 0: there is none
}

var errNoReport = problem.New(problem.NotFound, "report_not_found",
	"This report no longer exists. The person whom it was about may have left.")

// noReport replaces problem.ErrNotFound by errNoReport.
func noReport(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return errNoReport.WithCause(err)
	}
	return err
}

// adminReports lists the reports of a state, newest first.
func (a *API) adminReports(ctx context.Context, r *request) (*response, error) {
	state := r.query.Get("state")
	if state == "" {
		state = store.ReportOpen
	}
	if !slices.Contains(store.ReportStates, state) {
		return nil, fieldProblem("state", "Choose open, dismissed or acted.")
	}
	page, next, err := a.deps.Store.Reports(ctx, store.ReportFilter{State: state}, r.query.Get("cursor"), reportsListed)
	if err != nil {
		return nil, err
	}
	listed, err := a.listedReports(ctx, page)
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{"reports": listed, "next": next}), nil
}

func (a *API) listedReports(ctx context.Context, page []store.Report) ([]listedReport, error) {
	uids := make([]string, len(page))
	for i, r := range page {
		uids[i] = r.About
	}
	people, err := a.deps.Store.Users(ctx, uids)
	if err != nil {
		return nil, err
	}
	list := make([]listedReport, len(page))
	for i, r := range page {
		list[i] = listedReport{r.ID, r.At, profileOrGone(people, r.About), r.Reason, r.State, len(r.Messages)}
	}
	return list, nil
}

// profileOrGone returns the profile of a user, which has no names if the user does not exist anymore.
func profileOrGone(people map[string]store.User, uid string) profile {
	u, known := people[uid]
	if !known {
		u.UID = uid
	}
	return profileOf(u)
}

// adminReport shows a report. It shows what users wrote, so it enters the audit log.
func (a *API) adminReport(ctx context.Context, r *request) (*response, error) {
	report, about, err := a.reportInPath(ctx, r)
	if err != nil {
		return nil, err
	}
	var out any
	err = a.audited(ctx, r, actReadReport, report.ID, about.Username, "", func() error {
		out, err = a.reportDetail(ctx, report, about)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ok(out), nil
}

// reportInPath returns the report in the path, and the person whom it is about.
func (a *API) reportInPath(ctx context.Context, r *request) (report store.Report, about store.User, err error) {
	id := r.http.PathValue("id")
	if !reportID.MatchString(id) {
		return report, about, errNoReport
	}
	if report, err = a.deps.Store.Report(ctx, id); err == nil {
		about, err = a.deps.Store.User(ctx, report.About)
	}
	return report, about, noReport(err)
}

func (a *API) reportDetail(ctx context.Context, report store.Report, about store.User) (any, error) {
	copies, err := a.markCopies(ctx, report)
	if err != nil {
		return nil, err
	}
	// One more than is shown, since this report is one of them.
	others, next, err := a.deps.Store.Reports(ctx, store.ReportFilter{About: report.About}, "", reportsListed+1)
	if err != nil {
		return nil, err
	}
	others = slices.DeleteFunc(others, func(o store.Report) bool { return o.ID == report.ID })
	more := next != "" || len(others) > reportsListed
	listed, err := a.listedReports(ctx, others[:min(len(others), reportsListed)])
	if err != nil {
		return nil, err
	}
	var reporter *profile // nil: has left
	if report.Reporter != "" {
		people, err := a.deps.Store.Users(ctx, []string{report.Reporter})
		if err != nil {
			return nil, err
		}
		p := profileOrGone(people, report.Reporter)
		reporter = &p
	}
	return map[string]any{
		"id": report.ID, "at": report.At, "state": report.State, "reason": report.Reason, "comment": report.Comment,
		"reporter": reporter, "about": a.reportedUserOf(about), "messages": copies,
		"actions": append([]store.ReportAction{}, report.Actions...), "others": listed, "more_others": more,
	}, nil
}

func (a *API) reportedUserOf(u store.User) reportedUser {
	out := reportedUser{adminProfile: adminProfileOf(u)}
	if u.LimitedUntil > micros(a.deps.Now()) {
		out.LimitedUntil = u.LimitedUntil
	}
	if u.Warning != nil {
		out.WarnedAt = u.Warning.At
	}
	return out
}

// markCopies compares the copies of a report with the archive as it is now.
func (a *API) markCopies(ctx context.Context, report store.Report) ([]markedCopy, error) {
	list := make([]markedCopy, len(report.Messages))
	for i, c := range report.Messages {
		list[i] = markedCopy{MessageCopy: c, Mark: markUnchecked}
		if report.Reporter == "" {
			continue
		}
		m, saved, err := a.deps.Store.Message(ctx, chat.ConversationID(report.Reporter, report.About),
			chat.KeyOf(c.ID, c.From))
		if err != nil {
			return nil, err
		}
		list[i].Mark, list[i].Archive = markOf(c, m, saved)
	}
	return list, nil
}

// markOf returns the mark of a copy, and the text in the archive if it is another one.
func markOf(c store.MessageCopy, m delivery.Delivered, saved bool) (mark, string) {
	switch {
	case !saved:
		return markMissing, ""
	case m.At != c.At:
		return markDiffers, m.Body
	case m.Changes.Deleted != nil:
		return markDeleted, ""
	case m.Body == c.Body:
		return markSame, ""
	case m.Changes.Edited != nil:
		return markEdited, m.Body
	}
	return markDiffers, m.Body
}

// adminActOnReport does something because of a report. Repeating it completes an interrupted call.
func (a *API) adminActOnReport(ctx context.Context, r *request) (*response, error) {
	var in struct {
		reasoned
		Action string `json:"action"`
		Days   int    `json:"days"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(true); err != nil {
		return nil, err
	}
	act, known := reportActions[in.Action]
	if !known {
		return nil, fieldProblem("action", "Choose dismiss, warn, limit or disable.")
	}
	if act == actLimit && (in.Days < 0 || in.Days > maxLimitDays) {
		return nil, fieldProblem("days", fmt.Sprintf("Enter a number from 0 to %d.", maxLimitDays))
	}
	report, about, err := a.reportInPath(ctx, r)
	if err != nil {
		return nil, err
	}
	now := micros(a.deps.Now())
	action := store.ReportAction{At: now, ByName: r.user.Username, Action: act}
	state := store.ReportActed
	run := func() error { return nil }
	switch act {
	case actDismissReport:
		state = store.ReportDismissed
	case actWarn:
		run = func() error { return a.users.Warn(ctx, about.UID, store.Warning{At: now, Reason: report.Reason}) }
	case actLimit:
		action.Days = in.Days
		until := chat.Micros(0)
		if in.Days > 0 {
			until = now + chat.Micros((time.Duration(in.Days) * 24 * time.Hour).Microseconds())
		}
		run = func() error { return a.users.LimitContacts(ctx, about.UID, until) }
	case actDisable:
		run = func() error {
			_, err := a.users.SetDisabled(ctx, about.UID, true)
			return err
		}
	}
	reason := in.Reason
	if act == actLimit {
		reason = fmt.Sprintf("%d days: %s", in.Days, reason)
	}
	err = a.audited(ctx, r, act, about.UID, about.Username, reason, func() error {
		if err := run(); err != nil {
			return noReport(err)
		}
		report, err = a.deps.Store.ActOnReport(ctx, report.ID, state, action)
		return noReport(err)
	})
	if err != nil {
		return nil, err
	}
	return &response{}, nil
}
