package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
)

// part is a program that was found.
type part struct{ path string }

// tool is a program that stages need.
type tool struct {
	name    string
	what    string
	stages  []string // for which it is wanted
	apt     string   // Debian packages that bring it; "" where Debian has none, or an older one than is needed
	how     string   // how to get it, where apt cannot
	instead string   // another tool that does where this one cannot be had
	find    func(context.Context) (path string, err error)
}

var (
	goStages     = []string{"go"}
	webStages    = []string{"web", "build", "image", "browser", "browser-engines", "browser-emulators"}
	engineStages = []string{"browser-engines"}
	shellStages  = []string{"browser", "browser-emulators"}
	emulated     = []string{"go", "browser-emulators"}
)

var tools = []tool{
	{"race", "a C compiler, for Go's race detector", goStages, "gcc libc6-dev", "Install a C compiler.", "", inPath("gcc", "cc", "clang")},
	{"node", "Node.js with npm", webStages, "", "Install version 20.19 or later from nodejs.org.", "", findNode},
	{"chromium", "a Chromium or Chrome browser (or $CHROMIUM)", engineStages, "chromium", "Install Chromium, or name the program in CHROMIUM.", "", findChromium},
	{"chromium-shell", "Chromium's headless shell (or $CHROMIUM)", shellStages, "chromium-headless-shell", "Install Chromium, or name the program in CHROMIUM.", "chromium", findShell},
	{"firefox", "Firefox (or $FIREFOX)", engineStages, "firefox-esr", "Install Firefox, or name the program in FIREFOX.", "", findFirefox},
	{"redis-server", "the real Redis, version 7 or later", []string{"go", "browser-emulators", "fault"}, "redis-server", "Install Redis (redis.io).", "", inPath("redis-server")},
	{"java", "a Java runtime, for Google's emulators", emulated, "default-jre-headless", "Install a Java runtime, version 11 or later.", "", emulators.FindJava},
	{"firestore", "the Firestore emulator of the Google Cloud CLI", emulated, "google-cloud-cli-firestore-emulator", "Install it: gcloud components install cloud-firestore-emulator.", "", emulators.FindFirestore},
	{"pubsub", "the Pub/Sub emulator of the Google Cloud CLI", emulated, "google-cloud-cli-pubsub-emulator", "Install it: gcloud components install pubsub-emulator.", "", emulators.FindPubSub},
	{"terraform", "Terraform (or $TERRAFORM)", []string{"go", "terraform"}, "", "Install Terraform (terraform.io), or name the program in TERRAFORM.", "", findTerraform},
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

// findShell finds the same engine without windows, which needs two thirds of the time.
func findShell(ctx context.Context) (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return exec.LookPath(path)
	}
	return inPath("chromium-headless-shell")(ctx)
}

func findFirefox(ctx context.Context) (string, error) {
	if path := os.Getenv("FIREFOX"); path != "" {
		return exec.LookPath(path)
	}
	return inPath("firefox-esr", "firefox")(ctx)
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

// setup finds what the chosen stages need and installs what it may. A part that stays missing is a
// failure, unless the caller leaves it out.
func (r *run) setup(ctx context.Context, chosen []stage) tally {
	r.parts = map[string]part{}
	missing := map[string]error{}
	look := func() {
		for _, t := range tools {
			wanted := slices.ContainsFunc(chosen, func(s stage) bool { return slices.Contains(t.stages, s.name) })
			if !wanted || slices.Contains(r.without, t.name) {
				continue
			}
			path, err := t.find(ctx)
			if err != nil {
				missing[t.name] = err
				continue
			}
			delete(missing, t.name)
			r.parts[t.name] = part{path}
		}
	}
	look()
	if len(missing) > 0 && r.install(ctx, missing) {
		look()
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
	var out tally
	for _, t := range tools {
		err, gone := missing[t.name]
		if !gone {
			continue
		}
		how := t.how
		if t.apt != "" && aptHere() {
			how = fmt.Sprintf("As root: apt-get install %s. %s", t.apt, how)
		}
		if errors.Is(err, exec.ErrNotFound) || errors.As(err, new(*emulators.Missing)) {
			err = errors.New(t.what)
		}
		r.say("missing: %s (%v). %s Or leave it out with -without %s.", t.name, err, how, t.name)
		out.failed++
	}
	if _, ok := r.parts["node"]; ok {
		err := webbuild.Install(ctx, r.path("web"), func(s string) { r.say("%s", s) })
		if err != nil {
			r.say("%v", err)
			out.failed++
		}
	}
	return out
}

func aptHere() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil && runtime.GOOS == "linux"
}

// install lets apt bring what it knows of what is missing, where that is allowed; it reports whether it did.
func (r *run) install(ctx context.Context, missing map[string]error) bool {
	if !aptHere() || os.Geteuid() != 0 {
		return false
	}
	if err := r.apt(ctx, "update", "-qq"); err != nil {
		r.say("%v", err)
		return false
	}
	var packages []string
	for _, t := range tools {
		if missing[t.name] == nil {
			continue
		}
		for p := range strings.FieldsSeq(t.apt) {
			// Google's packages are known only where its repository was added.
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
