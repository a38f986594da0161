// Command attack attacks a complete system and reports what got through:
//
//	go run ./infra/attack                      every attack at full size, at most ten minutes
//	go run ./infra/attack -only fill-redis,pings
//	go run ./infra/attack -short               the part that ./infra/test runs: under a minute
//
// It starts the system of package stack with production's limits on a redis-server. Each attack uses accounts and
// addresses that no other attack uses, tries one kind of harm as often as it can, and counts what had an effect beyond
// the limit that DESIGN states. Meanwhile two bystanders chat. None of their messages may be lost or late, and none of
// their sockets may close.
//
// The command exits with status 1 if anything got through. The last line counts the attacks.
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
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// errThrough is the error of a run in which an attack had an effect. The table shows which one.
var errThrough = errors.New("an attack got through")

// Time limits of a run. A run that takes longer fails.
const (
	fullTime  = 10 * time.Minute
	shortTime = 2 * time.Minute
)

// settings are the flags of the command.
type settings struct {
	short   bool
	only    string // names of attacks; "": all
	verbose bool
}

func command(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("attack", flag.ContinueOnError)
	flags.BoolVar(&s.short, "short", false, "fewer attempts of each attack, as infra/test runs them")
	flags.StringVar(&s.only, "only", "", "names of attacks, separated by commas; empty: all")
	flags.BoolVar(&s.verbose, "v", false, "print the log of the system")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "attack attacks a complete system and reports what got through. Flags:")
		flags.PrintDefaults()
		fmt.Fprintln(flags.Output(), "\nAttacks:")
		for _, a := range attacks {
			fmt.Fprintf(flags.Output(), "  %-18s %s\n", a.name, a.limit)
		}
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(s.only)
	if err != nil {
		return err
	}
	limit := fullTime
	if s.short {
		limit = shortTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w, err := newWorld(ctx, s)
	if err != nil {
		return err
	}
	rows, err := w.attackAll(ctx, chosen, out)
	return errors.Join(err, w.close(), conclude(out, rows))
}

// choose returns the attacks with the names.
func choose(names string) ([]attack, error) {
	if names == "" {
		return attacks, nil
	}
	var chosen []attack
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("unknown attack %q", name)
		}
		chosen = append(chosen, attacks[i])
	}
	return chosen, nil
}

// row is the result of one attack.
type row struct {
	attack
	result
	chat meanwhile // what the bystanders did meanwhile
	err  error     // the attack could not be made, or the bystanders were harmed
	took time.Duration
}

func (r *row) passed() bool { return r.err == nil && r.through == 0 }

// attackAll makes the attacks one after the other, and those that mostly wait beside them. It prints a row for each.
func (w *world) attackAll(ctx context.Context, chosen []attack, out io.Writer) ([]*row, error) {
	fmt.Fprintln(out, "| attack | what may have an effect | tried | beyond that "+
		"| bystanders: messages, slowest (ms) | s |\n"+
		"|---|---|---|---|---|---|")
	var waiting []chan *row
	var rows []*row
	for _, a := range chosen {
		if a.waits {
			done := make(chan *row, 1)
			go func() { done <- w.attack(ctx, a) }()
			waiting = append(waiting, done)
		}
	}
	for _, a := range chosen {
		if a.waits {
			continue
		}
		w.bystanders.begin()
		r := w.attack(ctx, a)
		var harm error
		r.chat, harm = w.bystanders.check(ctx)
		r.err = errors.Join(r.err, harm)
		rows = append(rows, r)
		r.print(out)
		if ctx.Err() != nil {
			break
		}
	}
	for _, done := range waiting {
		r := <-done
		rows = append(rows, r)
		r.print(out)
	}
	if ctx.Err() != nil {
		return rows, fmt.Errorf("the attacks did not end in time: %w", ctx.Err())
	}
	return rows, nil
}

// attack makes one attack.
func (w *world) attack(ctx context.Context, a attack) *row {
	r := &row{attack: a}
	start := time.Now()
	r.result, r.err = a.run(ctx, w)
	r.took = time.Since(start)
	return r
}

// print prints the row, and below it what got through or failed.
func (r *row) print(out io.Writer) {
	fmt.Fprintf(out, "| %s | %s | %s | %s | %d, %d | %.1f |\n", r.name, r.limit, thousands(r.tried), thousands(r.through),
		r.chat.messages, r.chat.slowest.Milliseconds(), r.took.Seconds())
	if r.through > 0 && r.note != "" {
		fmt.Fprintf(out, "  %s: %s\n", r.name, r.note)
	}
	if r.err != nil {
		fmt.Fprintf(out, "  %s: %s\n", r.name, strings.ReplaceAll(r.err.Error(), "\n", "; "))
	}
}

// thousands writes n with a comma after each group of three digits.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// conclude prints how many attacks were repelled.
func conclude(out io.Writer, rows []*row) error {
	passed := 0
	var through []string
	for _, r := range rows {
		if r.passed() {
			passed++
		} else {
			through = append(through, r.name)
		}
	}
	if len(through) > 0 {
		fmt.Fprintf(out, "got through or failed: %s\n", strings.Join(through, ", "))
	}
	fmt.Fprintf(out, "%d passed, %d failed, 0 skipped\n", passed, len(through))
	if len(through) > 0 {
		return errThrough
	}
	return nil
}
