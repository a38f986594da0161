package api

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// maxReport limits the bytes of a report. It holds 20 messages of ordinary length, or some of the longest.
const maxReport = 128 << 10

// reportID matches the id of a report: 128 random bits that the client makes.
var reportID = regexp.MustCompile(`^[0-9a-f]{32}$`)

var errReportSelf = problem.New(problem.Invalid, "report_self", "You cannot report yourself.")

// ReportLog is the message of the log record of each new report. Terraform's alert counts these records.
const ReportLog = "user reported"

// postReport stores a report of the caller. A report that is sent again, with the same content, is answered as before.
func (a *API) postReport(ctx context.Context, r *request) (*response, error) {
	var in struct {
		ID       string              `json:"id"`
		About    string              `json:"about"`
		Reason   string              `json:"reason"`
		Comment  string              `json:"comment"`
		Messages []store.MessageCopy `json:"messages"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	report := store.Report{ID: in.ID, Reporter: r.user.UID, About: in.About, At: micros(a.deps.Now()), Reason: in.Reason,
		Comment: strings.TrimSpace(in.Comment), Messages: in.Messages, State: store.ReportOpen}
	if err := checkReport(report); err != nil {
		return nil, err
	}
	if _, err := a.ledger.take(ctx, reports, r.user.UID, 1, 1); err != nil {
		if old, rerr := a.deps.Store.Report(ctx, report.ID); rerr == nil && old.Same(report) {
			return &response{}, nil
		}
		return nil, err
	}
	added, err := a.deps.Store.AddReport(ctx, report)
	if !added {
		a.ledger.giveBack(reports, r.user.UID, 1)
	}
	if err != nil {
		return nil, noUser(err)
	}
	if added {
		a.deps.Log.InfoContext(ctx, ReportLog, "report", report.ID, "about", report.About, "reason", report.Reason,
			"messages", len(report.Messages))
	}
	return &response{}, nil
}

// checkReport returns a problem if nobody can have made the report.
func checkReport(r store.Report) error {
	switch {
	case !reportID.MatchString(r.ID):
		return fieldProblem("id", "The app could not send this report correctly. Reload the page and try again.")
	case r.About == r.Reporter:
		return errReportSelf
	case !chat.ValidUID(r.About):
		return errNoUser
	case !slices.Contains(store.ReportReasons, r.Reason):
		return fieldProblem("reason", "Choose a reason.")
	case utf8.RuneCountInString(r.Comment) > store.MaxReportComment:
		return fieldProblem("comment", "Shorten the comment to 1,000 characters.")
	case len(r.Messages) > store.MaxReportMessages:
		return fieldProblem("messages", "Choose at most 20 messages.")
	}
	seen := map[string]bool{}
	for _, m := range r.Messages {
		key := chat.KeyOf(m.ID, m.From)
		foreign := m.From != r.Reporter && m.From != r.About
		if foreign || !chat.ValidMessageID(m.ID) || m.At <= 0 || seen[key] || chat.CheckBody(m.Body) != nil {
			return fieldProblem("messages", "One of the messages cannot be reported. Choose others.")
		}
		seen[key] = true
	}
	return nil
}

// confirmWarning removes the warning that the caller has read.
func (a *API) confirmWarning(ctx context.Context, r *request) (*response, error) {
	var in struct {
		At chat.Micros `json:"at"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if r.user.Warning == nil || r.user.Warning.At > in.At {
		return &response{}, nil
	}
	return &response{}, a.users.ConfirmWarning(ctx, r.user.UID, in.At)
}

// ownReport is a report in the export of its reporter. It does not say what came of it.
type ownReport struct {
	ID       string              `json:"id"`
	About    string              `json:"about"`
	At       chat.Micros         `json:"at"`
	Reason   string              `json:"reason"`
	Comment  string              `json:"comment"`
	Messages []store.MessageCopy `json:"messages"`
}

// exportReports is the number of reports that an export reads at once.
const exportReports = 20

// reports writes the reports that the user has made.
func (e *exporter) reports(ctx context.Context) {
	e.text(`,"reports":[`)
	for cursor, first := "", true; e.err == nil; {
		var page []store.Report
		var next string
		err := e.paced(ctx, exportReports+1, func() (err error) {
			page, next, err = e.a.deps.Store.Reports(ctx, store.ReportFilter{Reporter: e.uid}, cursor, exportReports)
			return err
		})
		if e.err == nil {
			e.err = err
		}
		for _, r := range page {
			if !first {
				e.text(",")
			}
			first = false
			e.value(ownReport{r.ID, r.About, r.At, r.Reason, r.Comment, copiesOf(r)})
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	e.text("]")
}

// copiesOf returns the messages of a report, never nil.
func copiesOf(r store.Report) []store.MessageCopy {
	return append([]store.MessageCopy{}, r.Messages...)
}
