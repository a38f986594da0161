// Package trace lets an operator follow one message from the socket of its sender over Pub/Sub to Firestore.
//
// Every step of a traced message writes one line to the log. All lines of a message have the same trace, which is the
// message's id without its hyphens, so nothing has to be stored with the message, and every instance that takes a step
// knows the trace. Cloud Logging shows the lines of a trace together.
//
// The messages of the prober are traced, and one in 4,096 of all others. For a message that is not traced, a step costs
// a comparison of a few characters.
package trace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
)

// Steps of a message, in their order.
const (
	Accepted  = "accepted"  // queued in the inbox of its recipient
	Delivered = "delivered" // queued for a socket of its recipient
	Published = "published" // acknowledged by a device, and confirmed by Pub/Sub
	Saved     = "saved"     // in Firestore
)

// sampled is the end of the ids of messages that are traced, whoever writes them. Ids end with random digits.
const sampled = "000"

// Traced reports whether a message is traced. uid is its sender or its recipient.
func Traced(id, uid string) bool { return strings.HasSuffix(id, sampled) || prober.Is(uid) }

// Log logs that a message has taken a step, with the trace of the message. The attributes must not have its body.
func Log(log *slog.Logger, step, id string, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String("step", step), slog.String("id", id))
	ctx := logging.WithTraceOf(logging.Always(context.Background()), traceOf(id), spanOf(id, step))
	log.LogAttrs(ctx, slog.LevelInfo, "message "+step, attrs...)
}

// Attribute is the attribute of a Pub/Sub message that has a traced message, in the format of W3C Trace Context. With
// several, it is that of the first. https://www.w3.org/TR/trace-context/
const Attribute = "traceparent"

// Parent returns the value of Attribute for a message that is published.
func Parent(id string) string { return "00-" + traceOf(id) + "-" + spanOf(id, Published) + "-01" }

// traceOf returns the id of the trace, 32 hexadecimal digits.
func traceOf(id string) string { return strings.ReplaceAll(id, "-", "") }

// spanOf returns the id of a step, 16 hexadecimal digits.
func spanOf(id, step string) string {
	sum := sha256.Sum256([]byte(id + step))
	return hex.EncodeToString(sum[:8])
}

type contextKey struct{}

// WithParent returns a context with which a Pub/Sub message that has the traced message id is published.
func WithParent(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextKey{}, Parent(id))
}

// Attributes returns the attributes of a Pub/Sub message that is published with ctx, or nil if there are none.
func Attributes(ctx context.Context) map[string]string {
	if parent, ok := ctx.Value(contextKey{}).(string); ok {
		return map[string]string{Attribute: parent}
	}
	return nil
}
