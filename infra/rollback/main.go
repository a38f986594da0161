// Command rollback plays an upgrade and a rollback: the clients of an earlier release against this server, and the
// reverse, on the same data.
//
//	go run ./infra/rollback                 from the newest tag
//	go run ./infra/rollback -from COMMIT    from another commit
//
// It builds the earlier commit in .cache/rollback. Two people chat in Chromium through every combination of servers and
// clients that an upgrade and a rollback pass through, and so do two people with the Go client. Redis, the archive, the
// accounts and the profiles of the browsers stay the same, so each version meets what the other one has stored. The
// command prints a table, and fails if a combination does not work. From the first release on, all of them must work.
//
// It needs git, Node.js, Chromium (CHROMIUM names another one than Debian's) and redis-server, and takes two to five
// minutes.
package main

//lint:file-ignore ST1005 These errors are sentences for the person at the terminal.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	from := flag.String("from", "", "the earlier `commit` or tag; the newest tag if it is empty")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	root, err := repo.Root()
	if err == nil {
		err = run(ctx, root, *from, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// errNoRelease is returned when there is no tag to start from.
var errNoRelease = errors.New("There is no release yet, since the repository has no tag. " +
	"Name a commit: go run ./infra/rollback -from COMMIT")

// step is a combination of versions, in the order of an upgrade that is rolled back.
type step struct {
	what     string
	server   int // index of versions, as are those below
	ann, ben int // their clients
}

const (
	old     = 0
	current = 1
)

var steps = []step{
	{"before the upgrade", old, old, old},
	{"the server is upgraded; open pages are old", current, old, old},
	{"one person reloads the page", current, current, old},
	{"both have the new client", current, current, current},
	{"the server is rolled back; open pages are new", old, current, current},
	{"one person reloads the page", old, old, current},
	{"both have the old client again", old, old, old},
	{"the server is upgraded again", current, current, current},
}

func run(ctx context.Context, root, from string, out io.Writer) error {
	if from == "" {
		tag, err := git(ctx, root, "describe", "--tags", "--abbrev=0")
		if err != nil {
			return errNoRelease
		}
		from = tag
	}
	commit, err := git(ctx, root, "rev-parse", "--verify", "--quiet", from+"^{commit}")
	if err != nil {
		return fmt.Errorf("There is no commit %s.", from)
	}
	fmt.Fprintf(out, "from %s (%.12s) to the working tree\n", from, commit)
	work := filepath.Join(root, ".cache", "rollback")
	versions := [2]*tree{{name: "old", dir: filepath.Join(work, commit[:12])}, {name: "new", dir: root}}
	if err := versions[old].checkOut(ctx, root, commit); err != nil {
		return err
	}
	for _, t := range versions {
		fmt.Fprintf(out, "building the %s version\n", t.name)
		if err := t.build(ctx, root); err != nil {
			return err
		}
	}
	redis, err := emulators.Redis(ctx)
	if err != nil {
		return err
	}
	defer redis.Stop()
	data, err := os.MkdirTemp("", "phoenix-rollback-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	p, err := newPlay(root, data, redis.Addr, versions)
	if err != nil {
		return err
	}
	defer p.close()
	results, err := p.all(ctx, out)
	if err != nil {
		return err
	}
	return report(out, results)
}

// report prints the table. It returns an error if something does not work.
func report(out io.Writer, results []result) error {
	names := [2]string{"old", "new"}
	fmt.Fprintf(out, "\n| step | server | clients | browser | Go client of the old version | of the new version |\n"+
		"|---|---|---|---|---|---|\n")
	failed := 0
	for _, r := range results {
		fmt.Fprintf(out, "| %s | %s | %s, %s |", r.what, names[r.server], names[r.ann], names[r.ben])
		for _, err := range []error{r.browser, r.twins[old], r.twins[current]} {
			if err != nil {
				failed++
				fmt.Fprint(out, " **fails** |")
				continue
			}
			fmt.Fprint(out, " works |")
		}
		fmt.Fprintln(out)
	}
	for _, r := range results {
		for i, err := range []error{r.browser, r.twins[old], r.twins[current]} {
			if err != nil {
				who := []string{"browser", "Go client of the old version", "Go client of the new version"}[i]
				fmt.Fprintf(out, "\n%s: %s: %v\n", r.what, who, err)
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d chats failed.", failed, 3*len(results))
	}
	return nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	b, err := cmd.Output()
	return strings.TrimSpace(string(b)), err
}
