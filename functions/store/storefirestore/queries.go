package storefirestore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// shape is a query without its values. Every query of this package is made of one of the shapes below, so that a test
// can derive the indexes that are needed.
type shape struct {
	collection string
	group      bool // all collections with this name, at any level
	where      []condition
	order      []string // fields, with "-" if descending; the document id follows, in the direction of the last field
	byID       bool     // without an order: by document id
}

type condition struct{ field, op string }

var (
	usersBySortKey = shape{collection: colUsers, where: []condition{{"disabled", "=="}}, order: []string{"sort_key"}}
	usersByWord    = shape{collection: colUsers, where: []condition{{"disabled", "=="}, {"terms", "array-contains"}},
		order: []string{"sort_key"}}
	allUsersByName = shape{collection: colUsers, order: []string{"name_key"}}
	allUsersByWord = shape{collection: colUsers, where: []condition{{"terms", "array-contains"}},
		order: []string{"sort_key"}}
	allUsersByNewest = shape{collection: colUsers, order: []string{"-created_at"}}
	allUsersByActive = shape{collection: colUsers, order: []string{"-last_active_at"}}
	allUsersByEmail  = shape{collection: colUsers, where: []condition{{"email", ">="}, {"email", "<"}},
		order: []string{"email"}}
	userWithEmail = shape{collection: colUsers, where: []condition{{"email", "=="}}}
	admins        = shape{collection: colUsers, where: []condition{{"admin", "=="}}}
	everybody     = shape{collection: colUsers}
	activeSince   = shape{collection: colUsers, where: []condition{{"last_active_at", ">="}}}
	erasingSince  = shape{collection: colUsers, where: []condition{{"erasing_at", ">"}, {"erasing_at", "<"}},
		order: []string{"erasing_at"}}
	usersInDisuse = shape{collection: colUsers,
		where: []condition{{"email_verified", "=="}, {"admin", "=="}, {"disabled", "=="}, {"last_active_at", "<"}},
		order: []string{"last_active_at"}}
	staleSignups = shape{collection: colSignups, where: []condition{{"expires_us", "<"}},
		order: []string{"expires_us"}}
	erasedSince     = shape{collection: colErased, where: []condition{{"at", ">="}}, order: []string{"at"}}
	conversationsOf = shape{collection: colConversations, where: []condition{{"members", "array-contains"}},
		order: []string{"-last_at"}}
	allConversations = shape{collection: colConversations, where: []condition{{"members", "array-contains"}}, byID: true}
	newestMessages   = shape{collection: colMessages, order: []string{"-at"}}
	messagesBefore   = shape{collection: colMessages, where: []condition{{"at", "<"}}, order: []string{"-at"}}
	messagesFrom     = shape{collection: colMessages, where: []condition{{"from", "=="}}}
	messagesToSince  = shape{collection: colMessages, where: []condition{{"to", "=="}, {"at", ">"}}}
	messagesOnDay    = shape{collection: colMessages, group: true, where: []condition{{"day", "=="}}}
	changedFor       = shape{collection: colMessages, group: true,
		where: []condition{{"changed_for", "array-contains"}, {"changed_at", ">="}}, order: []string{"changed_at"}}
	// reportsWith has the queries of reports, by the field that a store.ReportFilter compares.
	reportsWith = map[string]shape{
		"state":    {collection: colReports, where: []condition{{"state", "=="}}, order: []string{"-at"}},
		"about":    {collection: colReports, where: []condition{{"about", "=="}}, order: []string{"-at"}},
		"reporter": {collection: colReports, where: []condition{{"reporter", "=="}}, order: []string{"-at"}},
	}
	auditByNewest  = shape{collection: colAudit, order: []string{"-at"}}
	deadByOldest   = shape{collection: colDeadLetters, order: []string{"at"}}
	allDeadLetters = shape{collection: colDeadLetters}

	shapes = []shape{usersBySortKey, usersByWord, allUsersByName, allUsersByWord, allUsersByNewest, allUsersByActive,
		allUsersByEmail, userWithEmail, admins, everybody, activeSince, erasingSince, usersInDisuse, staleSignups,
		erasedSince, conversationsOf, allConversations,
		reportsWith["state"], reportsWith["about"], reportsWith["reporter"],
		newestMessages, messagesBefore, messagesFrom, messagesToSince, messagesOnDay, changedFor, auditByNewest, deadByOldest,
		allDeadLetters}
)

// query returns the query of a shape with values, in the order of its conditions. below is the document above the
// collection, or nil for a collection at the top level.
func (s *Store) query(sh shape, below *firestore.DocumentRef, values ...any) firestore.Query {
	if below != nil {
		return sh.build(below.Collection(sh.collection).Query, values...)
	}
	return queryIn(s.client, sh, values...)
}

// queryIn is query for a collection at the top level of a database.
func queryIn(db *firestore.Client, sh shape, values ...any) firestore.Query {
	if sh.group {
		return sh.build(db.CollectionGroup(sh.collection).Query, values...)
	}
	return sh.build(db.Collection(sh.collection).Query, values...)
}

// build adds the conditions and the order to a query of the collection.
func (sh shape) build(q firestore.Query, values ...any) firestore.Query {
	if len(values) != len(sh.where) {
		panic(fmt.Sprintf("query of %s: %d values for %d conditions", sh.collection, len(values), len(sh.where)))
	}
	for i, c := range sh.where {
		q = q.Where(c.field, c.op, values[i])
	}
	dir := firestore.Asc
	for _, field := range sh.order {
		name, desc := strings.CutPrefix(field, "-")
		if dir = firestore.Asc; desc {
			dir = firestore.Desc
		}
		q = q.OrderBy(name, dir)
	}
	if len(sh.order) > 0 || sh.byID {
		q = q.OrderBy(firestore.DocumentID, dir)
	}
	return q
}

// from makes q continue after a mark, whose sort value is value.
func from(q firestore.Query, m *store.Mark, value any) (firestore.Query, error) {
	if m == nil {
		return q, nil
	}
	if strings.Contains(m.ID, "/") {
		return q, store.ErrCursor.WithCause(fmt.Errorf("document id %.60q", m.ID))
	}
	return q.StartAfter(value, m.ID), nil
}

// each calls f with the documents of q until f returns false.
func each(ctx context.Context, q firestore.Query, f func(*firestore.DocumentSnapshot) (bool, error)) error {
	it := q.Documents(ctx)
	defer it.Stop()
	for {
		snap, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return translate(err)
		}
		store.CountRead(ctx, 1)
		if more, err := f(snap); err != nil || !more {
			return translate(err)
		}
	}
}

// count counts the documents of q. One read is billed per thousand documents.
func count(ctx context.Context, q firestore.Query) (int64, error) {
	store.CountRead(ctx, 1)
	r, err := q.NewAggregationQuery().WithCount("n").Get(ctx)
	if err != nil {
		return 0, translate(err)
	}
	v, ok := r["n"].(*firestorepb.Value)
	if !ok {
		return 0, fmt.Errorf("firestore: count has the type %T", r["n"])
	}
	return v.GetIntegerValue(), nil
}
