package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

func TestCloudFormat(t *testing.T) {
	var out bytes.Buffer
	log := logging.New(&out, logging.Options{JSON: true, Project: "demo-chat"})
	r := httptest.NewRequest("GET", "/ws", nil)
	r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	ctx := logging.WithTrace(context.Background(), r)
	log.With("instance", "a").WithGroup("socket").WarnContext(ctx, "socket closed", "code", 1008)

	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	for key, want := range map[string]any{"severity": "WARNING", "message": "socket closed", "instance": "a"} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if got["time"] == nil {
		t.Error("the record has no time")
	}
}

// Cloud Logging finds the trace only at the top level of a record.
func TestTraces(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, tc := range []struct{ header, value, trace, span string }{
		{"traceparent", "00-" + id + "-00f067aa0ba902b7-01", "projects/p/traces/" + id, "00f067aa0ba902b7"},
		{"X-Cloud-Trace-Context", id + "/123;o=1", "projects/p/traces/" + id, ""},
		{"X-Cloud-Trace-Context", id, "projects/p/traces/" + id, ""},
		{"traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "", ""},
		{"traceparent", "nonsense", "", ""},
		{"X-Cloud-Trace-Context", "\"},{\"severity\":\"x", "", ""},
	} {
		var out bytes.Buffer
		log := logging.New(&out, logging.Options{JSON: true, Project: "p"})
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(tc.header, tc.value)
		log.InfoContext(logging.WithTrace(context.Background(), r), "x")
		var got map[string]string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got["logging.googleapis.com/trace"] != tc.trace || got["logging.googleapis.com/spanId"] != tc.span {
			t.Errorf("%s: %s gives trace %q, span %q", tc.header, tc.value,
				got["logging.googleapis.com/trace"], got["logging.googleapis.com/spanId"])
		}
	}
}

func TestSecretsAndBodiesAreNotLogged(t *testing.T) {
	for _, json := range []bool{true, false} {
		var out bytes.Buffer
		log := logging.New(&out, logging.Options{JSON: json})
		log.Info("x", "token", "sesame-1", "Authorization", "sesame-2", slog.Group("frame_of", "body", "sesame-3"),
			"password", "sesame-4")
		log.With("id_token", "sesame-5").Info("y")
		if strings.Contains(out.String(), "sesame") {
			t.Errorf("JSON %v: a secret was logged: %s", json, out.String())
		}
	}
}

// A value from outside can neither begin another log record nor change the severity of its own.
func TestLineBreaksStayInTheirRecord(t *testing.T) {
	const hostile = "x\r\n{\"severity\":\"ERROR\"}\u2028\x1b[31m\",\"uid\":\"root"
	for _, isJSON := range []bool{true, false} {
		var out bytes.Buffer
		log := logging.New(&out, logging.Options{JSON: isJSON})
		log.Info("request refused", "path", hostile, "error", errors.New(hostile), hostile, "key")
		if lines := strings.Count(out.String(), "\n"); lines != 1 || strings.ContainsAny(out.String(), "\r\x1b") {
			t.Errorf("JSON %v: %d lines: %q", isJSON, lines, out.String())
		}
		if !isJSON {
			continue
		}
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["severity"] != "INFO" || got["path"] != hostile ||
			got["uid"] != nil {
			t.Errorf("%v in %s", err, out.String())
		}
	}
}

func TestLevels(t *testing.T) {
	var out bytes.Buffer
	log := logging.New(&out, logging.Options{JSON: true, Level: slog.LevelWarn})
	log.Info("quiet")
	log.Error("loud")
	if strings.Contains(out.String(), "quiet") || !strings.Contains(out.String(), `"severity":"ERROR"`) {
		t.Errorf("got %s", out.String())
	}
}
