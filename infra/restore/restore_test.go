package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
)

var madeAt = time.Date(2026, 1, 4, 3, 4, 5, 6, time.UTC)

// fake is a project with two backups.
type fake struct {
	before, after, restored counts
	failRestore, failDelete error
	asked                   []time.Time // moments at which the chat's database was counted
	sources                 []string    // databases that were counted then
	databases               []string    // copies that exist
	backup                  string      // the one that was restored
	none                    bool        // there are no backups
}

func (f *fake) Count(_ context.Context, database string, at time.Time) (counts, error) {
	if strings.HasPrefix(database, "drill-") {
		return f.restored, nil
	}
	f.sources = append(f.sources, database)
	f.asked = append(f.asked, at)
	if len(f.asked) == 1 {
		return f.before, nil
	}
	return f.after, nil
}

func (f *fake) Backups(context.Context, string) ([]backup, error) {
	if f.none {
		return nil, nil
	}
	const week = 7 * 24 * time.Hour
	return []backup{{"old", madeAt.Add(-week)}, {"new", madeAt}, {"older", madeAt.Add(-2 * week)}}, nil
}

func (f *fake) Restore(_ context.Context, backup, database string) error {
	f.databases, f.backup = append(f.databases, database), backup
	return f.failRestore
}

func (f *fake) Delete(_ context.Context, database string) error {
	f.databases = slices.DeleteFunc(f.databases, func(d string) bool { return d == database })
	return f.failDelete
}

func (f *fake) Close() error { return nil }

func TestDrill(t *testing.T) {
	full := counts{"users": 10, "messages": 1000, "audit": 3}
	with := func(name string, n int64) counts {
		c := maps.Clone(full)
		c[name] = n
		return c
	}
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		fake fake
		want string // in the error; "": success
	}{
		"equal":                    {fake{before: full, after: full, restored: full}, ""},
		"written meanwhile":        {fake{before: full, after: with("messages", 1010), restored: with("messages", 1007)}, ""},
		"deleted meanwhile":        {fake{before: full, after: with("users", 8), restored: with("users", 9)}, ""},
		"messages are missing":     {fake{before: full, after: full, restored: with("messages", 999)}, "messages"},
		"a collection is missing":  {fake{before: full, after: full, restored: with("audit", 0)}, "audit"},
		"too many documents":       {fake{before: full, after: full, restored: with("erased", 1)}, "erased"},
		"no backup":                {fake{none: true}, "no backup"},
		"restore fails":            {fake{before: full, after: full, failRestore: boom}, "boom"},
		"the copy stays":           {fake{before: full, after: full, restored: full, failDelete: boom}, "drill-20260105-"},
		"differs, and stays there": {fake{before: full, after: full, failDelete: boom}, "differs"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := drill(t.Context(), &c.fake, defaultDatabase, &out, time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q\n%s", err, c.want, &out)
			}
			if strings.Contains(out.String(), "can be restored") && err != nil && c.fake.failDelete == nil {
				t.Errorf("error %v, but it printed %s", err, &out)
			}
			if c.fake.none {
				return
			}
			minute := time.Date(2026, 1, 4, 3, 4, 0, 0, time.UTC)
			if c.fake.backup != "new" || fmt.Sprint(c.fake.asked) != fmt.Sprint([]time.Time{minute, minute.Add(time.Minute)}) {
				t.Errorf("restored %q and compared with %v", c.fake.backup, c.fake.asked)
			}
			if len(c.fake.databases) > 0 {
				t.Errorf("%v still exist", c.fake.databases)
			}
		})
	}
}

