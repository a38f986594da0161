package api

import (
	"context"
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// cell returns v as a cell that a spreadsheet does not interpret as a formula. Users choose their names, so a name
// could be one. A spreadsheet also takes compatibility forms of the first character, such as full-width ones, and may
// skip invisible characters before it.
func cell(v string) string {
	first := strings.TrimLeftFunc(v, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
	if r, size := utf8.DecodeRuneInString(first); size > 0 {
		first = norm.NFKC.String(string(r))
	}
	control := v != "" && strings.ContainsRune("\t\r\n", rune(v[0]))
	if control || first != "" && strings.ContainsRune("=+-@", rune(first[0])) {
		return "'" + v
	}
	return v
}

// moment formats a time for people and spreadsheets; 0, which means never, is "".
func moment(at chat.Micros) string {
	if at == 0 {
		return ""
	}
	return at.Time().Format(time.RFC3339)
}

// csvFile returns the pages of a list as a CSV file. It records the export in the audit log first.
func csvFile[T any](a *API, ctx context.Context, r *request, action, file string, head []string,
	page func(cursor string) ([]T, string, error), row func(T) []string) (*response, error) {
	if err := a.writeAudit(ctx, r, action, "", "", "", ""); err != nil {
		return nil, err
	}
	first, next, err := page("")
	if err != nil {
		return nil, err
	}
	return &response{file: file, contentType: "text/csv; charset=utf-8", stream: func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(head); err != nil {
			return err
		}
		for list := first; ; {
			for _, e := range list {
				cells := row(e)
				for i := range cells {
					cells[i] = cell(cells[i])
				}
				if err := out.Write(cells); err != nil {
					return err
				}
			}
			if next == "" {
				out.Flush()
				return out.Error()
			}
			var err error
			if list, next, err = page(next); err != nil {
				return err
			}
		}
	}}, nil
}

func (a *API) adminUsersCSV(ctx context.Context, r *request) (*response, error) {
	return csvFile(a, ctx, r, actExportUsers, "people.csv",
		[]string{"uid", "username", "display_name", "email", "email_verified", "admin", "disabled", "created_at",
			"last_active_at"},
		func(cursor string) ([]store.User, string, error) {
			return a.deps.Store.Search(ctx, store.Search{Order: store.ByNewest, All: true, Cursor: cursor, Limit: store.MaxPage})
		},
		func(u store.User) []string {
			return []string{u.UID, u.Username, u.DisplayName, u.Email, strconv.FormatBool(u.EmailVerified),
				strconv.FormatBool(u.Admin), strconv.FormatBool(u.Disabled), moment(u.CreatedAt), moment(u.LastActiveAt)}
		})
}

func (a *API) adminAuditCSV(ctx context.Context, r *request) (*response, error) {
	return csvFile(a, ctx, r, actExportAudit, "audit.csv",
		[]string{"id", "at", "by", "by_name", "action", "on", "on_name", "reason", "outcome"},
		func(cursor string) ([]store.Audit, string, error) {
			return a.deps.Store.AuditLog(ctx, cursor, store.MaxPage)
		},
		func(e store.Audit) []string {
			return []string{e.ID, moment(e.At), e.By, e.ByName, e.Action, e.On, e.OnName, e.Reason, e.Outcome}
		})
}
