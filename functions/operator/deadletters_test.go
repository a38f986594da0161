package operator_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// replays is a Replayer that records what it replays, and fails on demand.
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

func TestDeadLetters(t *testing.T) {
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	local, replayer := deadletter.Local{Store: db}, &replays{}
	d := operator.Deps{Store: db, Collector: local, Replayer: replayer, Now: func() time.Time { return time.Unix(1, 0) }}
	if err := local.Put(t.Context(), []store.DeadLetter{
		store.NewDeadLetter("1", 1e15, "no JSON", []byte("one")),
		store.NewDeadLetter("2", 2e15, "too old", []byte("two")),
		store.NewDeadLetter("3", 3e15, "x", []byte("three")),
	}); err != nil {
		t.Fatal(err)
	}
	order := func(o operator.DeadLetterOrder) string {
		t.Helper()
		o.By = "me"
		answer, err := operator.DeadLetters(t.Context(), d, o)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	want := "l1  2001-09-09T01:46:40Z  no JSON\nl2  2033-05-18T03:33:20Z  too old\nl3  2065-01-24T05:20:00Z  x\n" +
		"Dead letters: 3."
	if answer := order(operator.DeadLetterOrder{Do: operator.List}); answer != want {
		t.Errorf("list %q, want %q", answer, want)
	}
	if answer := order(operator.DeadLetterOrder{Do: operator.List, ID: "l2"}); !strings.Contains(answer, "\ntwo\n") {
		t.Errorf("list of one %q", answer)
	}
	for _, o := range []operator.DeadLetterOrder{
		{Do: operator.Discard},
		{Do: operator.Discard, ID: "l1"},
		{Do: operator.Discard, ID: "l1", Reason: " "},
		{Do: "burn"},
		{},
	} {
		if _, err := operator.DeadLetters(t.Context(), d, o); problem.Of(err).Code != "invalid_fields" {
			t.Errorf("%+v: error %v, want invalid_fields", o, err)
		}
	}
	_, err = operator.DeadLetters(t.Context(), d, operator.DeadLetterOrder{Do: operator.Replay, ID: "x"})
	if problem.Of(err).Code != "dead_letter_not_found" {
		t.Errorf("unknown id: error %v, want dead_letter_not_found", err)
	}
	order(operator.DeadLetterOrder{Do: operator.Discard, ID: "l1", Reason: "noise"})
	replayer.fail = problem.ErrUnavailable
	_, err = operator.DeadLetters(t.Context(), d, operator.DeadLetterOrder{Do: operator.Replay})
	if !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("failing replay: error %v, want unavailable", err)
	}
	replayer.fail = nil
	answer := order(operator.DeadLetterOrder{Do: operator.Replay, ID: "l3"})
	if !strings.HasPrefix(answer, "Replayed: 1.") {
		t.Errorf("answer %q", answer)
	}
	order(operator.DeadLetterOrder{Do: operator.Replay})
	if strings.Join(replayer.got, " ") != "three two" {
		t.Errorf("replayed %q", replayer.got)
	}
	if n, err := db.CountDeadLetters(t.Context()); n != 0 || err != nil {
		t.Errorf("%d dead letters left, %v", n, err)
	}
	entries, _, err := db.AuditLog(t.Context(), "", 10)
	var log []string
	for _, e := range entries {
		log = append(log, strings.TrimSpace(e.Action+" "+e.On+" "+e.Reason))
	}
	want = "dead_letters_replay_all, dead_letter_replay l3, dead_letters_replay_all, dead_letter_discard l1 noise"
	if err != nil || strings.Join(log, ", ") != want || entries[0].By != "command:me" {
		t.Errorf("audit log %q, %v", log, err)
	}
}
