package main

import (
	"fmt"
	"regexp"
	"strings"
)

// names returns the names of the Go tests that t runs. It returns none if t runs a whole package or another command.
func (t test) names() []string {
	if t.kind != "go" {
		return nil
	}
	return strings.Fields(t.args)[1:]
}

// group names the tests that run together on the unchanged copy: those of a Go package that patches name, or t alone.
func (t test) group() string {
	if len(t.names()) > 0 {
		return "named tests of " + strings.Fields(t.args)[0]
	}
	return t.String()
}

// command returns the command line of a test, and its folder. It leaves out the Go tests in skip.
func (t test) command(toEnd bool, skip failed) (name string, args []string, dir string) {
	fields := strings.Fields(t.args)
	switch t.kind {
	case "web":
		return "npx", append([]string{"--no-install", "vitest", "run", "--reporter=verbose"}, fields...), "web"
	case "fault":
		return "go", append([]string{"run", "./infra/fault"}, fields...), ""
	}
	args = []string{"test", "-count=1", "-vet=off"}
	if !toEnd {
		args = append(args, "-failfast")
	}
	if len(skip) > 0 {
		args = append(args, "-skip", "^("+strings.Join(skip, "|")+")$")
	}
	if len(fields) > 1 {
		args = append(args, "-run", "^("+strings.Join(fields[1:], "|")+")$")
	}
	return "go", append(args, fields[0]), ""
}

// failures match the first line that names a failed test, by kind.
var failures = map[string]*regexp.Regexp{
	"go":    failedTest,
	"web":   regexp.MustCompile(`(?m)^\s*(?:×|FAIL)\s+(.+?)(?: \d+ms)?$`),
	"fault": regexp.MustCompile(`(?m)^(\d+ passed, \d+ failed.*)$`),
}

// failure names the test that failed.
func (t test) failure(output string, err error) string {
	where, _, _ := strings.Cut(t.args, " ")
	if t.kind == "fault" {
		where = "infra/fault " + t.args + ":"
	}
	if m := failures[t.kind].FindStringSubmatch(output); m != nil {
		return where + " " + m[1]
	}
	if t.kind == "go" && strings.Contains(output, "\npanic: ") {
		return where + " panics"
	}
	return fmt.Sprintf("%s: %v", where, err)
}
