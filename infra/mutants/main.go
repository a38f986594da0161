// Command mutants tests the tests: it breaks the code on purpose, one patch at a time, and reports which test or fault
// run notices.
//
//	go run ./infra/mutants                   every patch, continuing a run that was interrupted
//	go run ./infra/mutants -only '^lua-'     the patches whose names match
//	go run ./infra/mutants -from settle-...  that patch and the ones behind it, in the order of their names
//	go run ./infra/mutants -again            repeat what has a result already
//	go run ./infra/mutants -write            also put the results into RESULTS.md
//	go run ./infra/mutants -check            only verify that every patch still applies; takes less than a second.
//	                                         With -write, RESULTS.md then has a row for every patch.
//	go run ./infra/mutants -tool PACKAGE     mutants that a tool generates, for example of realtime/gate
//
// A patch is a file in the folder patches (see parsePatch for its format). It names the code that it replaces, why the
// difference matters, and the commands of which one must fail. The patches are applied to a copy of the repository in
// .cache/mutants/copy. Before the first patch of a Go package, the tests of it that patches name must pass on the
// unchanged copy, so that a test that fails anyway notices nothing. The same holds for every other command.
//
// Results are appended to .cache/mutants/results.jsonl. A result counts as long as the patch and all packages that its
// tests import are the same, so a run that was interrupted continues, and a run after a change repeats only what the
// change concerns. The command prints a table, and exits with status 1 if a mutant survived or could not be tried.
//
// With -tool, the mutants come from gremlins, which replaces operators (see tool.go), and the tests are those of the
// package. All mutants are compiled into one test binary. Results are appended to .cache/mutants/tool.jsonl, one for
// each mutant, so that a run continues where it was interrupted.
//
// Redis suites need redis-server in PATH; patches of the Firestore store need its emulator, which the command starts;
// web patches need web/node_modules. RESULTS.md has the last results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// settings are the flags of the command.
type settings struct {
	only    *regexp.Regexp
	from    string
	again   bool
	check   bool
	write   bool
	tool    string
	workers int           // mutants of the tool that are tried at once
	timeout time.Duration // of one command
}

func parseFlags(args []string) (settings, error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	only := flags.String("only", "", "regular expression for the names of patches")
	from := flags.String("from", "", "the first patch to try")
	again := flags.Bool("again", false, "repeat patches that have a result for this state of the repository")
	check := flags.Bool("check", false, "only verify that every patch applies exactly once and that its tests exist")
	write := flags.Bool("write", false, "put the results into RESULTS.md")
	tool := flags.String("tool", "", "folder of a Go package whose generated mutants are tried instead of patches")
	workers := flags.Int("workers", 2, "number of generated mutants that are tried at once")
	timeout := flags.Duration("timeout", 5*time.Minute, "limit for one command; a command that reaches it has failed")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	expr, err := regexp.Compile(*only)
	if err != nil {
		return settings{}, fmt.Errorf("-only: %w", err)
	}
	return settings{only: expr, from: *from, again: *again, check: *check, write: *write, tool: *tool, workers: *workers,
		timeout: *timeout}, nil
}

func command(ctx context.Context, args []string) error {
	s, err := parseFlags(args)
	if err != nil {
		return err
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	if s.tool != "" {
		return runTool(ctx, root, s.tool, s)
	}
	all, err := loadPatches(filepath.Join(root, "infra", "mutants", "patches"))
	if err != nil {
		return err
	}
	if err := checkAll(root, all); err != nil {
		return err
	}
	update := func(results []result) error {
		if !s.write {
			return nil
		}
		return writeResults(filepath.Join(root, "infra", "mutants", "RESULTS.md"), all, results)
	}
	if s.check {
		fmt.Printf("all %d patches apply\n", len(all))
		return update(nil)
	}
	var chosen []*patch
	for _, p := range all {
		if s.only.MatchString(p.name) && p.name >= s.from {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		return errors.New("no patch matches -only and -from")
	}
	r, err := newRunner(root, s)
	if err != nil {
		return err
	}
	results, err := r.run(ctx, chosen)
	printTable(os.Stdout, results)
	if err := errors.Join(err, update(results)); err != nil {
		return err
	}
	bad := 0
	for _, res := range results {
		if !res.good() {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d mutants survived or could not be tried", bad, len(results))
	}
	return nil
}
