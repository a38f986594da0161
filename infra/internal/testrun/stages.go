package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
)

// stage is a group of tests.
type stage struct {
	name   string
	what   string   // for -help
	needs  []string // parts without which the stage cannot run
	do     func(*run, context.Context) tally
	budget time.Duration // on two cores, with warm caches; a longer run prints a warning

	// A background stage runs concurrently with the stages after it. One background stage runs at a time. Use it for
	// stages that need little CPU time, or that may wait.
	background bool
	after      string // a foreground stage that must have ended before a background stage starts
}

var setupStage = stage{name: "setup", budget: 5 * time.Second}

// stages in the order in which they start. Quick stages that fail often come first.
var stages = []stage{
	{name: "format", what: "gofmt, line length and go vet", do: (*run).format, budget: 5 * time.Second},
	{name: "fault", what: "a bounded run of the fault tests", needs: []string{"redis-server"}, do: (*run).fault,
		budget: 125 * time.Second, background: true},
	{name: "web", what: "the client's types, layers and unit tests", needs: []string{"node"}, do: (*run).web,
		budget: 25 * time.Second},
	{name: "build", what: "the client's build and its size limit", needs: []string{"node"}, do: (*run).build,
		budget: 5 * time.Second},
	{name: "image", what: "the image of the realtime service, built without a registry", needs: []string{"node"},
		do: (*run).image, budget: 5 * time.Second},
	{name: "fuzz", what: "every fuzz target for a few seconds", do: (*run).fuzz, budget: 40 * time.Second,
		background: true},
	{name: "attack", what: "hostile accounts against a whole system with production's limits",
		needs: []string{"redis-server"}, do: (*run).attack, budget: 60 * time.Second, background: true},
	// The Go tests also run Terraform in its folder.
	{name: "terraform", what: "format, validation and tests of the Terraform configuration", needs: []string{"terraform"},
		do: (*run).terraform, budget: 90 * time.Second, background: true, after: "go"},
	{name: "lint", what: "staticcheck, ESLint and Prettier", needs: []string{"node"}, do: (*run).lint,
		budget: 60 * time.Second, background: true},
	{name: "go", what: "Go tests with the race detector: unit, conformance, property", do: (*run).goTests,
		budget: 170 * time.Second},
	{name: "browser", what: "Chromium against the embedded default", needs: []string{"node", "chromium-shell"},
		do: (*run).browser, budget: 210 * time.Second},
	{name: "browser-engines", what: "the main journey in the full Chromium and in Firefox",
		needs: []string{"node", "chromium", "firefox"}, do: (*run).browserEngines, budget: 45 * time.Second},
	{name: "browser-webkit", what: "the main journey in WebKit",
		needs: []string{"node", "chromium-shell", "webkit", "xvfb"}, do: (*run).browserWebKit, budget: 25 * time.Second},
	{name: "browser-emulators", what: "Chromium against redis-server and Google's emulators",
		needs: []string{"node", "chromium-shell", "redis-server", "java", "firestore", "pubsub"},
		do:    (*run).browserEmulators, budget: 35 * time.Second},
}

// check prints err, if any, and counts it as one test.
func (r *run) check(err error) tally {
	if err != nil {
		r.say("--- FAIL: %v", err)
	}
	return one(err)
}

// noColor keeps color codes out of the output of Node's programs.
var noColor = []string{"NO_COLOR=1", "FORCE_COLOR=0"}

// web checks the client's types and runs its unit tests.
func (r *run) web(ctx context.Context) (out tally) {
	out.add(r.check(r.command(ctx, noColor, "web", "npm", "run", "--silent", "types").quiet()))
	report, err := r.reportFile("vitest.json")
	if err != nil {
		return r.check(err)
	}
	err = r.command(ctx, noColor, "web", "npx", "--no-install", "vitest", "run", "--reporter=dot", "--reporter=json",
		"--outputFile.json="+report).run(r.out, r.out)
	t, readErr := vitestReport(report)
	err = errors.Join(err, readErr)
	if err != nil && t.failed == 0 { // a file that does not load has no tests that could fail
		t.add(r.check(err))
	}
	out.add(t)
	return out
}

// build builds the client. The build fails if the client is larger than its limit.
func (r *run) build(ctx context.Context) tally {
	return r.check(webbuild.Ensure(ctx, r.path("web"), func(s string) { r.say("%s", s) }))
}

