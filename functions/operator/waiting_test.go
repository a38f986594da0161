package operator_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// queue is a realtime service in which messages wait. It fails on demand.
type queue struct {
	internalapi.API
	waiting internalapi.Waiting
	purged  []internalapi.Purge
	audited func() int // entries of the audit log
	before  int        // entries at the time of the last purge
	fail    error
}

func (q *queue) Waiting(context.Context) (internalapi.Waiting, error) { return q.waiting, q.fail }

func (q *queue) Purge(_ context.Context, p internalapi.Purge) (internalapi.Purged, error) {
	q.purged = append(q.purged, p)
	q.before = q.audited()
	return internalapi.Purged{Messages: 7, Bytes: 3 << 20, Complete: p.To != ""}, q.fail
}

func TestWaiting(t *testing.T) {
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	audit := func() []store.Audit {
		t.Helper()
		list, _, err := db.AuditLog(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	all := internalapi.Waiting{Messages: 9, Bytes: 4096, Inboxes: 2,
		Senders: []internalapi.Share{{UID: "eve", Messages: 8, Bytes: 4000}}}
	q := &queue{audited: func() int { return len(audit()) }, waiting: all}
	now := time.Unix(1, 0)
	d := operator.Deps{Store: db, Realtime: q, Now: func() time.Time { now = now.Add(time.Second); return now }}
	order := func(o operator.WaitingOrder) (string, error) {
		o.By = "me"
		return operator.Waiting(t.Context(), d, o)
	}
	want := "Most from:\n   3.9 KiB        8 messages  eve  (deleted)\nWaiting: 9 messages (4.0 KiB) in 2 inboxes. " +
		"Only a part of the inboxes was counted."
	if answer, err := order(operator.WaitingOrder{}); answer != want || err != nil {
		t.Errorf("the list is %q, %v, want %q", answer, err, want)
	}
	for name, o := range map[string]operator.WaitingOrder{
		"no reason": {Purge: "eve"}, "blank reason": {Purge: "eve", Reason: " "}, "no sender": {To: "ben", Reason: "spam"},
		"invalid": {Purge: "a/b", Reason: "spam"},
	} {
		if answer, err := order(o); err == nil || problem.Of(err).Kind != problem.Invalid {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
	}
	if len(q.purged) != 0 || len(audit()) != 0 {
		t.Errorf("invalid orders purged %v and entered %v", q.purged, audit())
	}

	answer, err := order(operator.WaitingOrder{Purge: "eve", Reason: "spam"})
	if err != nil || !strings.HasPrefix(answer, "Withdrew 7 messages (3.0 MiB). There are more.") {
		t.Errorf("the purge answers %q, %v", answer, err)
	}
	if q.before != 1 {
		t.Error("the audit log had no entry when the purge began")
	}
	answer, err = order(operator.WaitingOrder{Purge: "eve", To: "ben", Reason: "spam"})
	if err != nil || answer != "Withdrew 7 messages (3.0 MiB)." {
		t.Errorf("the purge of one inbox answers %q, %v", answer, err)
	}
	if got := q.purged[1]; got != (internalapi.Purge{From: "eve", To: "ben", Reason: internalapi.ReasonWithdrawn}) {
		t.Errorf("purged %+v", got)
	}
	entry := audit()[0] // the newest
	if entry.By != "command:me" || entry.Action != "purge" || entry.On != "eve" ||
		!strings.HasPrefix(entry.Reason, "spam") {
		t.Errorf("audit entry %+v", entry)
	}
	q.fail = problem.ErrUnavailable
	if _, err := order(operator.WaitingOrder{}); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("while the service does not answer: %v", err)
	}
}
