package store

import (
	"context"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of reports.
const (
	KeepReport        = 365 * 24 * time.Hour // since it was made
	MaxReportMessages = 20
	MaxReportComment  = 1000 // code points
	MaxReportActions  = 50   // the newest; the audit log has all
)

// States of a report.
const (
	ReportOpen      = "open"
	ReportDismissed = "dismissed" // an admin decided that nothing is to be done
	ReportActed     = "acted"
)

// ReportStates lists the states.
var ReportStates = []string{ReportOpen, ReportDismissed, ReportActed}

// ReportReasons lists the reasons of a report.
var ReportReasons = []string{"spam", "abuse", "threat", "sexual", "impersonation", "other"}

// Report is the complaint of a user, the reporter, about another one.
type Report struct {
	ID       string         `json:"id"`       // chosen by the reporter's client
	Reporter string         `json:"reporter"` // "": has left
	About    string         `json:"about"`
	At       chat.Micros    `json:"at"`
	Reason   string         `json:"reason"` // one of ReportReasons
	Comment  string         `json:"comment"`
	Messages []MessageCopy  `json:"messages"`
	State    string         `json:"state"`
	Actions  []ReportAction `json:"actions"` // oldest first
}

// MessageCopy is a message of the conversation of a report as the reporter's device says that it is. It may be forged.
type MessageCopy struct {
	From string      `json:"from"`
	ID   string      `json:"id"`
	At   chat.Micros `json:"at"`
	Body string      `json:"body"`
}

// ReportAction is what an admin did because of a report. The admin's reason is in the audit log alone.
type ReportAction struct {
	At     chat.Micros `json:"at"`
	ByName string      `json:"by_name"` // username of the admin at that time
	Action string      `json:"action"`
	Days   int         `json:"days,omitempty"`
}

// Same reports whether the reporter made r and other as one report.
func (r Report) Same(other Report) bool {
	return r.ID == other.ID && r.Reporter == other.Reporter && r.About == other.About && r.Reason == other.Reason &&
		r.Comment == other.Comment && slices.Equal(r.Messages, other.Messages)
}

// Act records an action, after which the report has the given state. A report on which somebody acted is not dismissed
// afterwards: ErrReportClosed.
func (r *Report) Act(state string, action ReportAction) error {
	if state == ReportDismissed && r.State == ReportActed {
		return ErrReportClosed
	}
	r.State = state
	r.Actions = append(slices.Clone(r.Actions), action)
	r.Actions = r.Actions[max(0, len(r.Actions)-MaxReportActions):]
	return nil
}

// Anonymize removes what the reporter wrote, and who that was. The report and the messages of the other user remain.
func (r *Report) Anonymize() {
	r.Messages = slices.DeleteFunc(slices.Clone(r.Messages), func(c MessageCopy) bool { return c.From == r.Reporter })
	r.Reporter, r.Comment = "", ""
}

// Expires returns the time from which the report may be deleted.
func (r Report) Expires() time.Time { return r.At.Time().Add(KeepReport) }

// ReportFilter selects reports. Exactly one field is set.
type ReportFilter struct {
	State    string
	About    string
	Reporter string
}

// Field returns the field of r that the filter compares, and its value.
func (f ReportFilter) Field() (name, value string) {
	switch {
	case f.About != "":
		return "about", f.About
	case f.Reporter != "":
		return "reporter", f.Reporter
	}
	return "state", f.State
}

// Errors of reports.
var (
	ErrReportReused = problem.New(problem.Conflict, "id_reused",
		"This report could not be sent. Close it and write it again.")
	ErrReportClosed = problem.New(problem.Conflict, "report_closed",
		"Somebody has already acted on this report. Reload the page.")
)

// Reports keeps the reports of users. A report is deleted some time after KeepReport. When its reporter is erased, it
// is anonymized (Report.Anonymize). When the person whom it is about is erased, it is deleted.
type Reports interface {
	// AddReport stores an open report. added is false if the reporter has made the same one before. The errors are
	// ErrReportReused if another report has its id, and problem.ErrNotFound if one of the two users does not exist or is
	// being deleted. A paid backend charges for 3 reads and 1 write.
	AddReport(ctx context.Context, r Report) (added bool, err error)

	// Report returns one.
	Report(ctx context.Context, id string) (Report, error)

	// Reports lists the reports that a filter selects, newest first.
	Reports(ctx context.Context, f ReportFilter, cursor string, limit int) ([]Report, string, error)

	// ActOnReport records an action; see Report.Act.
	ActOnReport(ctx context.Context, id, state string, action ReportAction) (Report, error)
}
