//go:build unix

package main

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/operator"
)

// The command for dead letters sees those of the panel: on the shelf of the embedded
// store, and with Pub/Sub in the topic where persist has put them.
func TestDeadLetters(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { testDeadLetters(t) })
	t.Run("emulators", func(t *testing.T) {
		firestore, pubsub := os.Getenv("PHOENIX_TEST_FIRESTORE"), os.Getenv("PHOENIX_TEST_PUBSUB")
		if firestore == "" || pubsub == "" {
			t.Skip("PHOENIX_TEST_FIRESTORE and PHOENIX_TEST_PUBSUB are not both set: no emulators to test with")
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
		told, err := operator.Send(t.Context(), run.Data, operator.DeadLettersPath, o)
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	// An emulator that runs for several tests may hold letters of theirs.
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
				if id != "" && !strings.HasPrefix(line, "Dead letters") && strings.Contains(ask(operator.DeadLetterOrder{Do: operator.List, ID: id}), mark) {
					return true
				}
			}
			return false
		})
		return id
	}
	publish()
	first := found()
	if told := ask(operator.DeadLetterOrder{Do: operator.Replay, ID: first}); !strings.HasPrefix(told, "Replayed: 1.") {
		t.Errorf("replaying: %q", told)
	}
	again := found() // still malformed, it comes back as a new one: replaying did reach persist
	if again == first {
		t.Errorf("replayed, %s is where it was", first)
	}
	if told := ask(operator.DeadLetterOrder{Do: operator.Discard, ID: again, Reason: "a test"}); told != "Discarded." {
		t.Errorf("discarding: %q", told)
	}
	if told := ask(operator.DeadLetterOrder{Do: operator.List}); strings.Contains(told, again) {
		t.Errorf("after discarding: %q", told)
	}
	if err := run.interrupt(t); err != nil {
		t.Error(err)
	}
}
