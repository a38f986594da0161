package store_test

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

const second = chat.Micros(1e6)

// Sign-ins that end one by one stay ended, in any number and order, and the lists stay short.
func TestEndedSignInsStayEnded(t *testing.T) {
	for _, step := range []int{1, -1, 7} {
		var u store.User
		var ended []chat.Micros
		for i := range 3 * store.MaxEnded {
			at := chat.Micros(1_000_000+i*step%1000) * second
			u.RecordSignIn(store.Seen{SignIn: at, At: at, Called: true})
			u.EndSession(at)
			ended = append(ended, at)
			for _, e := range ended {
				if !u.HasEnded(e) {
					t.Fatalf("step %d: after %d, the sign-in at %v is valid again", step, i, e.Time())
				}
			}
			if len(u.Ended) > store.MaxEnded || len(u.SignIns) > store.MaxSignIns {
				t.Fatalf("step %d: lists of %d and %d", step, len(u.Ended), len(u.SignIns))
			}
		}
	}
}

// A sign-in is new once, also when many others follow.
func TestIsNewSignIn(t *testing.T) {
	var u store.User
	for i := range 2 * store.MaxSignIns {
		at := chat.Micros(100+i) * second
		if !u.IsNewSignIn(at) {
			t.Errorf("sign-in %d is not new", i)
		}
		u.RecordSignIn(store.Seen{SignIn: at, At: at, Called: true})
		for j := range i + 1 {
			if u.IsNewSignIn(chat.Micros(100+j) * second) {
				t.Fatalf("after %d, sign-in %d is new again", i, j)
			}
		}
	}
	if len(u.SignIns) != store.MaxSignIns {
		t.Errorf("%d sign-ins are listed", len(u.SignIns))
	}
}

func TestSignInTime(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 5, 999_000_000, time.UTC)
	if got := store.SignInTime(at); got != chat.MicrosOf(at.Truncate(time.Second)) {
		t.Errorf("got %v", got.Time())
	}
}
