package api_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// storedReport is the report of the access table.
var storedReport = store.Report{ID: "019a0000000070008000000000000001", Reporter: "ada", About: "bob",
	At: micros(time.Now()), Reason: "spam", State: store.ReportOpen}

// aReport returns the body of a new report without messages.
func aReport(about string) map[string]any {
	return map[string]any{"id": strings.ReplaceAll(uuid.NewString(), "-", ""), "about": about, "reason": "spam",
		"comment": " ads ", "messages": []any{}}
}

func copyOf(m delivery.Delivered) map[string]any {
	return map[string]any{"from": m.From, "id": m.ID, "at": m.At, "body": m.Body}
}

// with returns a copy of a body with a field.
func with(body map[string]any, field string, value any) map[string]any {
	out := map[string]any{field: value}
	for k, v := range body {
		if k != field {
			out[k] = v
		}
	}
	return out
}

type reportDetail struct {
	ID, State, Reason, Comment string
	Reporter                   *profile
	About                      struct {
		adminProfile
		LimitedUntil chat.Micros `json:"limited_until"`
		WarnedAt     chat.Micros `json:"warned_at"`
	}
	Messages []struct{ From, ID, Body, Mark, Archive string }
	Actions  []struct {
		Action string
		ByName string `json:"by_name"`
		Days   int
	}
	Others     []struct{ ID, State string }
	MoreOthers bool `json:"more_others"`
}

// listed returns the ids of the reports of a state.
func (s *system) listed(token, state string) (ids []string) {
	s.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Reports []struct {
				ID    string
				About profile
			}
			Next string
		}
		s.call("GET", "/admin/reports?state="+state+"&cursor="+cursor, token, nil).must(200, &page)
		for _, r := range page.Reports {
			ids = append(ids, r.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
	}
}

func TestReportIsChecked(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ada", "bob", "cyd"} {
		s.user(n)
	}
	m := copyOf(s.save("bob", "ada", "buy now")[0])
	long := func(n int) string { return strings.Repeat("é", n) }
	many := make([]map[string]any, 21)
	for i := range many {
		many[i] = with(m, "id", uuid.Must(uuid.NewV7()).String())
	}
	good := with(aReport("bob"), "messages", []any{m})
	for name, c := range map[string]struct {
		body   any
		status int
		code   string
	}{
		"about oneself":             {with(good, "about", "ada"), 422, "report_self"},
		"about nobody":              {with(good, "about", "nobody"), 422, "invalid_fields"}, // the message is another's
		"about nobody, no messages": {aReport("nobody"), 404, "user_not_found"},
		"no uid":                    {aReport("a~b"), 404, "user_not_found"},
		"no id":                     {with(good, "id", "1"), 422, "invalid_fields"},
		"unknown reason":            {with(good, "reason", "dull"), 422, "invalid_fields"},
		"long comment":              {with(good, "comment", long(1001)), 422, "invalid_fields"},
		"many messages":             {with(good, "messages", many), 422, "invalid_fields"},
		"a message twice":           {with(good, "messages", []any{m, m}), 422, "invalid_fields"},
		"a message of a third":      {with(good, "messages", []any{with(m, "from", "cyd")}), 422, "invalid_fields"},
		"a message without an id":   {with(good, "messages", []any{with(m, "id", "")}), 422, "invalid_fields"},
		"a message without a time":  {with(good, "messages", []any{with(m, "at", 0)}), 422, "invalid_fields"},
		"an empty message":          {with(good, "messages", []any{with(m, "body", " ")}), 422, "invalid_fields"},
		"a message that is long":    {with(good, "messages", []any{with(m, "body", long(8001))}), 422, "invalid_fields"},
		"oversize":                  {with(good, "comment", strings.Repeat("x", 128<<10)), 413, "body_too_large"},
		"no JSON":                   {"{", 400, "bad_json"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.rebuild() // its budget of calls
			s.clock.advance(time.Hour)
			s.call("POST", "/me/reports", s.token("ada"), c.body).refused(c.status, c.code)
		})
	}
	s.t = t
	_, root := s.admin("root1")
	if ids := s.listed(root, "open"); len(ids) != 0 {
		t.Errorf("refused reports are stored: %v", ids)
	}
	s.clock.advance(time.Hour)
	token := s.token("ada")
	s.call("POST", "/me/reports", token, with(with(good, "messages", many[:20]), "comment", long(1000))).must(204, nil)
}

