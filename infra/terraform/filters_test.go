package terraform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/notify"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// entry is a log entry as Cloud Logging stores a line of a service.
func entry(t *testing.T, service, line string) map[string]any {
	t.Helper()
	var payload map[string]any
	if err := json.Unmarshal([]byte(line), &payload); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return map[string]any{"jsonPayload": payload, "resource": map[string]any{"type": "cloud_run_revision",
		"labels": map[string]any{"service_name": service}}}
}

var condition = regexp.MustCompile(`^\s*([\w.]+)\s*(!=|=|>)\s*("[^"]*"|[\d.]+)\s*`)

// matches reports whether an entry passes a filter of the part of Cloud Logging's language that the metrics use:
// comparisons, AND, OR and parentheses. As there, a comparison with a field that is missing is false, also with !=.
func matches(t *testing.T, filter string, entry map[string]any) bool {
	t.Helper()
	got, rest := matchAny(t, filter, entry)
	if strings.TrimSpace(rest) != "" {
		t.Fatalf("cannot read %q of the filter %q", rest, filter)
	}
	return got
}

func matchAny(t *testing.T, filter string, entry map[string]any) (got bool, rest string) {
	got, rest = matchAll(t, filter, entry)
	for strings.HasPrefix(rest, "OR ") {
		var more bool
		more, rest = matchAll(t, rest[len("OR "):], entry)
		got = got || more
	}
	return got, rest
}

func matchAll(t *testing.T, filter string, entry map[string]any) (got bool, rest string) {
	got, rest = matchOne(t, filter, entry)
	for strings.HasPrefix(rest, "AND ") {
		var more bool
		more, rest = matchOne(t, rest[len("AND "):], entry)
		got = got && more
	}
	return got, rest
}

func matchOne(t *testing.T, filter string, entry map[string]any) (got bool, rest string) {
	t.Helper()
	if inner, ok := strings.CutPrefix(strings.TrimLeft(filter, " "), "("); ok {
		got, rest = matchAny(t, inner, entry)
		if rest, ok = strings.CutPrefix(rest, ")"); !ok {
			t.Fatalf("a parenthesis of %q is not closed", filter)
		}
		return got, strings.TrimLeft(rest, " ")
	}
	m := condition.FindStringSubmatch(filter)
	if m == nil {
		t.Fatalf("cannot read the filter %q", filter)
	}
	var path []any
	for name := range strings.SplitSeq(m[1], ".") {
		path = append(path, name)
	}
	value, rest := at(entry, path...), filter[len(m[0]):]
	switch {
	case value == nil:
		return false, rest
	case m[2] == ">":
		limit, err := strconv.ParseFloat(m[3], 64)
		n, isNumber := value.(float64)
		return err == nil && isNumber && n > limit, rest
	}
	return (value == strings.Trim(m[3], `"`)) == (m[2] == "="), rest
}

// failing is a push service, gates and a topic of notify that do nothing.
type failing struct{ result push.Result }

func (f failing) Send(context.Context, store.Subscription, string, []byte) push.Result {
	return f.result
}
func (failing) RefreshGate(context.Context, string) error { return nil }
func (failing) Publish(context.Context, []byte) error     { return nil }

