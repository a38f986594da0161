// Package logging writes log/slog records in the JSON form that Cloud Logging
// reads from standard output, or as text for a person at a terminal.
//
// Logs say who did what and how it went. They never hold what people write nor
// what lets someone in: an attribute named like a secret or a message's body is
// replaced by a note, whoever adds it, as the last line of defence.
package logging

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// Options are the settings of New.
type Options struct {
	JSON    bool         // Cloud Logging's format; else text
	Level   slog.Leveler // least level that is written; default slog.LevelInfo
	Project string       // Google Cloud project of the traces; "": traces are written by their bare id
}

// New returns a logger that writes to w, one line per record.
func New(w io.Writer, o Options) *slog.Logger {
	if !o.JSON {
		return slog.New(&handler{project: o.Project, Handler: slog.NewTextHandler(w,
			&slog.HandlerOptions{Level: o.Level, ReplaceAttr: hide})})
	}
	return slog.New(&handler{project: o.Project, Handler: slog.NewJSONHandler(w,
		&slog.HandlerOptions{Level: o.Level, ReplaceAttr: cloud})})
}

// Keys that Cloud Logging gives a meaning to.
// https://cloud.google.com/logging/docs/structured-logging#special-payload-fields
const (
	traceKey = "logging.googleapis.com/trace"
	spanKey  = "logging.googleapis.com/spanId"
)

// cloud renames slog's own fields to Cloud Logging's.
func cloud(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return hide(groups, a)
	}
	switch a.Key {
	case slog.MessageKey:
		a.Key = "message"
		return a
	case slog.LevelKey:
		level, _ := a.Value.Any().(slog.Level)
		return slog.String("severity", severity(level))
	case slog.TimeKey:
		return a
	}
	return hide(groups, a)
}

func severity(l slog.Level) string {
	switch {
	case l >= slog.LevelError+4:
		return "CRITICAL"
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// hide replaces the value of an attribute that must not be written.
func hide(_ []string, a slog.Attr) slog.Attr {
	switch strings.ToLower(a.Key) {
	case "token", "id_token", "access_token", "refresh_token", "authorization", "cookie", "password", "secret", "api_key",
		"body", "frame", "text":
		return slog.String(a.Key, "[not logged]")
	}
	return a
}

// handler adds the trace of the record's context.
type handler struct {
	slog.Handler
	project string
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if t, ok := ctx.Value(traceContextKey{}).(trace); ok {
		name := t.id
		if h.project != "" {
			name = "projects/" + h.project + "/traces/" + t.id
		}
		r = r.Clone()
		r.AddAttrs(slog.String(traceKey, name))
		if t.span != "" {
			r.AddAttrs(slog.String(spanKey, t.span))
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(as), h.project}
}

// WithGroup puts what follows in a group, the trace included, where Cloud
// Logging does not look for it: our loggers have no groups, only records do.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.project}
}

type traceContextKey struct{}

type trace struct{ id, span string }

// WithTrace returns ctx with the trace that the request belongs to, from its
// traceparent (W3C) or X-Cloud-Trace-Context header; ctx itself without one.
// Records logged with it are shown under the request.
func WithTrace(ctx context.Context, r *http.Request) context.Context {
	if t, ok := parseTrace(r.Header); ok {
		return context.WithValue(ctx, traceContextKey{}, t)
	}
	return ctx
}

func parseTrace(h http.Header) (trace, bool) {
	// 00-<32 hex>-<16 hex>-<2 hex>, https://www.w3.org/TR/trace-context/
	if parts := strings.Split(h.Get("traceparent"), "-"); len(parts) >= 4 && hex(parts[1], 32) && hex(parts[2], 16) {
		return trace{parts[1], parts[2]}, true
	}
	// <32 hex>/<decimal>;o=<0 or 1>. The span is decimal here, hexadecimal in logs: left out.
	id, _, _ := strings.Cut(h.Get("X-Cloud-Trace-Context"), "/")
	if hex(id, 32) {
		return trace{id: id}, true
	}
	return trace{}, false
}

// hex reports whether s is n lower-case hexadecimal digits, not all zero.
func hex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}
