package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
)

// part is a program that setup found.
type part struct{ path string }

// tool is a program that stages need.
type tool struct {
	name    string
	what    string
	stages  []string // that use it
	apt     string   // Debian packages; "" if Debian has none that is new enough
	how     string   // how to get it without apt
	instead string   // the tool to use if this one is not available
	find    func(context.Context) (path string, err error)
}

var (
	goStages  = []string{"go"}
	webStages = []string{"fault", "web", "build", "image", "lint", "browser", "browser-engines", "browser-webkit",
		"browser-emulators"}
	engineStages   = []string{"browser-engines"}
	webkitStages   = []string{"browser-webkit"}
	shellStages    = []string{"browser", "browser-webkit", "browser-emulators"}
	emulatorStages = []string{"go", "browser-emulators"}
)

var tools = []tool{
	{name: "race", what: "a C compiler, for Go's race detector", stages: goStages,
		apt: "gcc libc6-dev", how: "Install a C compiler.", find: inPath("gcc", "cc", "clang")},
	{name: "node", what: "Node.js with npm", stages: webStages,
		how: "Install version 20.19 or later from nodejs.org.", find: findNode},
	{name: "chromium", what: "a Chromium or Chrome browser (or $CHROMIUM)", stages: engineStages,
		apt: "chromium", how: "Install Chromium, or name the program in CHROMIUM.", find: findChromium},
	{name: "chromium-shell", what: "Chromium's headless shell (or $CHROMIUM)", stages: shellStages,
		apt: "chromium-headless-shell", how: "Install Chromium, or name the program in CHROMIUM.",
		instead: "chromium", find: findShell},
	{name: "firefox", what: "Firefox 153 or later (or $FIREFOX)", stages: engineStages,
		apt: "firefox-esr", how: "Install Firefox, or name the program in FIREFOX.", find: findFirefox},
	{name: "webkit", what: "WebKitGTK with its WebDriver (or $WEBKIT)", stages: webkitStages,
		apt: "webkit2gtk-driver", how: "Install WebKitGTK, or name its WebKitWebDriver in WEBKIT.", find: findWebKit},
	{name: "xvfb", what: "Xvfb, the display of WebKit", stages: webkitStages,
		apt: "xvfb", how: "Install Xvfb.", find: inPath("Xvfb")},
	{name: "redis-server", what: "the real Redis, version 7 or later",
		stages: []string{"go", "browser-emulators", "fault", "attack"},
		apt:    "redis-server", how: "Install Redis (redis.io).", find: inPath("redis-server")},
	{name: "java", what: "a Java runtime, for Google's emulators", stages: emulatorStages,
		apt: "default-jre-headless", how: "Install a Java runtime, version 11 or later.", find: emulators.FindJava},
	{name: "firestore", what: "the Firestore emulator of the Google Cloud CLI", stages: emulatorStages,
		apt: "google-cloud-cli-firestore-emulator", how: "Run: gcloud components install cloud-firestore-emulator.",
		find: emulators.FindFirestore},
	{name: "pubsub", what: "the Pub/Sub emulator of the Google Cloud CLI", stages: emulatorStages,
		apt: "google-cloud-cli-pubsub-emulator", how: "Run: gcloud components install pubsub-emulator.",
		find: emulators.FindPubSub},
	{name: "terraform", what: "Terraform (or $TERRAFORM)", stages: []string{"go", "terraform"},
		how: "Install Terraform (terraform.io), or name the program in TERRAFORM.", find: findTerraform},
}

func inPath(names ...string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		for _, name := range names {
			if path, err := exec.LookPath(name); err == nil {
				return path, nil
			}
		}
		return "", exec.ErrNotFound
	}
}

func findChromium(ctx context.Context) (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return exec.LookPath(path)
	}
	return inPath("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")(ctx)
}

// findShell finds the same engine without a user interface. Tests take a third less time with it.
func findShell(ctx context.Context) (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return exec.LookPath(path)
	}
	return inPath("chromium-headless-shell")(ctx)
}

// findFirefox finds a Firefox that Playwright can drive. In an older one, Playwright cannot run its own code in a page
// that forbids eval.
func findFirefox(ctx context.Context) (string, error) {
	names := []string{"firefox-esr", "firefox"}
	if named := os.Getenv("FIREFOX"); named != "" {
		names = []string{named}
	}
	path, err := inPath(names...)(ctx)
	if err != nil {
		return "", err
	}
	return path, atLeast(ctx, path, minFirefox)
}

// minFirefox is the oldest Firefox that the tests were seen to pass in.
const minFirefox = 153

// firstNumber matches the main version in what a browser prints for --version.
var firstNumber = regexp.MustCompile(`\d+`)

