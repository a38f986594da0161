package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
)

// format checks what needs no running.
func (r *run) format(ctx context.Context) (out tally) {
	var files bytes.Buffer
	err := r.command(ctx, nil, "", "gofmt", "-l", "functions", "infra", "realtime").run(&files, r.out)
	if err == nil && files.Len() > 0 {
		err = fmt.Errorf("gofmt would change:\n%s", files.String())
	}
	out.add(r.told(err))
	out.add(r.told(r.command(ctx, nil, "", "go", "vet", "./...").quiet()))
	return out
}

// told shows err and returns its tally.
func (r *run) told(err error) tally {
	if err != nil {
		r.say("--- FAIL: %v", err)
	}
	return one(err)
}

// goTests runs every Go test once, against every backend that is there.
func (r *run) goTests(ctx context.Context) (out tally) {
	env, t := r.backends(ctx)
	out.add(t)
	if p, ok := r.parts["terraform"]; ok {
		env = append(env, "TERRAFORM="+p.path)
	}
	// Many packages wait for their servers, so more of them run than there are cores. Vet ran over everything.
	args := []string{"test", "-json", "-count=1", "-timeout=8m", "-vet=off", "-p=" + strconv.Itoa(runtime.NumCPU()+2)}
	if _, ok := r.parts["race"]; !ok {
		out.add(r.goTest(ctx, env, args, []string{"./..."}))
		return out
	}
	var list bytes.Buffer
	if err := r.command(ctx, nil, "", "go", "list", "./...").run(&list, r.out); err != nil {
		out.add(r.told(err))
		return out
	}
	raced, others := split(strings.Fields(list.String()), func(pkg string) bool { return !slices.Contains(unraced, short(pkg)) })
	long, brief := split(raced, func(pkg string) bool { return slices.Contains(early, short(pkg)) })
	raced = slices.Concat(long, brief)
	beside := make(chan tally)
	go func() { beside <- r.goTest(ctx, env, args, others) }()
	out.add(r.goTest(ctx, append(slices.Clip(env), "CGO_ENABLED=1"), append(slices.Clip(args), "-race"), raced))
	out.add(<-beside)
	return out
}

// unraced are the packages that are tested without the race detector; what they call is run under it by others. One compresses
// whole images in one goroutine; one counts what a server of 2,000 sockets does, at a pace; one plays whole systems on the
// fake clock of a bubble, where Go 1.26's detector breaks now and then (go.dev/issue/78156).
var unraced = []string{"infra/cost", "infra/fault/simulation", "infra/image"}

// early are the packages that take longest: begun last, they would run alone in the end.
var early = []string{"functions/api", "functions/store/storefirestore", "infra/local", "infra/terraform", "realtime/cmd/realtime", "realtime/inbox", "realtime/presence", "realtime/server", "realtime/session", "realtime/settle"}

// split returns those of all that match and those that do not.
func split(all []string, match func(string) bool) (yes, no []string) {
	for _, one := range all {
		if match(one) {
			yes = append(yes, one)
		} else {
			no = append(no, one)
		}
	}
	return yes, no
}

// goTest runs `go test -json` over packages and sums it up. Where the race detector itself gave up they run again, twice at most.
func (r *run) goTest(ctx context.Context, env, args, packages []string) (out tally) {
	for tries := 3; len(packages) > 0; tries-- {
		g := newGoEvents(r.out)
		stream, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			err := r.command(ctx, env, "", "go", slices.Concat(args, packages)...).run(w, r.out)
			w.Close()
			done <- err
		}()
		readErr := g.read(stream)
		err := errors.Join(<-done, readErr)
		if packages = g.broken; tries == 1 || ctx.Err() != nil {
			for _, pkg := range packages {
				g.tally.fail(short(pkg), "the race detector itself gave up, each time")
			}
			packages = nil
		}
		if err != nil && g.tally.failed == 0 && len(g.broken) == 0 {
			g.tally.add(r.told(err))
		}
		for _, why := range sortedKeys(g.skips) {
			r.say("%d skipped: %s", g.skips[why], why)
		}
		out.add(g.tally)
	}
	return out
}

