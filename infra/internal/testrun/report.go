package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// vitestReport sums up the output of vitest's reporter "json".
func vitestReport(path string) (t tally, err error) {
	var got struct {
		TestResults []struct {
			Name, Message    string
			AssertionResults []struct {
				FullName, Status string
				FailureMessages  []string
			}
		}
	}
	if err := readJSON(path, &got); err != nil {
		return t, err
	}
	for _, file := range got.TestResults {
		if len(file.AssertionResults) == 0 {
			t.fail(filepath.Base(file.Name), file.Message) // it did not load
		}
		for _, test := range file.AssertionResults {
			switch test.Status {
			case "passed":
				t.passed++
			case "failed":
				t.fail(filepath.Base(file.Name)+" "+test.FullName, first(test.FailureMessages))
			default: // pending, skipped, todo
				t.skipped++
			}
		}
	}
	return t, nil
}

// playwrightSuite is a file or a group of tests in the report of Playwright's reporter "json".
type playwrightSuite struct {
	Suites []playwrightSuite
	Specs  []struct {
		Title, File string
		Line        int
		Tests       []struct {
			ProjectName string
			Status      string // expected, unexpected, flaky, skipped
			Results     []struct {
				Errors []playwrightError
			}
		}
	}
}

type playwrightError struct {
	Message  string
	Location struct{ Line int }
}

// detail finds the lines of a message of Playwright's expect that tell what was expected, where, and what was there.
var detail = regexp.MustCompile(`(?m)^(Locator|Expected|Received|Timeout)\b.*$`)

// summary returns the first line of the message, its details, and the line of the test that failed.
func (e playwrightError) summary() string {
	text := strings.TrimSpace(colorCodes.ReplaceAllString(e.Message, ""))
	why, rest, _ := strings.Cut(text, "\n")
	for _, line := range detail.FindAllString(rest, 4) {
		if r := []rune(line); len(r) > 200 {
			line = string(r[:200]) + "…"
		}
		why += "; " + line
	}
	if e.Location.Line > 0 {
		why = fmt.Sprintf("line %d: %s", e.Location.Line, why)
	}
	return why
}

// playwrightReport sums up the output of Playwright's reporter "json". A test that passed only when repeated counts as
// failed.
func playwrightReport(path string) (t tally, err error) {
	var got struct {
		Suites []playwrightSuite
		Errors []struct{ Message string } // outside of tests
	}
	if err := readJSON(path, &got); err != nil {
		return t, err
	}
	for _, suite := range got.Suites {
		suite.add(&t)
	}
	for _, e := range got.Errors {
		t.fail(e.Message)
	}
	return t, nil
}

func (s *playwrightSuite) add(t *tally) {
	for _, spec := range s.Specs {
		for _, test := range spec.Tests {
			switch test.Status {
			case "expected":
				t.passed++
			case "skipped":
				t.skipped++
			default:
				var why string
				for _, r := range test.Results {
					for _, e := range r.Errors {
						if why == "" {
							why = e.summary()
						}
					}
				}
				t.fail(fmt.Sprintf("[%s] %s:%d %s", test.ProjectName, spec.File, spec.Line, spec.Title), why)
			}
		}
	}
	for i := range s.Suites {
		s.Suites[i].add(t)
	}
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
