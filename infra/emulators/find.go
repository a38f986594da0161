// Package emulators finds and runs redis-server and Google's emulators of Firestore and Pub/Sub, which take the place
// of the Google Cloud services. Each runs as a separate process on a free port of the loopback address, keeps nothing
// on disk, and ends with this process. The emulators are started as Java programs, because ending the wrapper scripts
// of the Google Cloud CLI leaves the JVM running.
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

// Missing is the error for a program that was not found.
type Missing struct {
	What string // such as "redis-server"
	How  string // one sentence that says how to install it
}

func (m *Missing) Error() string { return m.What + " is missing. " + m.How }

const (
	howRedis = "Install it (Debian: apt-get install redis-server; macOS: brew install redis), " +
		"or give the address of a running one with -redis."
	howJava      = "Install a Java runtime, version 11 or later (Debian: apt-get install default-jre-headless)."
	howFirestore = "Install it with the Google Cloud CLI: gcloud components install cloud-firestore-emulator " +
		"(Debian: apt-get install google-cloud-cli-firestore-emulator), " +
		"or set FIRESTORE_EMULATOR_HOST to the address of a running one."
	howPubSub = "Install it with the Google Cloud CLI: gcloud components install pubsub-emulator " +
		"(Debian: apt-get install google-cloud-cli-pubsub-emulator), " +
		"or set PUBSUB_EMULATOR_HOST to the address of a running one."
)

// The functions below return the path of a program, or a *Missing that says how to install it.

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
	return findJar(ctx, "cloud-firestore-emulator/cloud-firestore-emulator.jar",
		&Missing{"The Firestore emulator", howFirestore})
}

// FindPubSub finds the Pub/Sub emulator's program, a Java archive.
func FindPubSub(ctx context.Context) (string, error) {
	return findJar(ctx, "pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
		&Missing{"The Pub/Sub emulator", howPubSub})
}

// Check returns the *Missing errors that starting the given programs would return, joined, or nil.
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

// findJar returns the last file that matches pattern below the platform folder of the Google Cloud CLI.
func findJar(ctx context.Context, pattern string, missing *Missing) (string, error) {
	for _, root := range sdkRoots(ctx) {
		found, err := filepath.Glob(filepath.Join(root, "platform", pattern))
		if err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", missing
}

// sdkRoots returns the folders in which the Google Cloud CLI may be installed, the most likely first.
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
	// If gcloud is a package manager's script, it lies elsewhere, but it can print the folder.
	if len(roots) == 0 || !isDir(filepath.Join(roots[len(roots)-1], "platform")) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, gcloud, "info", "--format=value(installation.sdk_root)").Output()
		if err == nil {
			roots = append(roots, strings.TrimSpace(string(out)))
		}
	}
	return roots
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