// linesOfNotify returns what notify logs if the push service answers so, or if the event is malformed.
func linesOfNotify(t *testing.T, result push.Result, malformed bool) (lines []string) {
	t.Helper()
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Now()
	for _, uid := range []string{"ann", "bob"} {
		lease, err := db.Reserve(t.Context(), uid+"@example.org", uid, uid, "attempt", chat.MicrosOf(now), time.Minute)
		if err == nil {
			err = db.Commit(t.Context(), lease, store.User{UID: uid, Username: uid, DisplayName: uid,
				Email: uid + "@example.org", CreatedAt: chat.MicrosOf(now)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Subscribe(t.Context(), "bob", store.Subscription{Device: "phone", Endpoint: "https://push.example/1",
		SignIn: chat.MicrosOf(now), At: chat.MicrosOf(now)}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := failing{result}
	n := notify.New(notify.Deps{Store: db, Sender: f, Gates: f, Publisher: f,
		Log: logging.New(&log, logging.Options{JSON: true})})
	data, err := json.Marshal(away.Event{V: 1, UID: "bob", Conversation: "ann~bob", From: "ann", Text: "hello",
		IDs: []string{uuid.Must(uuid.NewV7()).String()}, At: chat.MicrosOf(now)})
	if err != nil {
		t.Fatal(err)
	}
	if malformed {
		data = []byte("{}")
	}
	e := event.New()
	e.SetID("1")
	if err := e.SetData(event.ApplicationJSON,
		map[string]any{"message": map[string]any{"data": data, "messageId": "1"}}); err != nil {
		t.Fatal(err)
	}
	_ = n.Handle(t.Context(), e) // an error is Pub/Sub's to repeat; the log is what counts here
	return strings.Split(strings.TrimSpace(log.String()), "\n")
}

// linesOfRealtime returns what an instance logs that cannot publish to the topic notify for two minutes.
func linesOfRealtime(t *testing.T, broken bool) (lines []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rig := servertest.New(t, "ann", "bob")
		rig.Gates.Set("bob", gate.Gate{Exists: true, Push: true})
		rig.Acquaint("ann", "bob") // nobody is notified of a request
		if broken {
			rig.Notified.Fail(errors.New("the topic does not exist"))
		}
		var log bytes.Buffer
		in := rig.Start(func(d *server.Deps) {
			d.Log = logging.New(&log, logging.Options{JSON: true, Level: slog.LevelWarn})
		})
		in.Join(t, "ann").Say("bob", "hello")
		testwait.Advance(2*time.Minute + away.Expire)
		in.Stop()
		lines = strings.Split(strings.TrimSpace(log.String()), "\n")
	})
	return lines
}

// TestPushAlertsReadRealLines checks that the metrics of the alerts on pushes count the lines that realtime and notify
// write, and no others.
func TestPushAlertsReadRealLines(t *testing.T) {
	s := applied(t)
	realtime := text(s.one(t, "google_cloud_run_v2_service.realtime"), "name")
	for _, c := range []struct {
		name, metric, alert, service string
		lines                        []string
		want                         bool
	}{
		{"a topic that fails", `google_logging_metric.counter["away.Dropped"]`,
			"google_monitoring_alert_policy.pushes_dropped", realtime, linesOfRealtime(t, true), true},
		{"a topic that works", `google_logging_metric.counter["away.Dropped"]`,
			"google_monitoring_alert_policy.pushes_dropped", realtime, linesOfRealtime(t, false), false},
		{"a push that is refused", "google_logging_metric.push_failures",
			"google_monitoring_alert_policy.push_failures", "notify",
			linesOfNotify(t, push.Result{Outcome: push.Refused, Status: 403}, false), true},
		{"a push service that fails", "google_logging_metric.push_failures",
			"google_monitoring_alert_policy.push_failures", "notify",
			linesOfNotify(t, push.Result{Outcome: push.Later, Status: 503}, false), true},
		{"a malformed event", "google_logging_metric.push_failures",
			"google_monitoring_alert_policy.push_failures", "notify", linesOfNotify(t, push.Result{}, true), true},
		{"a subscription that has ended", "google_logging_metric.push_failures",
			"google_monitoring_alert_policy.push_failures", "notify",
			linesOfNotify(t, push.Result{Outcome: push.Gone, Status: 410}, false), false},
	} {
		metric, found := s.one(t, c.metric), false
		for _, line := range c.lines {
			if line == "" {
				continue
			}
			found = found || matches(t, text(metric, "filter"), entry(t, c.service, line))
			if matches(t, text(metric, "filter"), entry(t, "another", line)) {
				t.Errorf("%s: a line of another service is counted: %s", c.name, line)
			}
		}
		if found != c.want {
			t.Errorf("%s: counted %v, want %v: %s", c.name, found, c.want, strings.Join(c.lines, "\n"))
		}
		query := text(s.one(t, c.alert), "conditions", 0, "condition_prometheus_query_language", 0, "query")
		if !strings.Contains(query, "user_"+text(metric, "name")) {
			t.Errorf("%s does not read %s: %s", c.alert, text(metric, "name"), query)
		}
	}
}

// The alert on reports counts the lines that TestReportAgain of functions/api has seen, and no others.
func TestReportAlertReadsRealLines(t *testing.T) {
	s := applied(t)
	metric := s.one(t, "google_logging_metric.user_reports")
	for _, c := range []struct {
		service, message string
		want             bool
	}{
		{"me", api.ReportLog, true},
		{"users", api.ReportLog, false},
		{"me", "signed in", false},
	} {
		var line bytes.Buffer
		logging.New(&line, logging.Options{JSON: true}).Info(c.message, "report", "1", "about", "bob", "reason", "spam")
		if matches(t, text(metric, "filter"), entry(t, c.service, line.String())) != c.want {
			t.Errorf("counted %v, want %v: %s of %s", !c.want, c.want, &line, c.service)
		}
	}
	alert := s.one(t, "google_monitoring_alert_policy.user_reports")
	query := text(alert, "conditions", 0, "condition_prometheus_query_language", 0, "query")
	if !strings.Contains(query, "user_"+text(metric, "name")) {
		t.Errorf("the alert does not read %s: %s", text(metric, "name"), query)
	}
}
