package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/infra/emulators"
)

// goFolders are the folders with Go code.
var goFolders = []string{"functions", "infra", "realtime"}

// format runs the checks that need no build of tests.
func (r *run) format(ctx context.Context) (out tally) {
	var files bytes.Buffer
	err := r.command(ctx, nil, "", "gofmt", append([]string{"-l"}, goFolders...)...).run(&files, r.out)
	if err == nil && files.Len() > 0 {
		err = fmt.Errorf("gofmt would change:\n%s", files.String())
	}
	out.add(r.check(err))
	out.add(r.check(r.lineLength()))
	out.add(r.check(r.command(ctx, nil, "", "go", "vet", "./...").quiet()))
	return out
}

// maxColumns is the longest line of Go code, in characters. A tab counts as one.
const maxColumns = 120

// lineLength returns an error that names every line of Go code that is longer than maxColumns.
func (r *run) lineLength() error {
	var long []error
	err := r.goFiles(func(path string, text []byte) error {
		n := 0
		for line := range bytes.Lines(text) {
			n++
			if columns := utf8.RuneCount(bytes.TrimRight(line, "\n")); columns > maxColumns {
				long = append(long, fmt.Errorf("%s:%d: the line has %d columns, more than %d", path, n, columns, maxColumns))
			}
		}
		return nil
	})
	return errors.Join(append(long, err)...)
}

