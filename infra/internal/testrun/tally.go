package main

import (
	"fmt"
	"regexp"
	"strings"
)

// tally counts tests, and names those that failed.
type tally struct {
	passed, failed, skipped int
	failures                []string // a line each, at most one per failed test
}

func (t *tally) add(o tally) {
	t.passed += o.passed
	t.failed += o.failed
	t.skipped += o.skipped
	t.failures = append(t.failures, o.failures...)
}

// colours are a terminal's, which Playwright puts into its reports whatever it is told.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// fail counts a failed test; what is its name and, where known, the reason. Only the first line of each is kept.
func (t *tally) fail(what ...string) {
	t.failed++
	var line []string
	for _, s := range what {
		if s, _, _ = strings.Cut(strings.TrimSpace(colours.ReplaceAllString(s, "")), "\n"); s != "" {
			line = append(line, s)
		}
	}
	t.failures = append(t.failures, strings.Join(line, ": "))
}

func (t tally) none() bool { return t.passed == 0 && t.failed == 0 && t.skipped == 0 }

func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

// one is the tally of a check that passes or fails as a whole.
func one(err error) (t tally) {
	if err != nil {
		t.fail(err.Error())
		return t
	}
	return tally{passed: 1}
}