// A report that is sent again is answered as before, also when the budget is used up, and it does not count. Another
// one with its id is refused.
func TestReportAgain(t *testing.T) {
	var out bytes.Buffer
	s := newSystem(t, func(d *api.Deps) { d.Log = slog.New(slog.NewTextHandler(&out, nil)) })
	s.user("bob")
	s.user("cyd")
	token := s.token(s.user("ada"))
	first := aReport("bob")
	s.call("POST", "/me/reports", token, first).must(204, nil)
	s.call("POST", "/me/reports", token, first).must(204, nil)
	s.call("POST", "/me/reports", token, with(first, "reason", "threat")).refused(409, "id_reused")
	s.call("POST", "/me/reports", s.token("cyd"), first).refused(409, "id_reused")
	for range api.ReportsPerDay - 1 {
		s.call("POST", "/me/reports", token, aReport("bob")).must(204, nil)
	}
	if d := s.call("POST", "/me/reports", token, aReport("bob")).refused(429, "rate_limited"); d.RetryAfterMS <= 0 {
		t.Errorf("%+v", d)
	}
	s.call("POST", "/me/reports", token, first).must(204, nil)
	_, root := s.admin("root1")
	if n := len(s.listed(root, "open")); n != api.ReportsPerDay {
		t.Errorf("%d reports are stored", n)
	}
	// The log has a record of each, which an alert counts, and nothing that somebody wrote.
	if n := strings.Count(out.String(), api.ReportLog); n != api.ReportsPerDay || strings.Contains(out.String(), "ads") {
		t.Errorf("%d records of %d reports", n, api.ReportsPerDay)
	}
	s.clock.advance(24 * time.Hour)
	s.call("POST", "/me/reports", s.token("ada"), aReport("bob")).must(204, nil)
}

