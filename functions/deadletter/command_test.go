package deadletter_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// replays notes what is replayed, and fails on demand.
type replays struct {
	got  []string
	fail error
}

func (r *replays) Replay(_ context.Context, data []byte) error {
	if r.fail != nil {
		return r.fail
	}
	r.got = append(r.got, string(data))
	return nil
}

func TestRun(t *testing.T) {
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	shelf, again := deadletter.Local{Store: db}, &replays{}
	d := deadletter.Deps{Local: db, Collector: shelf, Replayer: again, Now: func() time.Time { return time.Unix(1, 0) }}
	if err := shelf.Put(t.Context(), []store.DeadLetter{store.NewDeadLetter("1", 1e15, "no JSON", []byte("one")), store.NewDeadLetter("2", 2e15, "too old", []byte("two")), store.NewDeadLetter("3", 3e15, "x", []byte("three"))}); err != nil {
		t.Fatal(err)
	}
	run := func(o deadletter.Order) string {
		t.Helper()
		o.By = "me"
		told, err := deadletter.Run(t.Context(), d, o)
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	if told := run(deadletter.Order{Do: deadletter.List}); told != "l1  2001-09-09T01:46:40Z  no JSON\nl2  2033-05-18T03:33:20Z  too old\nl3  2065-01-24T05:20:00Z  x\nDead letters: 3." {
		t.Errorf("the list is %q", told)
	}
	if told := run(deadletter.Order{Do: deadletter.List, ID: "l2"}); !strings.Contains(told, "\ntwo\n") {
		t.Errorf("one is %q", told)
	}
	for _, o := range []deadletter.Order{{Do: deadletter.Discard}, {Do: deadletter.Discard, ID: "l1"}, {Do: deadletter.Discard, ID: "l1", Reason: " "}, {Do: "burn"}, {}} {
		if _, err := deadletter.Run(t.Context(), d, o); problem.Of(err).Code != "invalid_fields" {
			t.Errorf("%+v is answered %v", o, err)
		}
	}
	if _, err := deadletter.Run(t.Context(), d, deadletter.Order{Do: deadletter.Replay, ID: "x"}); problem.Of(err).Code != "dead_letter_not_found" {
		t.Errorf("an unknown letter is answered %v", err)
	}
	run(deadletter.Order{Do: deadletter.Discard, ID: "l1", Reason: "noise"})
	again.fail = problem.ErrUnavailable
	if _, err := deadletter.Run(t.Context(), d, deadletter.Order{Do: deadletter.Replay}); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("a replay that fails is answered %v", err)
	}
	again.fail = nil
	if told := run(deadletter.Order{Do: deadletter.Replay, ID: "l3"}); !strings.HasPrefix(told, "Replayed: 1.") {
		t.Errorf("told is %q", told)
	}
	run(deadletter.Order{Do: deadletter.Replay})
	if strings.Join(again.got, " ") != "three two" {
		t.Errorf("replayed are %q", again.got)
	}
	if n, err := db.CountDeadLetters(t.Context()); n != 0 || err != nil {
		t.Errorf("left are %d, %v", n, err)
	}
	entries, _, err := db.AuditLog(t.Context(), "", 10)
	var log []string
	for _, e := range entries {
		log = append(log, strings.TrimSpace(e.Action+" "+e.On+" "+e.Reason))
	}
	if want := []string{"dead_letters_replay_all", "dead_letter_replay l3", "dead_letters_replay_all", "dead_letter_discard l1 noise"}; err != nil || strings.Join(log, ",") != strings.Join(want, ",") || entries[0].By != "command:me" {
		t.Errorf("the audit log is %q, %v", log, err)
	}
}
