// Package gatefirestore reads gates from the users' documents in Firestore: users/{uid} with the fields disabled
// (bool), valid_after (microseconds or a timestamp), ended (array of microseconds) and blocked (array of uids). A user
// without a document does not exist.
package gatefirestore

import (
	"context"
	"fmt"
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
	ended, _ := data["ended"].([]any)
	for _, v := range ended {
		if at, ok := v.(int64); ok {
			g.Ended = append(g.Ended, chat.Micros(at).Time())
		}
	}
	list, _ := data["blocked"].([]any)
	for _, v := range list {
		if uid, ok := v.(string); ok {
			g.Blocked = append(g.Blocked, uid)
		}
	}
	return g
}