func TestAdminReport(t *testing.T) {
	s := newSystem(t)
	_, root := s.admin("root1")
	s.user("bob")
	s.user("cyd")
	ada := s.token(s.user("ada"))
	saved := s.save("bob", "ada", "same", "forged", "another time", "edited", "edited twice", "deleted")
	mine := s.save("ada", "bob", "mine")[0]
	at := micros(s.clock.Now())
	change := func(m delivery.Delivered, kind chat.ChangeKind, content string) {
		t.Helper()
		s.change(m, at, kind, m.From, content)
	}
	change(saved[3], chat.KindEdit, "the edited text")
	change(saved[4], chat.KindEdit, "the newest text")
	change(saved[5], chat.KindDelete, "")
	missing := with(copyOf(saved[0]), "id", uuid.Must(uuid.NewV7()).String())
	body := with(aReport("bob"), "messages", []any{copyOf(saved[0]), with(copyOf(saved[1]), "body", "invented"),
		with(copyOf(saved[2]), "at", 5), with(copyOf(saved[3]), "body", "the edited text"), copyOf(saved[4]),
		copyOf(saved[5]), missing, copyOf(mine)})
	s.call("POST", "/me/reports", ada, body).must(204, nil)
	other := aReport("bob")
	s.clock.advance(time.Second)
	s.call("POST", "/me/reports", s.token("cyd"), other).must(204, nil)
	if got := s.listed(root, "open"); !slices.Equal(got, []string{other["id"].(string), body["id"].(string)}) {
		t.Errorf("open reports %v", got)
	}
	s.audited()

	path := "/admin/reports/" + body["id"].(string)
	var d reportDetail
	s.call("GET", path, root, nil).must(200, &d)
	var marks []string
	for _, m := range d.Messages {
		marks = append(marks, strings.TrimSpace(m.Mark+" "+m.Archive))
	}
	want := []string{"same", "differs forged", "differs another time", "same", "edited the newest text", "deleted",
		"missing", "same"}
	if !slices.Equal(marks, want) {
		t.Errorf("marks %q, want %q", marks, want)
	}
	if d.Reason != "spam" || d.Comment != "ads" || d.Reporter == nil || d.Reporter.Username != "ada" ||
		d.About.Username != "bob" || len(d.Others) != 1 || d.Others[0].ID != other["id"] || d.MoreOthers {
		t.Errorf("report %+v", d)
	}
	s.audited("root1 read_report " + d.ID)

	// When the reporter leaves, the report stays, without what they wrote.
	if err := s.store.EraseContent(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	d = reportDetail{}
	s.call("GET", path, root, nil).must(200, &d)
	if d.Reporter != nil || d.Comment != "" || len(d.Messages) != 7 || d.Messages[0].Mark != "unchecked" {
		t.Errorf("report %+v", d)
	}
	// When the person whom it is about leaves, it is deleted.
	if err := s.store.EraseContent(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	s.call("GET", path, root, nil).refused(404, "report_not_found")
	s.call("GET", "/admin/reports/x", root, nil).refused(404, "report_not_found")
	s.call("GET", "/admin/reports?state=x", root, nil).refused(422, "invalid_fields")
}

func TestActOnReport(t *testing.T) {
	s := newSystem(t)
	_, root := s.admin("root1")
	s.account("bob")
	ada := s.token(s.user("ada"))
	var paths []string
	for range 2 {
		body := aReport("bob")
		s.call("POST", "/me/reports", ada, body).must(204, nil)
		paths = append(paths, "/admin/reports/"+body["id"].(string))
	}
	act := func(path string, in map[string]any) *answer {
		t.Helper()
		return s.call("POST", path+"/act", root, with(in, "reason", "ads"))
	}
	show := func(path string) (d reportDetail) {
		t.Helper()
		s.call("GET", path, root, nil).must(200, &d)
		return d
	}
	s.call("POST", paths[0]+"/act", root, form{"action": "warn"}).refused(422, "invalid_fields")
	act(paths[0], map[string]any{"action": "praise"}).refused(422, "invalid_fields")
	for _, days := range []int{-1, 91} {
		act(paths[0], map[string]any{"action": "limit", "days": days}).refused(422, "invalid_fields")
	}
	act("/admin/reports/019a000000007000800000000000000f", map[string]any{"action": "warn"}).refused(404,
		"report_not_found")
	s.audited()

	act(paths[1], map[string]any{"action": "dismiss"}).must(204, nil)
	if d := show(paths[1]); d.State != "dismissed" || len(d.Actions) != 1 || d.Actions[0].ByName != "root1" {
		t.Errorf("dismissed report %+v", d)
	}

	// A warning is shown to the user until they confirm it.
	bob := s.token("bob")
	act(paths[0], map[string]any{"action": "warn"}).must(204, nil)
	type own struct {
		Warning *struct {
			At     chat.Micros
			Reason string
		}
		LimitedUntil chat.Micros `json:"limited_until"`
	}
	var me own
	s.call("GET", "/me", bob, nil).must(200, &me)
	if me.Warning == nil || me.Warning.Reason != "spam" || !slices.Equal(s.realtime.ownProfiles, []string{"bob"}) {
		t.Fatalf("bob %+v, announced to %v", me, s.realtime.ownProfiles)
	}
	if d := show(paths[0]); d.State != "acted" || d.About.WarnedAt != me.Warning.At {
		t.Errorf("after the warning: %+v", d)
	}
	s.call("DELETE", "/me/warning", bob, map[string]any{"at": me.Warning.At - 1}).must(204, nil)
	s.call("GET", "/me", bob, nil).must(200, &me)
	if me.Warning == nil {
		t.Fatal("confirming an earlier warning removes it")
	}
	s.call("DELETE", "/me/warning", bob, map[string]any{"at": me.Warning.At}).must(204, nil)
	me = own{}
	s.call("GET", "/me", bob, nil).must(200, &me)
	if me.Warning != nil {
		t.Errorf("after the confirmation: %+v", me)
	}

	// New contacts are forbidden, and allowed again.
	until := micros(s.clock.Now().Add(7 * 24 * time.Hour))
	act(paths[0], map[string]any{"action": "limit", "days": 7}).must(204, nil)
	s.call("GET", "/me", bob, nil).must(200, &me)
	if d := show(paths[0]); d.About.LimitedUntil != until || s.realtime.last().LimitedUntil != until ||
		me.LimitedUntil != until {
		t.Errorf("limited until %d, gate %+v, want %d", d.About.LimitedUntil, s.realtime.last(), until)
	}
	act(paths[0], map[string]any{"action": "limit", "days": 0}).must(204, nil)
	if g := s.realtime.last(); g.LimitedUntil != 0 {
		t.Errorf("gate %+v", g)
	}

	act(paths[0], map[string]any{"action": "disable"}).must(204, nil)
	if d := show(paths[0]); !d.About.Disabled || !s.realtime.last().Disabled || len(s.realtime.purge) != 1 ||
		s.realtime.purge[0].From != "bob" {
		t.Errorf("after disabling: %+v, purges %+v", d, s.realtime.purge)
	}
	s.call("GET", "/me", bob, nil).refused(403, "account_disabled")
	act(paths[0], map[string]any{"action": "dismiss"}).refused(409, "report_closed")

	// An action that fails half-way is repeated.
	s.realtime.failWith(problem.ErrUnavailable)
	act(paths[1], map[string]any{"action": "limit", "days": 1}).refused(503, "unavailable")
	s.realtime.failWith(nil)
	if d := show(paths[1]); d.State != "dismissed" {
		t.Errorf("after a failed action: %+v", d)
	}
	act(paths[1], map[string]any{"action": "limit", "days": 1}).must(204, nil)

	var log []string
	for _, line := range s.audits() {
		if !strings.Contains(line, "read_report") {
			log = append(log, strings.TrimPrefix(line, "root1 "))
		}
	}
	want := []string{"dismiss_report bob ads", "warn bob ads", "limit_contacts bob 7 days: ads",
		"limit_contacts bob 0 days: ads", "disable bob ads", "dismiss_report bob ads",
		"dismiss_report bob ads failed: report_closed", "limit_contacts bob 1 days: ads",
		"limit_contacts bob 1 days: ads failed: unavailable", "limit_contacts bob 1 days: ads"}
	if !slices.Equal(log, want) {
		t.Errorf("audit log\n%s, want\n%s", strings.Join(log, "\n"), strings.Join(want, "\n"))
	}
}

// The export of a reporter has the own reports. That of the person whom they are about does not.
func TestReportsAreExported(t *testing.T) {
	s := newSystem(t)
	bob, ada := s.token(s.user("bob")), s.token(s.user("ada"))
	for range api.ReportsPerDay {
		s.call("POST", "/me/reports", ada, aReport("bob")).must(204, nil)
	}
	type export struct {
		Reports []struct{ ID, About, Reason, Comment string }
	}
	var mine, theirs export
	s.call("GET", "/me/export", ada, nil).must(200, &mine)
	s.call("GET", "/me/export", bob, nil).must(200, &theirs)
	if len(mine.Reports) != api.ReportsPerDay || fmt.Sprint(mine.Reports[0].About, mine.Reports[0].Comment) != "bobads" ||
		len(theirs.Reports) != 0 {
		t.Errorf("exports %+v and %+v", mine, theirs)
	}
}