// backends starts what the Go tests are pointed at by their environment.
func (r *run) backends(ctx context.Context) (env []string, out tally) {
	if p, ok := r.parts["redis-server"]; ok {
		env = append(env, "PHOENIX_TEST_REDIS_SERVER="+p.path)
	}
	for _, b := range []struct {
		part, variable string
		start          func(context.Context) (*emulators.Server, error)
	}{
		{"firestore", "PHOENIX_TEST_FIRESTORE", emulators.Firestore},
		{"pubsub", "PHOENIX_TEST_PUBSUB", emulators.PubSub},
	} {
		if len(r.lacking([]string{b.part, "java"})) > 0 {
			continue
		}
		s, err := b.start(ctx)
		if err != nil {
			out.add(r.told(err))
			continue
		}
		r.cleanup = append(r.cleanup, s.Stop)
		env = append(env, b.variable+"="+s.Addr)
	}
	return env, out
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// fuzzTime is how long each target runs after its seeds.
const fuzzTime = "4s"

// fuzz runs every fuzz target of the repository for a bounded time.
func (r *run) fuzz(ctx context.Context) (out tally) {
	for _, dir := range []string{"functions", "infra", "realtime"} {
		err := filepath.WalkDir(r.path(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			pkg, err := filepath.Rel(r.root, filepath.Dir(path))
			if err != nil {
				return err
			}
			for _, m := range fuzzTarget.FindAllSubmatch(text, -1) {
				name := string(m[1])
				err := r.command(ctx, nil, "", "go", "test", "-vet=off", "-run=^$", "-fuzz=^"+name+"$", "-fuzztime="+fuzzTime, "-parallel=1", "./"+filepath.ToSlash(pkg)).quiet()
				out.add(r.told(err))
				r.say("%-60s %v", filepath.ToSlash(pkg)+" "+name, one(err))
			}
			return ctx.Err()
		})
		if err != nil {
			out.add(r.told(err))
		}
	}
	return out
}

// plain keeps colours out of what Node's programs write.
var plain = []string{"NO_COLOR=1", "FORCE_COLOR=0"}

// web checks the client's types and runs its unit tests.
func (r *run) web(ctx context.Context) (out tally) {
	out.add(r.told(r.command(ctx, plain, "web", "npm", "run", "--silent", "check").quiet()))
	report, err := r.reportFile("vitest.json")
	if err != nil {
		return r.told(err)
	}
	err = r.command(ctx, plain, "web", "npx", "--no-install", "vitest", "run", "--reporter=dot", "--reporter=json", "--outputFile.json="+report).run(r.out, r.out)
	t, readErr := vitestReport(report)
	err = errors.Join(err, readErr)
	if err != nil && t.failed == 0 { // a file that does not load has no tests to fail
		t.add(r.told(err))
	}
	out.add(t)
	return out
}

// build builds the client, which fails beyond its size limit.
func (r *run) build(ctx context.Context) tally {
	return r.told(webbuild.Ensure(ctx, r.path("web"), func(s string) { r.say("%s", s) }))
}

// image makes realtime's image, which tells its size. It also compiles what the Go tests of infra/image
// would otherwise compile within their time limit.
func (r *run) image(ctx context.Context) tally {
	if t := r.build(ctx); t.failed > 0 {
		return t
	}
	return r.counted(ctx, nil, "go", "run", "./infra/image", "-layout", filepath.Join(".cache", "image"))
}

func (r *run) browser(ctx context.Context) tally {
	return r.playwright(ctx, "chromium-shell", "embedded", []string{"system", "view"})
}

// browserEngines plays the tests of the main journey in browsers as people have them.
func (r *run) browserEngines(ctx context.Context) tally {
	return r.playwright(ctx, "chromium", "engines", []string{"chromium", "firefox"})
}

// browserEmulators repeats people's journeys, and what else the backends have a part in.
func (r *run) browserEmulators(ctx context.Context) tally {
	return r.playwright(ctx, "chromium-shell", "emulators", []string{"backends"}, "PHOENIX_E2E_FLAGS=-emulators")
}

// playwright runs projects of the browser tests against a system that they start themselves, in the part chromium or in Firefox.
func (r *run) playwright(ctx context.Context, chromium, name string, projects []string, env ...string) tally {
	report, err := r.reportFile("playwright-" + name + ".json")
	if err != nil {
		return r.told(err)
	}
	launcher := r.path(".cache", "local")
	if err := r.command(ctx, nil, "", "go", "build", "-o", launcher, "./infra/local").quiet(); err != nil {
		return r.told(err)
	}
	for variable, part := range map[string]string{"CHROMIUM": chromium, "FIREFOX": "firefox"} {
		if p, ok := r.parts[part]; ok {
			env = append(env, variable+"="+p.path)
		}
	}
	env = append(env, "PHOENIX_LOCAL="+launcher, "PLAYWRIGHT_JSON_OUTPUT_NAME="+report)
	env = append(env, plain...)
	args := []string{"--no-install", "playwright", "test", "--reporter=list,json"}
	for _, project := range projects {
		args = append(args, "--project="+project)
	}
	err = r.command(ctx, env, "web", "npx", args...).run(r.out, r.out)
	t, readErr := playwrightReport(report)
	err = errors.Join(err, readErr)
	if err != nil && t.failed == 0 {
		t.add(r.told(err))
	}
	return t
}

func (r *run) terraform(ctx context.Context) tally {
	return r.counted(ctx, []string{"TERRAFORM=" + r.parts["terraform"].path}, r.path("infra", "terraform", "check"))
}

// fault runs the fault tests for a bounded time with a fixed seed.
func (r *run) fault(ctx context.Context) tally {
	return r.counted(ctx, nil, "go", "run", "./infra/fault", "-short")
}

var summary = regexp.MustCompile(`(?m)^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$`)

// counted runs a program that may end with "N passed, N failed, N skipped"; without that line it counts as one test.
func (r *run) counted(ctx context.Context, env []string, name string, args ...string) tally {
	var out bytes.Buffer
	err := r.command(ctx, env, "", name, args...).run(io.MultiWriter(r.out, &out), r.out)
	found := summary.FindAllStringSubmatch(out.String(), -1)
	if len(found) == 0 {
		return r.told(err)
	}
	n := func(s string) int { i, _ := strconv.Atoi(s); return i } // digits or nothing, by the form
	last := found[len(found)-1]
	t := tally{passed: n(last[1]), skipped: n(last[3])}
	for range n(last[2]) {
		t.fail(filepath.Base(name), "its output names it")
	}
	if err != nil && t.failed == 0 {
		t.add(r.told(err))
	}
	return t
}

// reportFile returns the path of a report that a program is about to write, with no older one in its place.
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

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
