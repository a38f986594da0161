// Command restore helps to restore the Firestore databases of a chat on Google Cloud, and tests that their backups can
// be restored (infra/RUNBOOK.md, "Restore Firestore" and "Restore drill"):
//
//	go run ./infra/restore count -project P                      documents of each collection; with -at, in the past
//	go run ./infra/restore restore -project P -backup B -database D
//	go run ./infra/restore drill -project P                      newest backups → second databases → compare → delete
//
// The chat has two databases: "(default)", and "audit" with the audit log.
//
// It works with the credentials of the person who runs it (gcloud auth application-default login), who needs the role
// Cloud Datastore Owner.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, func(ctx context.Context, project string) (databases, error) {
		return openGoogle(ctx, project, os.Getenv("FIRESTORE_EMULATOR_HOST"))
	})
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "restore:", err)
		os.Exit(1)
	}
}

// databases is Firestore's side of a restore.
type databases interface {
	// Count returns the number of documents of each collection at a moment; the zero time is now. Moments of more than an
	// hour ago must be whole minutes of the last 7 days.
	Count(ctx context.Context, database string, at time.Time) (counts, error)

	// Backups returns the backups of a database that can be restored.
	Backups(ctx context.Context, database string) ([]backup, error)

	// Restore restores a backup into a new database and waits until it is complete.
	Restore(ctx context.Context, backup, database string) error

	// Delete deletes a database and waits until it is gone.
	Delete(ctx context.Context, database string) error

	Close() error
}

// backup is a backup of a database.
type backup struct {
	name string // projects/P/locations/L/backups/ID
	at   time.Time
}

const defaultDatabase = "(default)"

// commands lists what the first argument can be.
var commands = []string{"count", "restore", "drill"}

func run(ctx context.Context, args []string, out io.Writer,
	open func(ctx context.Context, project string) (databases, error)) error {
	command := ""
	if len(args) > 0 && slices.Contains(commands, args[0]) {
		command, args = args[0], args[1:]
	}
	f := flag.NewFlagSet("restore", flag.ContinueOnError)
	project := f.String("project", "", "Google Cloud `project` of the chat; required")
	database := f.String("database", defaultDatabase, "`database` to count, or to create from a backup")
	at := f.String("at", "", "count: the `moment` to count at, as 2026-01-02T03:04:00Z (default: now)")
	from := f.String("backup", "", "restore: `name` of the backup, as gcloud firestore backups list prints it")
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: go run ./infra/restore "+strings.Join(commands, "|")+" -project P [flags]")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case command == "" || f.NArg() > 0:
		return fmt.Errorf("the first argument must be one of %s; -help shows the flags", strings.Join(commands, ", "))
	case *project == "":
		return errors.New("name the project with -project")
	case command == "restore" && (*from == "" || *database == defaultDatabase):
		return errors.New("name the backup with -backup, and a new database with -database")
	}
	var moment time.Time
	if *at != "" {
		var err error
		if moment, err = time.Parse(time.RFC3339, *at); err != nil {
			return fmt.Errorf("-at %q is not a moment such as 2026-01-02T03:04:00Z", *at)
		}
	}
	d, err := open(ctx, *project)
	if err != nil {
		return err
	}
	defer d.Close()
	switch command {
	case "count":
		c, err := d.Count(ctx, *database, moment)
		if err == nil {
			fmt.Fprint(out, c)
		}
		return err
	case "restore":
		fmt.Fprintf(out, "Restoring into the database %s. This takes minutes to hours.\n", *database)
		return d.Restore(ctx, *from, *database)
	}
	return drillAll(ctx, d, out, time.Now())
}