// goFiles calls do with the path (below the repository) and the text of every Go file.
func (r *run) goFiles(do func(path string, text []byte) error) error {
	for _, dir := range goFolders {
		err := filepath.WalkDir(r.path(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if path, err = filepath.Rel(r.root, path); err != nil {
				return err
			}
			return do(filepath.ToSlash(path), text)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// staticcheck is run at this version, so that the same code passes everywhere. It is no requirement in go.mod.
const staticcheck = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"

// lint runs the linters of both languages. They need much CPU time and no particular pace, so they run at a low
// priority: the browser tests beside them measure the smoothness of the page.
func (r *run) lint(ctx context.Context) (out tally) {
	for _, c := range []struct {
		dir  string
		args []string
	}{
		{"", []string{"go", "run", staticcheck, "./..."}},
		{"web", []string{"npm", "run", "--silent", "lint"}},
		{"web", []string{"npm", "run", "--silent", "format:check"}},
	} {
		out.add(r.check(r.command(ctx, noColor, c.dir, "nice", append([]string{"-n", "15"}, c.args...)...).quiet()))
	}
	return out
}

// withoutRace lists the packages that are tested without the race detector, with the reason. Other packages run the
// code that these call under the race detector.
var withoutRace = map[string]string{
	"infra/cost":             "counts operations, and needs a pace that the detector does not reach",
	"infra/fault/simulation": "Go 1.26's detector sometimes crashes in a synctest bubble (go.dev/issue/78156)",
	"infra/image":            "compresses images in one goroutine",

	"infra/model/internal/delivery": "searches millions of states in one goroutine",
	"infra/model/internal/search":   "searches millions of states in one goroutine",
	"realtime/server/memory":        "measures memory, of which the detector needs some for each socket",
}

// slowFirst lists the slowest packages. They start first, so that none of them runs alone at the end.
var slowFirst = []string{
	"functions/api", "functions/store/storefirestore", "infra/local", "infra/terraform", "realtime/cmd/realtime",
	"realtime/inbox", "realtime/presence", "realtime/server", "realtime/session", "realtime/settle",
}

// goTests runs every Go test once, on every backend that was found.
func (r *run) goTests(ctx context.Context) (out tally) {
	env, t := r.backends(ctx)
	out.add(t)
	if p, ok := r.parts["terraform"]; ok {
		env = append(env, "TERRAFORM="+p.path)
	}
	// Many packages wait for their servers, so more packages run at once than there are cores. The format stage has
	// run vet.
	args := []string{"test", "-json", "-count=1", "-timeout=15m", "-vet=off", "-p=" + strconv.Itoa(runtime.NumCPU()+2)}
	if _, ok := r.parts["race"]; !ok {
		out.add(r.goTest(ctx, env, args, []string{"./..."}))
		return out
	}
	var list bytes.Buffer
	if err := r.command(ctx, nil, "", "go", "list", "./...").run(&list, r.out); err != nil {
		out.add(r.check(err))
		return out
	}
	var slow, quick, others []string
	for pkg := range strings.FieldsSeq(list.String()) {
		switch {
		case withoutRace[short(pkg)] != "":
			others = append(others, pkg)
		case slices.Contains(slowFirst, short(pkg)):
			slow = append(slow, pkg)
		default:
			quick = append(quick, pkg)
		}
	}
	concurrent := make(chan tally)
	go func() { concurrent <- r.goTest(ctx, env, args, others) }()
	raceEnv := append(slices.Clip(env), "CGO_ENABLED=1")
	out.add(r.goTest(ctx, raceEnv, append(slices.Clip(args), "-race"), slices.Concat(slow, quick)))
	out.add(<-concurrent)
	return out
}

// goTest runs `go test -json` on packages and sums it up. It never repeats a failed test. It repeats a package in
// which the race detector itself crashed, at most twice.
func (r *run) goTest(ctx context.Context, env, args, packages []string) (out tally) {
	for attempts := 3; len(packages) > 0; attempts-- {
		g := newGoResults(r.out)
		stream, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			err := r.command(ctx, env, "", "go", slices.Concat(args, packages)...).run(w, r.out)
			w.Close()
			done <- err
		}()
		readErr := g.read(stream)
		err := errors.Join(<-done, readErr)
		if packages = g.crashed; attempts == 1 || ctx.Err() != nil {
			for _, pkg := range packages {
				g.tally.fail(short(pkg), "the race detector crashed at every attempt")
			}
			packages = nil
		}
		if err != nil && g.tally.failed == 0 && len(g.crashed) == 0 {
			g.tally.add(r.check(err))
		}
		for _, reason := range slices.Sorted(maps.Keys(g.skips)) {
			r.say("%d skipped: %s", g.skips[reason], reason)
		}
		out.add(g.tally)
	}
	return out
}

// backends starts the emulators, and returns the environment variables that point the Go tests at the backends.
func (r *run) backends(ctx context.Context) (env []string, out tally) {
	if p, ok := r.parts["redis-server"]; ok {
		env = append(env, "PHOENIX_TEST_REDIS_SERVER="+p.path)
	} else if !slices.Contains(r.without, "redis-server") {
		env = append(env, "PHOENIX_TEST_REDIS_SERVER=redis-server-is-missing") // tests that need it fail instead of skipping
	}
	for _, b := range []struct {
		part, variable string
		start          func(context.Context) (*emulators.Server, error)
	}{
		{"firestore", "PHOENIX_TEST_FIRESTORE", emulators.Firestore},
		{"pubsub", "PHOENIX_TEST_PUBSUB", emulators.PubSub},
	} {
		if len(r.missing([]string{b.part, "java"})) > 0 {
			continue
		}
		s, err := b.start(ctx)
		if err != nil {
			out.add(r.check(err))
			continue
		}
		r.cleanup = append(r.cleanup, s.Stop)
		env = append(env, b.variable+"="+s.Addr)
	}
	return env, out
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// fuzzTime is how long each target runs after its seeds.
const fuzzTime = "3s"

// fuzz runs every fuzz target of the repository for a bounded time.
func (r *run) fuzz(ctx context.Context) (out tally) {
	err := r.goFiles(func(path string, text []byte) error {
		for _, m := range fuzzTarget.FindAllSubmatch(text, -1) {
			name, pkg := string(m[1]), "./"+filepath.ToSlash(filepath.Dir(path))
			err := r.command(ctx, nil, "", "go", "test", "-vet=off", "-run=^$", "-fuzz=^"+name+"$",
				"-fuzztime="+fuzzTime, "-parallel=1", pkg).quiet()
			out.add(r.check(err))
			r.say("%-60s %v", pkg+" "+name, one(err))
		}
		return ctx.Err()
	})
	if err != nil {
		out.add(r.check(err))
	}
	return out
}
