// Package emulators finds and runs the official stand-ins for what the chat
// uses on Google Cloud: redis-server, the Firestore emulator and the Pub/Sub
// emulator. Each is one process of its own (the emulators are started as Java
// programs, since ending the Google Cloud CLI's wrappers leaves theirs behind),
// listens on a free port of the loopback address, keeps nothing on disk, and ends with this process.
package emulators

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Missing is the error for a program that cannot be found.
type Missing struct {
	What string // such as "redis-server"
	How  string // how to get it, as one sentence
}

func (m *Missing) Error() string { return m.What + " is missing. " + m.How }

const (
	howRedis     = "Install it (Debian: apt-get install redis-server; macOS: brew install redis), or name one that runs with -redis."
	howJava      = "Install a Java runtime, version 11 or later (Debian: apt-get install default-jre-headless)."
	howFirestore = "Install it with the Google Cloud CLI: gcloud components install cloud-firestore-emulator (Debian: apt-get install google-cloud-cli-firestore-emulator), or name one that runs in FIRESTORE_EMULATOR_HOST."
	howPubSub    = "Install it with the Google Cloud CLI: gcloud components install pubsub-emulator (Debian: apt-get install google-cloud-cli-pubsub-emulator), or name one that runs in PUBSUB_EMULATOR_HOST."
)

// The finders return the path of the program or the *Missing that says how to get it.

// findRedis finds redis-server.
func findRedis(context.Context) (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", &Missing{"redis-server", howRedis}
	}
	return path, nil
}

// FindJava finds java, which runs both of Google's emulators.
func FindJava(context.Context) (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		if path, err := exec.LookPath(filepath.Join(home, "bin", "java")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return "", &Missing{"Java", howJava}
	}
	return path, nil
}

// FindFirestore finds the Firestore emulator's program, a Java archive.
func FindFirestore(ctx context.Context) (string, error) {
	return findJar(ctx, "cloud-firestore-emulator/cloud-firestore-emulator.jar", &Missing{"The Firestore emulator", howFirestore})
}

// FindPubSub finds the Pub/Sub emulator's program, a Java archive.
func FindPubSub(ctx context.Context) (string, error) {
	return findJar(ctx, "pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar", &Missing{"The Pub/Sub emulator", howPubSub})
}

// Check returns every *Missing that starting Redis, Firestore and PubSub would
// meet, joined, or nil.
func Check(ctx context.Context, redis, firestore, pubsub bool) error {
	var errs []error
	check := func(wanted bool, find func(context.Context) (string, error)) {
		if !wanted {
			return
		}
		if _, err := find(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	check(redis, findRedis)
	check(firestore || pubsub, FindJava)
	check(firestore, FindFirestore)
	check(pubsub, FindPubSub)
	return errors.Join(errs...)
}

// findJar returns the one file that matches pattern below the platform folder
// of the Google Cloud CLI.
func findJar(ctx context.Context, pattern string, missing *Missing) (string, error) {
	for _, root := range sdkRoots(ctx) {
		found, err := filepath.Glob(filepath.Join(root, "platform", pattern))
		if err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", missing
}

// sdkRoots returns the folders that the Google Cloud CLI may be installed in, likeliest first.
func sdkRoots(ctx context.Context) []string {
	var roots []string
	if root := os.Getenv("CLOUDSDK_ROOT_DIR"); root != "" {
		roots = append(roots, root)
	}
	gcloud, err := exec.LookPath("gcloud")
	if err != nil {
		return roots
	}
	if real, err := filepath.EvalSymlinks(gcloud); err == nil {
		roots = append(roots, filepath.Dir(filepath.Dir(real)))
	}
	// Where gcloud is a script of a package manager it knows better itself.
	if len(roots) == 0 || !isDir(filepath.Join(roots[len(roots)-1], "platform")) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if out, err := exec.CommandContext(ctx, gcloud, "info", "--format=value(installation.sdk_root)").Output(); err == nil {
			roots = append(roots, strings.TrimSpace(string(out)))
		}
	}
	return roots
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
