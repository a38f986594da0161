package emulators

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// start starts one program and stops it at the end of the test. If the program is not installed, the test is skipped.
func start(t *testing.T, f func(context.Context) (*Server, error)) *Server {
	t.Helper()
	s, err := f(t.Context())
	var missing *Missing
	if errors.As(err, &missing) {
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func TestRedisStartsAndStops(t *testing.T) {
	s := start(t, Redis)
	if err := RedisAnswers(t.Context(), s.Addr); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := RedisAnswers(t.Context(), s.Addr); err == nil {
		t.Error("redis-server answers after Stop")
	}
}

func TestFirestoreKeepsDocuments(t *testing.T) {
	s := start(t, Firestore)
	c, err := FirestoreClient(t.Context(), s.Addr, "demo-emulators")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	doc := c.Collection("things").Doc("one")
	if _, err := doc.Set(t.Context(), map[string]any{"n": 1}); err != nil {
		t.Fatal(err)
	}
	got, err := doc.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Data()["n"] != int64(1) {
		t.Errorf("document %v", got.Data())
	}
}

func TestPubSubPushesToTheEndpoint(t *testing.T) {
	s := start(t, PubSub)
	type push struct {
		Subscription string
		Message      struct {
			Data []byte
		}
	}
	pushed := make(chan push, 10)
	var calls atomic.Int32
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 { // Pub/Sub pushes it again
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		var p push
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
		}
		pushed <- p
	}))
	defer endpoint.Close()
	c, err := PubSubClient(t.Context(), s.Addr, "demo-emulators")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, at := range []string{"http://127.0.0.1:1/", endpoint.URL} { // the second call changes the endpoint
		if err := CreateTopics(t.Context(), c, at, at); err != nil {
			t.Fatal(err)
		}
	}
	p := c.Publisher(Topic)
	defer p.Stop()
	if _, err := p.Publish(t.Context(), &pubsub.Message{Data: []byte("hello")}).Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-pushed:
		if string(got.Message.Data) != "hello" || got.Subscription != "projects/demo-emulators/subscriptions/"+Subscription {
			t.Errorf("pushed %+v", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no push within 30 s")
	}
}

// emptyMachine sets PATH and the other variables so that only the programs in the returned folder are found.
func emptyMachine(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("JAVA_HOME", "")
	t.Setenv("CLOUDSDK_ROOT_DIR", "")
	return dir
}

func writeProgram(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	dir := emptyMachine(t)
	wantMissing := func(f func(context.Context) (*Server, error), what string) {
		t.Helper()
		var missing *Missing
		if _, err := f(t.Context()); !errors.As(err, &missing) || missing.What != what || missing.How == "" {
			t.Errorf("error %v, want that %s is missing", err, what)
		}
	}
	wantMissing(Redis, "redis-server")
	wantMissing(Firestore, "Java")
	wantMissing(PubSub, "Java")
	writeProgram(t, filepath.Join(dir, "java"), "#!/bin/sh\n")
	wantMissing(Firestore, "The Firestore emulator")
	wantMissing(PubSub, "The Pub/Sub emulator")
	if err := Check(t.Context(), true, true, true); err == nil || strings.Count(err.Error(), " is missing. ") != 3 {
		t.Errorf("all of them: %v", err)
	}
	if err := Check(t.Context(), false, false, false); err != nil {
		t.Errorf("none of them: %v", err)
	}
}

func TestTheOutputOfAFailedProgramIsQuoted(t *testing.T) {
	dir := emptyMachine(t)
	writeProgram(t, filepath.Join(dir, "redis-server"), "#!/bin/sh\necho cannot do this >&2\nexit 1\n")
	_, err := Redis(t.Context())
	if err == nil || !strings.Contains(err.Error(), "redis-server ended: exit status 1") ||
		!strings.Contains(err.Error(), "cannot do this") {
		t.Errorf("error %v", err)
	}
}

func TestTheCLIIsFoundThroughASymlink(t *testing.T) {
	dir := emptyMachine(t)
	sdk := t.TempDir()
	writeProgram(t, filepath.Join(sdk, "bin", "gcloud"), "#!/bin/sh\n")
	writeProgram(t, filepath.Join(sdk, "platform", "pubsub-emulator", "lib", "cloud-pubsub-emulator-1-all.jar"), "")
	if err := os.Symlink(filepath.Join(sdk, "bin", "gcloud"), filepath.Join(dir, "gcloud")); err != nil {
		t.Fatal(err)
	}
	got, err := findJar(t.Context(), "pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar", &Missing{})
	if err != nil || filepath.Base(got) != "cloud-pubsub-emulator-1-all.jar" {
		t.Errorf("found %q, %v", got, err)
	}
}

func TestTheCLIPrintsItsFolder(t *testing.T) {
	dir := emptyMachine(t)
	sdk := t.TempDir()
	writeProgram(t, filepath.Join(sdk, "platform", "pubsub-emulator", "lib", "cloud-pubsub-emulator-1-all.jar"), "")
	writeProgram(t, filepath.Join(dir, "gcloud"), "#!/bin/sh\necho "+sdk+"\n")
	_, err := findJar(t.Context(), "pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar", &Missing{What: "it"})
	if err != nil {
		t.Error(err)
	}
}

func TestStartingEndsWithItsContext(t *testing.T) {
	dir := emptyMachine(t)
	writeProgram(t, filepath.Join(dir, "redis-server"), "#!/bin/sh\nexec /bin/sleep 600\n")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Redis(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
