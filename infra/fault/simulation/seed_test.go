package simulation

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"hash"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
)

var repeat = flag.Int("repeat", 2, "how often TestSeed plays each seed")

// In a random history, users chat from this time on. All devices are connected by then, however long that took.
const chatFrom = time.Minute

// offBeat is the offset of all events from the times at which users write, which are multiples of 10 ms after chatFrom.
// Two goroutines that wake at the same time run in any order.
const offBeat = 3 * time.Microsecond

// history is a random history that was played.
type history struct {
	seed   uint64
	dump   []string
	played []string // names of events
	report *verdict.Report

	schedule string // hash of the events, their times and choices, and of what users wrote
	log      string // hash of the record
	sorted   string // hash of the record without the order of entries at the same time
}

// String names the seed and the hashes.
func (h *history) String() string {
	return fmt.Sprintf("seed %d: schedule %.12s, event log %.12s, without the order of simultaneous entries %.12s",
		h.seed, h.schedule, h.log, h.sorted)
}

// addLog sets the hashes. The schedule has the events already.
func (h *history) addLog(schedule hash.Hash, log *record.Log) {
	type line struct {
		at   int64
		text string
	}
	var lines []line
	for e := range log.All() {
		b, err := json.Marshal(e)
		if err != nil { // an entry has no value that JSON lacks
			panic(err)
		}
		lines = append(lines, line{e.T, string(b)})
		if e.Kind == record.Typed && e.Of == "" { // which message a user changes depends on what has arrived
			fmt.Fprintf(schedule, "%s\n", b)
		}
	}
	h.schedule = fmt.Sprintf("%x", schedule.Sum(nil))
	sum := func() string {
		all := sha256.New()
		for _, l := range lines {
			fmt.Fprintln(all, l.text)
		}
		return fmt.Sprintf("%x", all.Sum(nil))
	}
	h.log = sum()
	for _, l := range lines {
		h.dump = append(h.dump, fmt.Sprintf("%012d %s", l.at, l.text))
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.text, b.text)) })
	h.sorted = sum()
}

// A seed repeats the schedule: all random choices, the times of events, and the ids and texts of messages. The test
// prints how often the records of a seed agree, too. They do not always, because Go's scheduler, select and the order
// of timers that are due at the same time take no seed.
func TestSeed(t *testing.T) {
	logs, sorted, pairs := 0, 0, 0
	schedules := map[string]bool{}
	for n := range min(*seeds, 1) {
		seed := *first + uint64(n)
		var one *history
		for i := range *repeat {
			h := playRandom(t, themes, seed)
			if i == 0 {
				one = h
				if schedules[h.schedule] {
					t.Errorf("another seed has the same schedule: %v", h)
				}
				schedules[h.schedule] = true
				continue
			}
			if h.schedule != one.schedule {
				t.Errorf("the schedules of a seed differ\n%v %q\n%v %q", one, one.played, h, h.played)
			}
			pairs++
			if h.log == one.log {
				logs++
			}
			if h.sorted == one.sorted {
				sorted++
			}
		}
	}
	t.Logf("of %d repetitions, %d have the event log of the first run, and %d have it apart from the order of "+
		"simultaneous entries", pairs, logs, sorted)
}
