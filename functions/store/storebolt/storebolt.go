// Package storebolt is the store on the disk of one machine. It is one bbolt file, which only one process can have
// open at a time. `go run ./infra/local` keeps users and messages in it. It passes the same suite as Firestore.
//
// When a call returns, its change is on the disk (fsync). After a crash or a power cut, every finished call has taken
// effect, and an unfinished one has taken effect completely or not. If the disk is full or the file cannot be
// written, changes return problem.ErrUnavailable and have no effect, and reads continue to work.
package storebolt

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Buckets. A comma in the comments separates parts of a key, which are joined by a zero byte; no part may contain
// one. Numbers are 8 bytes, big endian, so that keys sort like the numbers. They have no separator after them.
var (
	users     = []byte("users")     // uid → userRecord
	names     = []byte("names")     // username in lower case → store.Name
	signups   = []byte("signups")   // email key → store.Signup
	byName    = []byte("by_name")   // folded display name, uid
	bySortKey = []byte("by_sort")   // store.User.SortKey, uid
	byTerm    = []byte("by_term")   // term (see store.Terms), store.User.SortKey, uid
	byEmail   = []byte("by_email")  // email, uid
	byCreated = []byte("by_new")    // created_at uid
	byActive  = []byte("by_active") // last_active_at uid
	byDisuse  = []byte("by_disuse") // time of the last use, uid; of users who may be Abandoned
	admins    = []byte("admins")    // uid
	erasing   = []byte("erasing")   // erasing_at uid
	erased    = []byte("erased")    // at uid
	pictures  = []byte("pictures")  // uid, version → store.Picture
	choices   = []byte("choices")   // uid → store.Choices

	subscriptions = []byte("subscriptions") // uid → []store.Subscription
	endpoints     = []byte("endpoints")     // store.EndpointKey → uid

	reports     = []byte("reports")      // id → store.Report
	reportIndex = []byte("report_index") // field, value, at id; the field all has the value ""

	conversations = []byte("conversations") // id → conversationRecord
	byMember      = []byte("by_member")     // uid, last_at id
	messages      = []byte("messages")      // conversation, at id → messageRecord
	messageKeys   = []byte("message_keys")  // conversation, key → at
	byRecipient   = []byte("by_recipient")  // conversation, uid of the recipient, at key
	days          = []byte("days")          // "2006-01-02" → number of messages
	stubs         = []byte("stubs")         // conversation, key → stubRecord
	stubAges      = []byte("stub_ages")     // time of the first change, conversation/key
	byChange      = []byte("by_change")     // uid, changed_at conversation/key; of messages and stubs

	audit         = []byte("audit")       // at id → store.Audit
	auditIDs      = []byte("audit_ids")   // id
	deadLetters   = []byte("letters")     // at id → store.DeadLetter
	deadLetterIDs = []byte("letter_ids")  // id → at
	limitCount    = []byte("limit_count") // key → limitRecord

	all = [][]byte{users, names, signups, byName, bySortKey, byTerm, byEmail, byCreated, byActive, byDisuse, admins,
		erasing, erased, pictures, choices, subscriptions, endpoints, conversations, byMember, messages, messageKeys,
		byRecipient, days, reports, reportIndex, stubs, stubAges, byChange, audit, auditIDs, deadLetters, deadLetterIDs,
		limitCount}
)

// Store is a store.Store in a bbolt file.
type Store struct {
	db     *bbolt.DB
	looked *atomic.Int64
}

var _ store.Store = (*Store)(nil)

// Options are for tests. Elsewhere, use the zero value.
type Options struct {
	MaxSize int  // limit of the file's size in bytes; 0: none
	NoSync  bool // do not wait for the disk: a power cut may lose finished calls

	// Looked, if not nil, counts the keys and records that lists and searches look at. It shows that their cost does not
	// grow with the store.
	Looked *atomic.Int64
}

// Errors of Open.
var (
	ErrLocked   = errors.New("the data file is in use by another process; stop that process first")
	ErrReadOnly = errors.New("the data file cannot be written")
	ErrDamaged  = errors.New("the data file is damaged, or another program's; move it away to start with a new one")
)

// Open opens the file at path. It creates the file and its folder if they are missing. It waits for a second if
// another process has the file open. The errors are ErrLocked, ErrReadOnly, ErrDamaged or that of the system, with
// the path.
func Open(path string, opts Options) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of the data file: %w", err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType,
		MaxSize: opts.MaxSize, NoSync: opts.NoSync})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %w", ErrReadOnly, err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch),
		errors.Is(err, bolterrors.ErrChecksum):
		return nil, fmt.Errorf("%s: %w", path, ErrDamaged)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range all {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Store{db: db, looked: opts.Looked}, nil
}

// Close waits for running calls and closes the file. Later calls return problem.ErrUnavailable.
func (s *Store) Close() error { return s.db.Close() }

// countLooked adds n to Options.Looked.
func (s *Store) countLooked(n int) {
	if s.looked != nil {
		s.looked.Add(int64(n))
	}
}

// view runs f on a snapshot of the store.
func (s *Store) view(ctx context.Context, f func(*bbolt.Tx) error) error {
	return s.run(ctx, f, s.db.View)
}

// update runs f in a transaction.
func (s *Store) update(ctx context.Context, f func(*bbolt.Tx) error) error {
	return s.run(ctx, f, s.db.Update)
}

func (s *Store) run(ctx context.Context, f func(*bbolt.Tx) error, with func(func(*bbolt.Tx) error) error) error {
	if err := ctx.Err(); err != nil {
		return problem.ErrUnavailable.WithCause(err)
	}
	var own error // of f, as opposed to an error of the file
	err := with(func(tx *bbolt.Tx) error {
		own = f(tx)
		return own
	})
	var known *problem.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case own != nil && errors.Is(own, errRecord):
		return err // trying again does not help
	}
	return problem.ErrUnavailable.WithCause(fmt.Errorf("data file: %w", err))
}

// errRecord is the cause if a record on the disk cannot be decoded.
var errRecord = errors.New("a record of the data file cannot be read")

// get decodes the record with the key into v, and reports whether it exists.
func get(tx *bbolt.Tx, bucket, key []byte, v any) (bool, error) {
	b := tx.Bucket(bucket).Get(key)
	if b == nil {
		return false, nil
	}
	return true, decode(bucket, key, b, v)
}

func decode(bucket, key, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s %q: %w", errRecord, bucket, key, err)
	}
	return nil
}

func put(tx *bbolt.Tx, bucket, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	return tx.Bucket(bucket).Put(key, b)
}

// key joins parts with zero bytes.
func key(parts ...string) []byte {
	var k []byte
	for i, p := range parts {
		if i > 0 {
			k = append(k, 0)
		}
		k = append(k, p...)
	}
	return k
}

// prefix returns key with a zero byte after it, with which all longer keys begin.
func prefix(parts ...string) []byte { return append(key(parts...), 0) }

// num appends a number and an id to k. Keys sort by the number first.
func num[N ~int64](k []byte, n N, id string) []byte {
	return append(binary.BigEndian.AppendUint64(k, uint64(n)), id...)
}

// denum splits what num has appended.
func denum(k []byte) (int64, string) {
	return int64(binary.BigEndian.Uint64(k)), string(k[8:])
}
