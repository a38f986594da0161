package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// EraseAgainOrder finds the users whom a restore of the database has brought back, or erases them.
type EraseAgainOrder struct {
	Erase  bool
	Reason string // for the audit log; Erase needs one
	By     string // author of the order, for the audit log
}

// EraseAgain carries out an order and returns the answer for the person who gave it. Accounts are not part of the
// database, so a user without an account is one who was deleted after the moment that was restored. It may be
// repeated. An erasure that fails does not stop the others; the error then has all failures.
func EraseAgain(ctx context.Context, d Deps, o EraseAgainOrder) (string, error) {
	if o.Erase && strings.TrimSpace(o.Reason) == "" {
		return "", problem.New(problem.Invalid, "invalid_fields", "To erase people again, give a reason.")
	}
	back, err := d.withoutAccount(ctx)
	if err != nil || len(back) == 0 {
		return "Every user has an account, so nobody has to be erased again.", err
	}
	var answer strings.Builder
	var failures []error
	for _, u := range back {
		if o.Erase {
			if err := d.eraseAgain(ctx, o, u); err != nil {
				failures = append(failures, fmt.Errorf("erase %s: %w", u.UID, err))
				continue
			}
		}
		fmt.Fprintf(&answer, "  %s  %s  %q\n", u.UID, u.Username, u.DisplayName)
	}
	if len(failures) > 0 {
		return "", errors.Join(failures...)
	}
	if o.Erase {
		return fmt.Sprintf("%sPeople erased: %d.", &answer, len(back)), nil
	}
	return fmt.Sprintf("%sPeople without an account: %d. To erase them, add -erase and -reason.", &answer, len(back)), nil
}

// withoutAccount returns the users who have no account. It reads all users.
func (d Deps) withoutAccount(ctx context.Context) (back []store.User, err error) {
	page := store.Search{Order: store.ByNewest, All: true, Limit: store.MaxPage}
	for {
		var list []store.User
		if list, page.Cursor, err = d.Store.Search(ctx, page); err != nil {
			return nil, err
		}
		uids := make([]string, len(list))
		for i, u := range list {
			uids[i] = u.UID
		}
		have, err := d.Accounts.GetAll(ctx, uids)
		if err != nil {
			return nil, err
		}
		back = append(back, slices.DeleteFunc(list, func(u store.User) bool { _, ok := have[u.UID]; return ok })...)
		if page.Cursor == "" {
			return back, nil
		}
	}
}

// eraseAgain erases one user. If an account was created since the list was read, the user is left alone.
func (d Deps) eraseAgain(ctx context.Context, o EraseAgainOrder, u store.User) error {
	if _, err := d.Accounts.Get(ctx, u.UID); !errors.Is(err, problem.ErrNotFound) {
		return err
	}
	entry := store.Audit{By: o.By, ByName: "eraseagain", Action: "delete", On: u.UID, OnName: u.Username, Reason: o.Reason}
	if err := d.audit(ctx, entry); err != nil {
		return err
	}
	err := d.Users.Erase(ctx, u.UID)
	if err != nil && !errors.Is(err, problem.ErrNotFound) {
		entry.Outcome = "failed: " + problem.Of(err).Code
		return errors.Join(err, d.audit(context.WithoutCancel(ctx), entry))
	}
	return nil
}
