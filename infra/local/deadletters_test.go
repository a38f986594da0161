//go:build unix

package main

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/operator"
)

// TestDeadLetters tests that the command reads the same dead letters as the admin panel: those in the embedded store,
// or with Pub/Sub, those that persist published to the topic.
func TestDeadLetters(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { testDeadLetters(t) })
	t.Run("emulators", func(t *testing.T) {
		firestore, pubsub := os.Getenv("PHOENIX_TEST_FIRESTORE"), os.Getenv("PHOENIX_TEST_PUBSUB")
		if firestore == "" || pubsub == "" {
			t.Skip("PHOENIX_TEST_FIRESTORE and PHOENIX_TEST_PUBSUB are not both set")
		}
		testDeadLetters(t, "FIRESTORE_EMULATOR_HOST="+firestore, "PUBSUB_EMULATOR_HOST="+pubsub)
	})
}

func testDeadLetters(t *testing.T, env ...string) {
	r := newRepository(t)
	r.env = env
	run := r.start()
	ask := func(o operator.DeadLetterOrder) string {
		t.Helper()
		answer, err := operator.Send(t.Context(), run.Data, operator.DeadLettersPath, o)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	// The mark tells this test's dead letters from those of other tests on the same emulator.
	mark := rand.Text()
	publish := func() {
		t.Helper()
		if _, err := operator.Send(t.Context(), run.Data, publishPath, publishOrder{Data: []byte(mark)}); err != nil {
			t.Fatal(err)
		}
	}
	found := func() string {
		t.Helper()
		var id string
		eventually(t, "the dead letter", func() bool {
			for line := range strings.Lines(ask(operator.DeadLetterOrder{Do: operator.List})) {
				id, _, _ = strings.Cut(line, "  ")
				if id == "" || strings.HasPrefix(line, "Dead letters") {
					continue
				}
				if strings.Contains(ask(operator.DeadLetterOrder{Do: operator.List, ID: id}), mark) {
					return true
				}
			}
			return false
		})
		return id
	}
	publish()
	first := found()
	replay := operator.DeadLetterOrder{Do: operator.Replay, ID: first}
	if answer := ask(replay); !strings.HasPrefix(answer, "Replayed: 1.") {
		t.Errorf("replaying: %q", answer)
	}
	again := found() // still malformed, so replaying it through persist made a new dead letter
	if again == first {
		t.Errorf("after replaying, %s is still there", first)
	}
	discard := operator.DeadLetterOrder{Do: operator.Discard, ID: again, Reason: "a test"}
	if answer := ask(discard); answer != "Discarded." {
		t.Errorf("discarding: %q", answer)
	}
	if answer := ask(operator.DeadLetterOrder{Do: operator.List}); strings.Contains(answer, again) {
		t.Errorf("after discarding: %q", answer)
	}
	if err := run.interrupt(t); err != nil {
		t.Error(err)
	}
}
