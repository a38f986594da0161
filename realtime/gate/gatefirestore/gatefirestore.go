// Package gatefirestore reads what the realtime service needs from Firestore: gates from users/{uid}, with the fields
// disabled, push and email_verified (bool), valid_after (microseconds or a timestamp), limited_until (microseconds),
// ended and signed_out (arrays of microseconds), blocked (array of uids) and privacy (a chat.PrivacyForm), and who has
// written to whom from conversations/{id}, with the fields writers and accepted (arrays of uids). A user without a
// document does not exist.
package gatefirestore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
)

// Source is a gate.Source. Each call reads one document.
type Source struct{ client *firestore.Client }

// New returns a Source that uses client. The caller closes the client.
func New(client *firestore.Client) *Source { return &Source{client} }

// Gate implements gate.Source.
func (s *Source) Gate(ctx context.Context, uid string) (gate.Gate, error) {
	if !chat.ValidUID(uid) {
		return gate.Gate{}, nil // does not exist, and would not be a valid path of a document
	}
	doc, err := s.client.Collection("users").Doc(uid).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return gate.Gate{}, nil
	}
	if err != nil {
		return gate.Gate{}, fmt.Errorf("read users/%s: %w", uid, err)
	}
	return fromDocument(doc.Data()), nil
}

// Archive is an inbox.Archive. Each call reads one document.
type Archive struct{ client *firestore.Client }

// NewArchive returns an Archive that uses client. The caller closes the client.
func NewArchive(client *firestore.Client) *Archive { return &Archive{client} }

// Writers implements inbox.Archive. It is store.Writers of the functions.
func (a *Archive) Writers(ctx context.Context, conversation string) ([]string, error) {
	if _, _, err := chat.Members(conversation); err != nil {
		return nil, err
	}
	doc, err := a.client.Collection("conversations").Doc(conversation).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read conversations/%s: %w", conversation, err)
	}
	wrote := texts(doc.Data()["writers"])
	writers := slices.Clone(wrote)
	for _, uid := range texts(doc.Data()["accepted"]) {
		if other, err := chat.Other(conversation, uid); err == nil && slices.Contains(wrote, other) &&
			!slices.Contains(writers, uid) {
			writers = append(writers, uid)
		}
	}
	return writers, nil
}

// texts returns the strings in an array.
func texts(v any) (out []string) {
	list, _ := v.([]any)
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// fromDocument converts a document. A field of an unexpected type counts as unset, except for disabled, which then
// counts as true, so that the user cannot come in.
func fromDocument(data map[string]any) gate.Gate {
	g := gate.Gate{Exists: true}
	switch v := data["disabled"].(type) {
	case nil:
	case bool:
		g.Disabled = v
	default:
		g.Disabled = true
	}
	switch v := data["valid_after"].(type) {
	case int64:
		if v > 0 {
			g.ValidAfter = chat.Micros(v).Time()
		}
	case time.Time:
		g.ValidAfter = v.UTC()
	}
	g.Blocked = texts(data["blocked"])
	g.Push, _ = data["push"].(bool)
	if v, _ := data["limited_until"].(int64); v > 0 {
		g.LimitedUntil = chat.Micros(v).Time()
	}
	if verified, ok := data["email_verified"].(bool); ok {
		g.Unverified = !verified
	}
	g.Ended, g.SignedOut = times(data["ended"]), times(data["signed_out"])
	g.Privacy = privacy(data["privacy"])
	return g
}

// privacy converts the part of the field privacy that realtime/ needs. A field that is missing, or has another type,
// counts as the default.
func privacy(v any) chat.Privacy {
	fields, _ := v.(map[string]any)
	form := chat.Privacy{}.Form()
	if s, ok := fields["last_seen"].(string); ok {
		form.LastSeen = s
	}
	if s, ok := fields["writers"].(string); ok {
		form.Writers = s
	}
	if on, ok := fields["read_receipts"].(bool); ok {
		form.ReadReceipts = on
	}
	return form.Known()
}

// times returns the times in an array of microseconds.
func times(v any) (out []time.Time) {
	list, _ := v.([]any)
	for _, v := range list {
		if at, ok := v.(int64); ok {
			out = append(out, chat.Micros(at).Time())
		}
	}
	return out
}
