// Package logging writes log/slog records in the JSON format that Cloud Logging reads from standard output, or as text
// for a terminal.
//
// Logs say who did what, and whether it worked. They never contain messages or credentials. As the last line of
// defense, New replaces the value of every attribute whose name suggests a secret or the body of a message.
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
	JSON    bool         // Cloud Logging's format; otherwise text
	Level   slog.Leveler // minimum level; default slog.LevelInfo
	Project string       // Google Cloud project of the traces; "": the trace is written as a bare id
}

// New returns a logger that writes to w, one line per record. It is safe for concurrent use.
func New(w io.Writer, o Options) *slog.Logger {
	if !o.JSON {
		return slog.New(&handler{project: o.Project, Handler: slog.NewTextHandler(w,
			&slog.HandlerOptions{Level: o.Level, ReplaceAttr: hide})})
	}
	return slog.New(&handler{project: o.Project, Handler: slog.NewJSONHandler(w,
		&slog.HandlerOptions{Level: o.Level, ReplaceAttr: cloud})})
}

// Keys with a special meaning for Cloud Logging.
// https://cloud.google.com/logging/docs/structured-logging#special-payload-fields
const (
	traceKey = "logging.googleapis.com/trace"
	spanKey  = "logging.googleapis.com/spanId"
)

// cloud renames the standard fields of slog to those of Cloud Logging.
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

// hide replaces the value of an attribute that must not be logged.
func hide(_ []string, a slog.Attr) slog.Attr {
	switch strings.ToLower(a.Key) {
	case "token", "id_token", "access_token", "refresh_token", "authorization", "cookie", "password", "secret", "api_key",
		"body", "frame", "text":
		return slog.String(a.Key, "[not logged]")
	}
	return a
}

// handler adds the trace that is in the context of a record.
type handler struct {
	slog.Handler
	project string
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return ctx.Value(alwaysContextKey{}) != nil || h.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
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

// WithGroup puts later attributes into a group, including the trace, where Cloud Logging does not find it. Our loggers
// have no groups, only records do.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.project}
}

type alwaysContextKey struct{}

// Always returns a context with which records are written whatever the minimum level is. It is for lines of which
// metrics are made: a higher level for the log must not end the metrics.
func Always(ctx context.Context) context.Context {
	return context.WithValue(ctx, alwaysContextKey{}, true)
}

type traceContextKey struct{}

type trace struct{ id, span string }

// WithTrace returns ctx with the trace of the request, from its header traceparent (W3C) or X-Cloud-Trace-Context. It
// returns ctx itself if there is none. Cloud Logging shows records that are logged with this context under the request.
func WithTrace(ctx context.Context, r *http.Request) context.Context {
	if t, ok := parseTrace(r.Header); ok {
		return context.WithValue(ctx, traceContextKey{}, t)
	}
	return ctx
}

// WithTraceOf returns ctx with a trace, as 32 hexadecimal digits, and a span of it, as 16.
func WithTraceOf(ctx context.Context, id, span string) context.Context {
	return context.WithValue(ctx, traceContextKey{}, trace{id, span})
}

func parseTrace(h http.Header) (trace, bool) {
	// 00-<32 hex>-<16 hex>-<2 hex>, https://www.w3.org/TR/trace-context/
	if parts := strings.Split(h.Get("traceparent"), "-"); len(parts) >= 4 && hex(parts[1], 32) && hex(parts[2], 16) {
		return trace{parts[1], parts[2]}, true
	}
	// <32 hex>/<decimal>;o=<0 or 1>. The span is decimal here but hexadecimal in logs, so it is left out.
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
