package main

import (
	"fmt"
	"regexp"
	"strings"
)

// tally counts tests and names the failed ones.
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

// colorCodes are terminal colors. Playwright writes them into its reports even with NO_COLOR.
var colorCodes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// fail counts a failed test. The arguments are its name and, if known, the reason. Only their first lines are kept.
func (t *tally) fail(what ...string) {
	t.failed++
	var line []string
	for _, s := range what {
		if s, _, _ = strings.Cut(strings.TrimSpace(colorCodes.ReplaceAllString(s, "")), "\n"); s != "" {
			line = append(line, s)
		}
	}
	t.failures = append(t.failures, strings.Join(line, ": "))
}

func (t tally) none() bool { return t.passed == 0 && t.failed == 0 && t.skipped == 0 }

func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

// one counts a check that passes or fails as a whole.
func one(err error) (t tally) {
	if err != nil {
		t.fail(err.Error())
		return t
	}
	return tally{passed: 1}
}
