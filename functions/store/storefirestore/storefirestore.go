// Package storefirestore is the store in Firestore (DESIGN §7).
//
// Firestore bills documents that are read and written, so the operations that every message needs use few of them.
// Save writes each new message, and each conversation of a flush, once and does not read them. A list reads a page of
// documents, and one index entry per thousand documents that it counts. It continues after the sort values of its
// last entry, never from an offset.
//
// All queries are declared in queries.go. A test compares them with firestore.indexes.json, which Terraform reads.
//
// The audit log is in a database of its own. A condition in IAM selects a database and not a collection, so only that
// keeps the service accounts that write users and messages from changing it.
package storefirestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"cloud.google.com/go/firestore"
	vkit "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Collections.
const (
	colUsers         = "users"              // by uid
	colNames         = "usernames"          // by username in lower case
	colSignups       = "signups"            // by email key
	colErased        = "erased"             // by uid
	colPictures      = "pictures"           // by uid and version
	colChoices       = "choices"            // by uid
	colSubscriptions = "push_subscriptions" // by uid
	colEndpoints     = "push_endpoints"     // by store.EndpointKey
	colReports       = "reports"            // a TTL policy on expires_at deletes them
	colConversations = "conversations"
	colMessages      = "messages" // below a conversation, by message id
	colAudit         = "audit"    // in the database of the audit log
	colDeadLetters   = "dead_letters"
	colLimits        = "limits" // by key; a TTL policy on expires_at deletes them
)

// DefaultAuditDatabase is the name of the audit log's database.
const DefaultAuditDatabase = "audit"

// Options names the databases.
type Options struct {
	Project       string
	Database      string // "": "(default)"
	AuditDatabase string // "": DefaultAuditDatabase
	EmulatorHost  string // host:port of the emulator; "": Google's
}

// Store is a store.Store in Firestore.
type Store struct {
	client *firestore.Client
	audit  *firestore.Client // of the audit log
	raw    *vkit.Client      // for batches whose writes fail independently, which client does not offer
	root   string            // "projects/…/databases/…"
	conn   *grpc.ClientConn
}

var _ store.Store = (*Store)(nil)

// Open returns the store of a database. It does not connect yet: if the database does not exist, the first call
// fails.
//
// The address of the emulator is an option, not an environment variable, so that several systems can run in one
// process.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Project == "" {
		return nil, errors.New("firestore: no project")
	}
	if o.Database == "" {
		o.Database = firestore.DefaultDatabaseID
	}
	s := &Store{root: "projects/" + o.Project + "/databases/" + o.Database}
	var opts []option.ClientOption
	if o.EmulatorHost != "" {
		conn, err := grpc.NewClient("passthrough:///"+o.EmulatorHost,
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(owner{}),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
		if err != nil {
			return nil, fmt.Errorf("firestore emulator: %w", err)
		}
		s.conn = conn
		opts = append(opts, option.WithGRPCConn(conn))
	}
	var err error
	if s.client, err = firestore.NewClientWithDatabase(ctx, o.Project, o.Database, opts...); err != nil {
		return nil, errors.Join(fmt.Errorf("firestore: %w", err), s.Close())
	}
	audit := cmp.Or(o.AuditDatabase, DefaultAuditDatabase)
	if s.audit, err = firestore.NewClientWithDatabase(ctx, o.Project, audit, opts...); err != nil {
		return nil, errors.Join(fmt.Errorf("firestore: %w", err), s.Close())
	}
	if s.raw, err = vkit.NewClient(ctx, opts...); err != nil {
		return nil, errors.Join(fmt.Errorf("firestore: %w", err), s.Close())
	}
	return s, nil
}

// owner is the credentials that the emulator accepts as an administrator's.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

// Close closes the connections. It must not be called while the store is in use.
func (s *Store) Close() error {
	var errs []error
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	if s.conn != nil { // with the emulator, all share one connection
		return errors.Join(errs...)
	}
	if s.audit != nil {
		errs = append(errs, s.audit.Close())
	}
	if s.raw != nil {
		errs = append(errs, s.raw.Close())
	}
	return errors.Join(errs...)
}

// translate converts an error of Firestore to one of the port.
func translate(err error) error {
	var known *problem.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	code := status.Code(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case code == codes.Unknown && status.Code(errors.Unwrap(err)) != codes.Unknown && errors.Unwrap(err) != nil:
		code = status.Code(errors.Unwrap(err))
	}
	err = fmt.Errorf("firestore: %w", err)
	switch code {
	case codes.NotFound:
		return problem.ErrNotFound.WithCause(err)
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.PermissionDenied,
		codes.Unauthenticated:
		return err // for example, a missing index or grant: trying again does not help
	}
	return problem.ErrUnavailable.WithCause(err)
}

func (s *Store) doc(collection, id string) *firestore.DocumentRef {
	return s.client.Collection(collection).Doc(id)
}

// conversation returns the document of a conversation.
func (s *Store) conversation(id string) *firestore.DocumentRef { return s.doc(colConversations, id) }

// get reads a document into v, and reports whether it exists.
func get(ctx context.Context, ref *firestore.DocumentRef, v any) (bool, error) {
	store.CountRead(ctx, 1)
	snap, err := ref.Get(ctx)
	return decoded(snap, err, v)
}

// getIn is get inside a transaction.
func getIn(tx *firestore.Transaction, ref *firestore.DocumentRef, v any) (bool, error) {
	snap, err := tx.Get(ref)
	return decoded(snap, err, v)
}

func decoded(snap *firestore.DocumentSnapshot, err error, v any) (bool, error) {
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := snap.DataTo(v); err != nil {
		return false, fmt.Errorf("decode document %s: %w", snap.Ref.Path, err)
	}
	return true, nil
}

// transact runs f in a transaction. f must read before it writes, and may run several times.
func (s *Store) transact(ctx context.Context, f func(*firestore.Transaction) error) error {
	return translate(s.client.RunTransaction(ctx, func(_ context.Context,
		tx *firestore.Transaction) error {
		return f(tx)
	}))
}