// TestDrillOfBothDatabases checks that a failure with one database does not hide the other.
func TestDrillOfBothDatabases(t *testing.T) {
	f := &fake{before: counts{"audit": 3}, after: counts{"audit": 3}, restored: counts{"audit": 3}}
	var out bytes.Buffer
	open := func(context.Context, string) (databases, error) { return f, nil }
	if err := run(t.Context(), []string{"drill", "-project", "p"}, &out, open); err != nil {
		t.Error(err)
	}
	want := []string{"(default)", "(default)", "audit", "audit"}
	if !slices.Equal(f.sources, want) || len(f.databases) > 0 {
		t.Errorf("compared with %v, want %v; left %v", f.sources, want, f.databases)
	}
	if n := strings.Count(out.String(), "can be restored"); n != 2 || !strings.Contains(out.String(), "drill-audit-") {
		t.Errorf("printed %s", &out)
	}
	f.restored = counts{}
	err := drillAll(t.Context(), f, &out, time.Now())
	if err == nil || !strings.Contains(err.Error(), "database (default): ") ||
		!strings.Contains(err.Error(), "database audit: the number of documents differs in: audit") {
		t.Errorf("the error is %v", err)
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "first argument"},
		{"destroy -project p", "first argument"},
		{"count", "-project"},
		{"count -project p more", "first argument"},
		{"count -project p -at yesterday", "not a moment"},
		{"restore -project p -database d", "-backup"},
		{"restore -project p -backup b", "-database"},
		{"restore -project p -backup new -database d", ""},
		{"count -project p -at 2026-01-02T03:04:00Z", ""},
	} {
		f := &fake{before: counts{"users": 7}}
		var out bytes.Buffer
		open := func(context.Context, string) (databases, error) { return f, nil }
		err := run(t.Context(), strings.Fields(c.args), &out, open)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: error %v, want %q", c.args, err, c.want)
		}
		if strings.Contains(c.args, "-at 2026") && (fmt.Sprint(f.asked) != "[2026-01-02 03:04:00 +0000 UTC]" ||
			!strings.HasPrefix(out.String(), "users                     7\n")) {
			t.Errorf("%q: counted at %v and printed %s", c.args, f.asked, &out)
		}
	}
}

// TestCollections checks that every collection of the store is counted, except the one whose documents expire.
func TestCollections(t *testing.T) {
	data, err := os.ReadFile("../../functions/store/storefirestore/storefirestore.go")
	if err != nil {
		t.Fatal(err)
	}
	var stored []string
	for _, m := range regexp.MustCompile(`(?m)^\tcol\w+ += "(\w+)"`).FindAllStringSubmatch(string(data), -1) {
		if m[1] != "limits" {
			stored = append(stored, m[1])
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(stored)), slices.Sorted(slices.Values(collections))) {
		t.Errorf("the store has %v, and a restore is compared by %v", stored, collections)
	}
}

// TestCount counts on the Firestore emulator.
func TestCount(t *testing.T) {
	host := os.Getenv("PHOENIX_TEST_FIRESTORE")
	if host == "" {
		t.Skip("PHOENIX_TEST_FIRESTORE is not set: no Firestore emulator to test with")
	}
	project := "r" + uuid.NewString()[:8]
	db, err := storefirestore.Open(t.Context(), storefirestore.Options{Project: project, EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	auth, err := accounts.NewFirebase(t.Context(), accounts.Options{Project: project,
		EmulatorHost: authstubtest.Start(t, project)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ada", "eve"} {
		_, err := users.New(users.Deps{Store: db, Accounts: auth}).Create(t.Context(), users.Signup{Username: name,
			Email: name + "@example.org", Password: "correct horse battery", DisplayName: name})
		if err != nil {
			t.Fatal(err)
		}
	}
	g, err := openGoogle(t.Context(), project, host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	got, err := g.Count(t.Context(), defaultDatabase, time.Time{})
	if err != nil || got["users"] != 2 || got["usernames"] != 2 || got["messages"] != 0 {
		t.Errorf("counts %v, %v", got, err)
	}
	if err := db.AddAudit(t.Context(), store.Audit{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	for database, want := range map[string]int64{defaultDatabase: 0, storefirestore.DefaultAuditDatabase: 1} {
		if got, err := g.Count(t.Context(), database, time.Time{}); err != nil || got["audit"] != want {
			t.Errorf("%s has the counts %v, %v", database, got, err)
		}
	}
}