// image builds the image of realtime and prints its size. It also compiles what the Go tests of infra/image would
// otherwise have to compile within their time limit.
func (r *run) image(ctx context.Context) tally {
	if t := r.build(ctx); t.failed > 0 {
		return t
	}
	return r.counted(ctx, nil, "go", "run", "./infra/image", "-layout", filepath.Join(".cache", "image"))
}

func (r *run) browser(ctx context.Context) tally {
	return r.playwright(ctx, "chromium-shell", "embedded", 2, []string{"system", "view"})
}

// browserEngines runs the tests of the main journey in the browsers that people use.
func (r *run) browserEngines(ctx context.Context) tally {
	return r.playwright(ctx, "chromium", "engines", 2, []string{"chromium", "firefox"})
}

// browserWebKit runs the main journey in the engine of Safari.
func (r *run) browserWebKit(ctx context.Context) tally {
	return r.playwright(ctx, "chromium-shell", "webkit", 1, []string{"webkit"}, "WEBKIT="+r.parts["webkit"].path)
}

// browserEmulators repeats the journeys whose outcome depends on a backend. They often wait for the emulators, so more
// of them run at once than there are cores.
func (r *run) browserEmulators(ctx context.Context) tally {
	return r.playwright(ctx, "chromium-shell", "emulators", 3, []string{"backends"}, "PHOENIX_E2E_FLAGS=-emulators")
}

// playwright runs projects of the browser tests against a system that they start themselves. chromium names the part
// that is the Chromium to use.
func (r *run) playwright(ctx context.Context, chromium, name string, workers int, projects []string,
	env ...string) tally {

	report, err := r.reportFile("playwright-" + name + ".json")
	if err != nil {
		return r.check(err)
	}
	launcher := r.path(".cache", "local")
	if err := r.command(ctx, nil, "", "go", "build", "-o", launcher, "./infra/local").quiet(); err != nil {
		return r.check(err)
	}
	for variable, part := range map[string]string{"CHROMIUM": chromium, "FIREFOX": "firefox"} {
		if p, ok := r.parts[part]; ok {
			env = append(env, variable+"="+p.path)
		}
	}
	env = append(env, "PHOENIX_LOCAL="+launcher, "PLAYWRIGHT_JSON_OUTPUT_NAME="+report)
	env = append(env, noColor...)
	args := []string{"--no-install", "playwright", "test", "--reporter=list,json", "--workers=" + strconv.Itoa(workers)}
	for _, project := range projects {
		args = append(args, "--project="+project)
	}
	err = r.command(ctx, env, "web", "npx", args...).run(r.out, r.out)
	t, readErr := playwrightReport(report)
	err = errors.Join(err, readErr)
	if err != nil && t.failed == 0 {
		t.add(r.check(err))
	}
	return t
}

func (r *run) terraform(ctx context.Context) tally {
	return r.counted(ctx, []string{"TERRAFORM=" + r.parts["terraform"].path}, r.path("infra", "terraform", "check"))
}

// fault runs the fault tests for a bounded time with a fixed seed. Without Node.js, no device has the browser's engine.
func (r *run) fault(ctx context.Context) tally {
	args := []string{"run", "./infra/fault", "-short"}
	if _, ok := r.parts["node"]; !ok {
		args = append(args, "-browser-devices", "0")
	}
	return r.counted(ctx, nil, "go", args...)
}

// attack makes the attacks of hostile accounts, each less often than at full size.
func (r *run) attack(ctx context.Context) tally {
	return r.counted(ctx, nil, "go", "run", "./infra/attack", "-short")
}

var totals = regexp.MustCompile(`(?m)^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$`)

// counted runs a program that may end with "N passed, N failed, N skipped". Without that line it counts as one test.
func (r *run) counted(ctx context.Context, env []string, name string, args ...string) tally {
	var out bytes.Buffer
	err := r.command(ctx, env, "", name, args...).run(io.MultiWriter(r.out, &out), r.out)
	found := totals.FindAllStringSubmatch(out.String(), -1)
	if len(found) == 0 {
		return r.check(err)
	}
	number := func(s string) int { i, _ := strconv.Atoi(s); return i } // the pattern allows only digits, or nothing
	last := found[len(found)-1]
	t := tally{passed: number(last[1]), skipped: number(last[3])}
	for range number(last[2]) {
		t.fail(filepath.Base(name), "see its output above")
	}
	if err != nil && t.failed == 0 {
		t.add(r.check(err))
	}
	return t
}

// reportFile returns the path of a report that a program is about to write. It removes an older report.
func (r *run) reportFile(name string) (string, error) {
	path := r.path(".cache", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return path, nil
}
