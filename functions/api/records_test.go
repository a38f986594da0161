package api_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func TestFigures(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.user("ada")
	s.user("bob")
	s.save("ada", "bob", "one", "two")
	type figures struct {
		Users       int64 `json:"people"`
		ActiveToday int64 `json:"active_today"`
		DeadLetters int64 `json:"dead_letters"`
		Messages    []struct {
			Day   string
			Count int64
		} `json:"messages_per_day"`
		Realtime *struct {
			Sockets map[string]int64
			Queued  int64
		}
	}
	var f figures
	s.call("GET", "/admin/figures", token, nil).must(200, &f)
	days := map[string]int64{}
	total := int64(0)
	for _, d := range f.Messages {
		days[d.Day] = d.Count
		total += d.Count
	}
	if f.Users != 3 || f.ActiveToday != 1 || len(f.Messages) != 30 || len(days) != 30 || total != 2 ||
		f.Messages[29].Day != s.clock.Now().UTC().Format(time.DateOnly) ||
		f.Realtime == nil || f.Realtime.Sockets["one"] != 3 || f.Realtime.Queued != 2 {
		t.Errorf("figures %+v", f)
	}
	// Counts are renewed after a while. If realtime/ is down, only its own figures are missing.
	s.user("cyd")
	s.realtime.failWith(problem.ErrUnavailable)
	s.clock.advance(time.Minute)
	f = figures{}
	s.call("GET", "/admin/figures", s.token("root1", asAdmin), nil).must(200, &f)
	if f.Users != 4 || f.Realtime != nil {
		t.Errorf("figures %+v", f)
	}
}

func TestDeadLetters(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	now := s.clock.Now()
	good := delivery.Delivered{Message: chat.Message{ID: "01999999-9999-7999-8999-999999999999", Conversation: "ada~bob",
		From: "ada", To: "bob", Body: "late", At: micros(now), AcceptedAt: micros(now)}, DeliveredAt: micros(now)}
	data, err := delivery.Batch{Delivered: []delivery.Delivered{good}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	put := func(id string, at chat.Micros, data []byte) {
		t.Helper()
		if err := s.store.PutDeadLetters(t.Context(), []store.DeadLetter{store.NewDeadLetter(id, at, "for a test",
			data)}); err != nil {
			t.Fatal(err)
		}
	}
	put("1", 1, data)
	put("2", 2, []byte("\xff\xfe"))
	put("3", 3, []byte("no JSON"))
	var list struct {
		Letters []struct{ ID, Reason, Data, Encoding string } `json:"dead_letters"`
		Next    string
	}
	s.call("GET", "/admin/dead-letters?limit=2", token, nil).must(200, &list)
	if len(list.Letters) != 2 || list.Letters[0].Data != string(data) || list.Letters[1].Encoding != "base64" ||
		list.Letters[1].Data != "//4=" || list.Next == "" {
		t.Errorf("list %+v", list)
	}
	s.call("POST", "/admin/dead-letters/l1/replay", token, form{"reason": "mended"}).must(204, nil)
	if page, _, err := s.store.Messages(t.Context(), "ada~bob", store.Position{}, 10); err != nil || len(page) != 1 {
		t.Errorf("saved %v, %v", page, err)
	}
	for _, c := range []string{"GET /l1", "POST /l1/replay", "POST /l1/discard", "GET /x%00y"} {
		method, path, _ := strings.Cut(c, " ")
		var body any
		if method == "POST" {
			body = form{"reason": "x"}
		}
		s.call(method, "/admin/dead-letters"+path, token, body).refused(404, "dead_letter_not_found")
	}
	s.call("POST", "/admin/dead-letters/l2/discard", token, form{"reason": ""}).refused(422, "invalid_fields")
	s.call("POST", "/admin/dead-letters/l2/discard", token, form{"reason": "noise"}).must(204, nil)
	// Replaying all: data that is still malformed becomes one new dead letter.
	put("4", 4, data)
	var done struct{ Replayed, Left int }
	s.call("POST", "/admin/dead-letters/replay", token, nil).must(200, &done)
	if done.Replayed != 2 || done.Left != 1 {
		t.Errorf("replayed %+v", done)
	}
	s.audited("root1 dead_letter_replay l1 mended", "root1 dead_letter_discard l2 noise", "root1 dead_letters_replay_all")
}

func TestAuditLogAndExports(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("bob")
	s.call("PATCH", "/admin/users/bob", token, form{"display_name": `=HYPERLINK("http://evil.example"), "x"`,
		"reason": "-2+3"}).must(200, nil)
	for _, c := range []struct {
		path, file string
		lines      int
	}{{"/admin/users.csv", "people.csv", 3}, {"/admin/audit.csv", "audit.csv", 4}} {
		a := s.call("GET", c.path, token, nil)
		a.must(200, nil)
		rows, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
		if err != nil || len(rows) != c.lines {
			t.Fatalf("%s: %s (%v)", c.path, a.body, err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
					t.Errorf("%s: cell %q could be a formula", c.path, cell)
				}
			}
		}
		if !strings.Contains(a.header.Get("Content-Type"), "text/csv") ||
			a.header.Get("Content-Disposition") != `attachment; filename="`+c.file+`"` {
			t.Errorf("%s: headers %v", c.path, a.header)
		}
	}
	s.audited("root1 rename bob -2+3", "root1 export_people", "root1 export_audit")
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		s.call(method, "/admin/audit", token, form{}).refused(405, "method_not_allowed")
		s.call(method, "/admin/audit/x", token, form{}).refused(404, "not_found")
	}
	var log struct {
		Entries []store.Audit `json:"entries"`
		Next    string        `json:"next"`
	}
	s.call("GET", "/admin/audit?limit=2", token, nil).must(200, &log)
	s.call("GET", "/admin/audit?limit=2&cursor="+log.Next, token, nil).must(200, &log)
	if len(log.Entries) != 1 || log.Entries[0].OnName != "bob" || log.Entries[0].ByName != "root1" || log.Next != "" {
		t.Errorf("last page %+v", log)
	}
	s.call("GET", "/admin/audit?cursor=x", token, nil).refused(422, "cursor_invalid")
}

// A caller who closes the page before the answer is not a failure of the server, and must not raise an alert.
func TestCanceledRequest(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	var output bytes.Buffer
	s.deps.Log = slog.New(slog.NewTextHandler(&output, nil))
	ctx, cancel := context.WithCancel(t.Context())
	s.deps.Store = canceling{s.store, cancel}
	s.rebuild()
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/admin/audit", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	s.handler.ServeHTTP(httptest.NewRecorder(), r)
	if log := output.String(); strings.Contains(log, "level=ERROR") ||
		!strings.Contains(log, "request canceled by the caller") {
		t.Errorf("log %s", log)
	}
}

// canceling is a store that cancels the request while it reads the audit log.
type canceling struct {
	store.Store
	cancel func()
}

func (c canceling) AuditLog(ctx context.Context, _ string, _ int) ([]store.Audit, string, error) {
	c.cancel()
	return nil, "", problem.ErrUnavailable.WithCause(ctx.Err())
}
