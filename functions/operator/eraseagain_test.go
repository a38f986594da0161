package operator_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// leaving is a realtime service that records which users have left.
type leaving struct {
	internalapi.API
	gone []string
	fail error
}

func (l *leaving) GateChanged(context.Context, internalapi.Gate) error { return l.fail }

func (l *leaving) ProfileChanged(context.Context, string) error    { return l.fail }
func (l *leaving) OwnProfileChanged(context.Context, string) error { return l.fail }

func (l *leaving) Purge(context.Context, internalapi.Purge) (internalapi.Purged, error) {
	return internalapi.Purged{Complete: true}, nil
}

func (l *leaving) Gone(_ context.Context, uid string) error {
	l.gone = append(l.gone, uid)
	return nil
}

// After a restore, the users without an account are those who have left since. They are erased once, however often the
// command runs, and nobody else is.
func TestEraseAgain(t *testing.T) {
	s := newSystem(t)
	realtime := &leaving{}
	s.deps.Users = users.New(users.Deps{Store: s.store, Accounts: s.deps.Accounts, Realtime: realtime})
	var uids []string
	for _, name := range []string{"ada", "eve", "bob"} {
		u, err := s.deps.Users.Create(t.Context(), users.Signup{Email: name + "@example.org",
			Password: "correct horse battery", Username: name, DisplayName: strings.ToUpper(name)})
		if err != nil {
			t.Fatal(err)
		}
		uids = append(uids, u.UID)
	}
	eraseAgain := func(o operator.EraseAgainOrder) (string, error) {
		o.By = "ops@host"
		return operator.EraseAgain(t.Context(), s.deps, o)
	}
	if answer, err := eraseAgain(operator.EraseAgainOrder{}); err != nil || !strings.HasPrefix(answer, "Every user has") {
		t.Errorf("with all accounts: %q, %v", answer, err)
	}
	if err := s.deps.Accounts.Delete(t.Context(), uids[1]); err != nil {
		t.Fatal(err)
	}
	answer, err := eraseAgain(operator.EraseAgainOrder{})
	want := "  " + uids[1] + "  eve  \"EVE\"\nPeople without an account: 1. To erase them, add -erase and -reason."
	if err != nil || answer != want {
		t.Errorf("the list is %q, %v", answer, err)
	}
	if _, err := eraseAgain(operator.EraseAgainOrder{Erase: true}); problem.Of(err).Code != "invalid_fields" {
		t.Errorf("without a reason: error %v", err)
	}
	realtime.fail = problem.ErrUnavailable
	order := operator.EraseAgainOrder{Erase: true, Reason: "restore"}
	if _, err := eraseAgain(order); err == nil || !strings.Contains(err.Error(), uids[1]) {
		t.Errorf("realtime cannot be reached: error %v, want one that names the user", err)
	}
	realtime.fail = nil
	if answer, err := eraseAgain(order); err != nil || !strings.HasSuffix(answer, "People erased: 1.") {
		t.Errorf("answer %q, %v", answer, err)
	}
	if answer, err := eraseAgain(order); err != nil || !strings.HasPrefix(answer, "Every user has") {
		t.Errorf("the second time: %q, %v", answer, err)
	}
	if !slices.Equal(realtime.gone, uids[1:2]) {
		t.Errorf("users whose departure was reported to realtime: %v, want %v", realtime.gone, uids[1:2])
	}
	for i, uid := range uids {
		if _, err := s.store.User(t.Context(), uid); errors.Is(err, problem.ErrNotFound) != (i == 1) {
			t.Errorf("user %d: error %v", i, err)
		}
	}
	log, _, err := s.store.AuditLog(t.Context(), "", 10)
	if err != nil || len(log) != 3 || log[0].Action != "delete" || log[0].On != uids[1] || log[0].Reason != "restore" ||
		!strings.HasPrefix(log[1].Outcome, "failed") {
		t.Errorf("audit log %+v, %v; want a failed and a successful deletion", log, err)
	}
}
