// Command day replays a day of people who chat, and compares what it costs if hidden tabs keep their sockets and if
// they sleep (DESIGN §12):
//
//	go run ./infra/cost/day -seed 1 -people 1000
//
// It is a simulation by events, without a server and without real time. The same seed always gives the same day. The
// people follow the model in model.go, whose numbers are assumptions. The rules are those of the programs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// GlanceEvery is how often people look at an open tab without writing, on average. A notification calls them when
// something comes, so they look without a reason once an hour.
const GlanceEvery = time.Hour

func main() {
	if err := command(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "day:", err)
		os.Exit(1)
	}
}

func command(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("day", flag.ContinueOnError)
	seed := flags.Uint64("seed", 1, "seed of everything that is random")
	people := flags.Int("people", 1000, "people who use the chat on this day")
	glances := flags.Duration("glances", GlanceEvery,
		"with a tab open, people look at it without writing after so long, on average")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *people <= partners {
		return fmt.Errorf("-people must be more than %d", partners)
	}
	if *glances <= 0 {
		return errors.New("-glances must be positive")
	}
	_, err := io.WriteString(out, Replay(*seed, *people, *glances).Table())
	return err
}
