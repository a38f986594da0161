package persist

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// A sign-in that only opens sockets is listed, and is announced on the user's other devices. Repeating an event changes
// nothing, an event of an unknown user is ignored, and an invalid event becomes a dead letter.
func TestSignIns(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	now := chat.MicrosOf(t0)
	lease, err := f.store.Reserve(ctx, "ada@example.org", "ada", "ada", "a", now, time.Minute)
	if err == nil {
		err = f.store.Commit(ctx, lease, store.User{UID: "ada", Username: "ada", DisplayName: "Ada", CreatedAt: now})
	}
	if err != nil {
		t.Fatal(err)
	}
	phone := useragent.Client{Browser: "Safari", System: "iPhone"}
	use := func(uid string, signIn chat.Micros, c useragent.Client) delivery.Seen {
		return delivery.Seen{UID: uid, SignIn: signIn, At: now, Client: c}
	}
	const second = chat.Micros(1e6)
	batch := delivery.Batch{Seen: []delivery.Seen{
		use("ada", now-second, phone), use("nobody", now, phone), use("ada", now-2*second, useragent.Client{}),
		use("ada", now, useragent.Client{Browser: "<script>"}), use("ada", now+1e12, phone),
	}}
	for range 2 {
		if status := f.push("1", data(t, batch)); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	u, err := f.store.User(ctx, "ada")
	if err != nil {
		t.Fatal(err)
	}
	list := u.ListedDevices(now)
	if len(list) != 2 || list[0].First != now-second || list[0].Last != now || list[0].Client != phone ||
		len(u.SignIns) != 0 {
		t.Errorf("devices %+v, sign-ins that have called %v", list, u.SignIns)
	}
	if got := strings.Join(f.corrected.signedIn, " "); got != "ada" {
		t.Errorf("announced %q, want the second device once", got)
	}
	if dead := f.deadLetters(t); len(dead) != 2 {
		t.Errorf("dead letters %+v", dead)
	}
	f.store.err = problem.ErrUnavailable
	if status := f.push("2", data(t, delivery.Batch{Seen: batch.Seen[:1]})); status != http.StatusInternalServerError {
		t.Errorf("status %d while the store is down", status)
	}
}
