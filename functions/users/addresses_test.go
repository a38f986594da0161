package users_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

// slowCopies is a store that changes addresses slowly, as Firestore does if other transactions hold the document.
type slowCopies struct {
	users.Store // the other calls panic
	takes       time.Duration
	calls       atomic.Int32
}

func (s *slowCopies) SetAddress(ctx context.Context, uid string, a store.Address) (store.User, error) {
	s.calls.Add(1)
	select {
	case <-time.After(s.takes):
		return store.User{UID: uid, Email: a.Email, EmailVerified: a.Verified, EmailAt: a.At}, nil
	case <-ctx.Done():
		return store.User{}, ctx.Err()
	}
}

func (s *slowCopies) User(_ context.Context, uid string) (store.User, error) {
	return store.User{UID: uid, Email: uid + "@example.org", EmailVerified: true}, nil
}

// verified are accounts whose addresses are verified.
type verified struct {
	accounts.Accounts // the other calls panic
}

func (verified) GetAll(_ context.Context, uids []string) (map[string]accounts.Account, error) {
	found := map[string]accounts.Account{}
	for _, uid := range uids {
		found[uid] = accounts.Account{UID: uid, Email: uid + "@example.org", EmailVerified: true}
	}
	return found, nil
}

func withSlowCopies(takes time.Duration) (*users.Service, *slowCopies) {
	s := &slowCopies{takes: takes}
	return users.New(users.Deps{Store: s, Accounts: verified{},
		Realtime: &gates{last: map[string]internalapi.Gate{}}, Log: quiet}), s
}

// A list of users has the current addresses after 2 s, even if their copies cannot be updated by then.
func TestListsDoNotWaitForCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, copies := withSlowCopies(time.Minute)
		list := []store.User{{UID: "ada"}, {UID: "bob"}, {UID: "cy"}}
		began := time.Now()
		if err := s.RefreshAddresses(t.Context(), list); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that the time is over", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
		for _, u := range list {
			if u.Email != u.UID+"@example.org" || !u.EmailVerified {
				t.Errorf("%s has the address %q, verified: %t", u.UID, u.Email, u.EmailVerified)
			}
		}
		time.Sleep(time.Minute) // the transactions of the copies end
		if n := copies.calls.Load(); n == 0 {
			t.Error("no copy was updated")
		}
	})
}

// The calls with which a client begins update the copy of the address in one transaction. It ends although the caller
// who began it has left.
func TestOneCopyForCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, copies := withSlowCopies(time.Second)
		u := store.User{UID: "ada", Email: "ada@example.org"}
		address := store.AddressOf(u.Email, true, chat.MicrosOf(time.Now()))
		leaves, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.FollowToken(leaves, u, address, time.Now()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the caller who leaves: %v", err)
			}
		})
		synctest.Wait()
		for range 3 {
			wg.Go(func() {
				if now, err := s.FollowToken(t.Context(), u, address, time.Now()); err != nil || !now.EmailVerified {
					t.Errorf("verified: %t, %v", now.EmailVerified, err)
				}
			})
		}
		wg.Wait()
		if n := copies.calls.Load(); n != 1 {
			t.Errorf("%d transactions, want 1", n)
		}
	})
}

// A token has the time of its second. If the address was confirmed in the second in which the user signed up, the token
// shows it all the same. A token of an earlier second is older than the copy.
func TestConfirmedInTheSecondOfTheSignUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := withSlowCopies(0)
		second := time.Now().Truncate(time.Second)
		u := store.User{UID: "ada", Email: "ada@example.org", EmailAt: chat.MicrosOf(second.Add(700 * time.Millisecond))}
		for issued, want := range map[time.Time]bool{second: true, second.Add(-time.Second): false} {
			address := store.AddressOf(u.Email, true, chat.MicrosOf(issued))
			now, err := s.FollowToken(t.Context(), u, address, issued)
			if err != nil || now.EmailVerified != want {
				t.Errorf("token of %v: verified %t, %v, want %t", issued.Sub(second), now.EmailVerified, err, want)
			}
		}
		other := store.AddressOf("new@example.org", true, chat.MicrosOf(second))
		if now, err := s.FollowToken(t.Context(), u, other, second); err != nil || now.Email != u.Email {
			t.Errorf("a token that may be older than the copy changes the address to %q, %v", now.Email, err)
		}
	})
}
