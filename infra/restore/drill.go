package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
)

// collections are the collections that a restore must bring back. "audit" is the only one in the audit log's database,
// and the others are in the chat's. The collection limits, whose documents expire within a day, is not one of them.
var collections = []string{"users", "usernames", "signups", "erased", "pictures", "choices", "push_subscriptions",
	"push_endpoints", "reports", "conversations", "messages", "audit", "dead_letters"}

// counts has the number of documents of each collection, by name.
type counts map[string]int64

// String returns one line for each collection.
func (c counts) String() string {
	var b strings.Builder
	for _, name := range collections {
		fmt.Fprintf(&b, "%-14s %12d\n", name, c[name])
	}
	return b.String()
}

// cleanUpWithin is the time limit for deleting the drill's database, also after an interrupt.
const cleanUpWithin = 10 * time.Minute

// drill restores the newest backup of a database into another one, compares the number of documents with those that the
// database had when the backup was made, and deletes the copy. Nothing of it touches the database itself.
func drill(ctx context.Context, d databases, database string, out io.Writer, now time.Time) (err error) {
	list, err := d.Backups(ctx, database)
	if err != nil {
		return fmt.Errorf("list backups: %w", err)
	}
	if len(list) == 0 {
		return errors.New("there is no backup yet; the first is made on a Sunday")
	}
	newest := slices.MaxFunc(list, func(a, b backup) int { return a.at.Compare(b.at) })
	copied := "drill-" + now.UTC().Format("20060102-150405")
	if database != defaultDatabase {
		copied = "drill-" + database + "-" + now.UTC().Format("20060102-150405")
	}
	fmt.Fprintf(out, "Restoring the backup of %s of the database %s into the database %s. This takes minutes to hours.\n",
		newest.at.UTC().Format(time.RFC3339), database, copied)

	// Firestore's history has whole minutes, and a backup is made at any moment. So the copy must have a number of
	// documents between those of the minute before and the minute after.
	from := newest.at.Truncate(time.Minute)
	before, err := d.Count(ctx, database, from)
	if err != nil {
		return fmt.Errorf("count the documents at the time of the backup: %w", err)
	}
	after, err := d.Count(ctx, database, from.Add(time.Minute))
	if err != nil {
		return fmt.Errorf("count the documents after the backup: %w", err)
	}
	defer func() {
		cleanCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpWithin)
		defer cancel()
		if derr := d.Delete(cleanCtx, copied); derr != nil {
			err = errors.Join(err, fmt.Errorf("the database %s still exists, delete it by hand: %w", copied, derr))
		}
	}()
	began := time.Now()
	if err := d.Restore(ctx, newest.name, copied); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	took := time.Since(began).Round(time.Second)
	restored, err := d.Count(ctx, copied, time.Time{})
	if err != nil {
		return fmt.Errorf("count the restored documents: %w", err)
	}
	fmt.Fprintf(out, "%-14s %12s %12s\n", "collection", "backup", "restored")
	var wrong []string
	for _, name := range collections {
		fmt.Fprintf(out, "%-14s %12d %12d\n", name, before[name], restored[name])
		if restored[name] < min(before[name], after[name]) || restored[name] > max(before[name], after[name]) {
			wrong = append(wrong, name)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the number of documents differs in: %s", strings.Join(wrong, ", "))
	}
	fmt.Fprintf(out, "The backup of the database %s can be restored. It took %s.\n", database, took)
	return nil
}

// drillAll runs the drill for each database of the chat. A failure of one does not stop the others.
func drillAll(ctx context.Context, d databases, out io.Writer, now time.Time) error {
	var errs []error
	for _, database := range []string{defaultDatabase, storefirestore.DefaultAuditDatabase} {
		if err := drill(ctx, d, database, out, now); err != nil {
			errs = append(errs, fmt.Errorf("database %s: %w", database, err))
		}
	}
	return errors.Join(errs...)
}