// atLeast returns an error if the main version that a browser prints is lower than least.
func atLeast(ctx context.Context, path string, least int) error {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", path, err)
	}
	version, err := strconv.Atoi(string(firstNumber.Find(out)))
	if err != nil {
		return fmt.Errorf("%s --version: no version in %q", path, out)
	}
	if version < least {
		return fmt.Errorf("version %d or later; %s is version %d", least, path, version)
	}
	return nil
}

func findWebKit(ctx context.Context) (string, error) {
	if path := os.Getenv("WEBKIT"); path != "" {
		return exec.LookPath(path)
	}
	return inPath("WebKitWebDriver")(ctx)
}

func findTerraform(context.Context) (string, error) {
	if path := os.Getenv("TERRAFORM"); path != "" {
		return exec.LookPath(path)
	}
	return exec.LookPath("terraform")
}

func findNode(ctx context.Context) (string, error) {
	if err := webbuild.CheckNode(ctx); err != nil {
		return "", err
	}
	return exec.LookPath("node")
}

// setup finds the parts that the chosen stages need, and installs missing ones if it may. It tries that twice, since
// apt ignores lists that it could not download, and may then install an old version. A part that stays missing is a
// failure, unless the caller leaves it out.
func (r *run) setup(ctx context.Context, chosen []stage) (out tally) {
	r.parts = map[string]part{}
	missing := r.findParts(ctx, chosen)
	for attempt := 1; attempt <= 2 && len(missing) > 0 && r.install(ctx, missing); attempt++ {
		missing = r.findParts(ctx, chosen)
	}
	for _, t := range tools {
		i := slices.IndexFunc(tools, func(o tool) bool { return o.name == t.instead })
		if missing[t.name] == nil || i < 0 {
			continue
		}
		if path, err := tools[i].find(ctx); err == nil {
			delete(missing, t.name)
			r.parts[t.name] = part{path}
		}
	}
	for _, t := range tools {
		if err := missing[t.name]; err != nil {
			r.sayMissing(t, err)
			out.fail(t.name, "it is missing")
		}
	}
	if _, ok := r.parts["node"]; ok {
		err := webbuild.Install(ctx, r.path("web"), func(s string) { r.say("%s", s) })
		if err != nil {
			r.say("%v", err)
			out.fail("web", err.Error())
		}
	}
	return out
}

// findParts finds the parts that the chosen stages need. It returns an error for each that it did not find, by name.
func (r *run) findParts(ctx context.Context, chosen []stage) map[string]error {
	missing := map[string]error{}
	for _, t := range tools {
		needed := slices.ContainsFunc(chosen, func(s stage) bool { return slices.Contains(t.stages, s.name) })
		if !needed || slices.Contains(r.without, t.name) {
			continue
		}
		path, err := t.find(ctx)
		if err != nil {
			missing[t.name] = err
			continue
		}
		r.parts[t.name] = part{path}
	}
	return missing
}

// sayMissing prints how to get a tool that find did not find.
func (r *run) sayMissing(t tool, err error) {
	how := t.how
	if t.apt != "" && hasAPT() {
		how = fmt.Sprintf("As root: apt-get install %s. %s", t.apt, how)
	}
	if errors.Is(err, exec.ErrNotFound) || errors.As(err, new(*emulators.Missing)) {
		err = errors.New(t.what)
	}
	r.say("missing: %s (%v). %s Or leave it out with -without %s.", t.name, err, how, t.name)
}

func hasAPT() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil && runtime.GOOS == "linux"
}

// install installs missing tools with apt, if the user is root. It reports whether it tried.
func (r *run) install(ctx context.Context, missing map[string]error) bool {
	if !hasAPT() || os.Geteuid() != 0 {
		return false
	}
	if err := r.apt(ctx, "update", "-qq", "-o", "Acquire::Retries=3"); err != nil {
		r.say("%v", err)
		return false
	}
	var packages []string
	for _, t := range tools {
		if missing[t.name] == nil {
			continue
		}
		for p := range strings.FieldsSeq(t.apt) {
			// apt knows Google's packages only if its repository was added.
			if err := exec.CommandContext(ctx, "apt-cache", "show", "-q=2", p).Run(); err == nil {
				packages = append(packages, p)
			}
		}
	}
	if len(packages) == 0 {
		return false
	}
	r.say("apt-get install %s", strings.Join(packages, " "))
	if err := r.apt(ctx, append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)...); err != nil {
		r.say("%v", err)
	}
	return true
}

func (r *run) apt(ctx context.Context, args ...string) error {
	return r.command(ctx, []string{"DEBIAN_FRONTEND=noninteractive"}, "", "apt-get", args...).quiet()
}
