package store_test

import (
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

const hour = 3600 * second

// The list of devices has the ones that were used last, and a full list does not write more often than hourly for each
// of them, whoever uses how many sign-ins.
func TestListOfDevicesIsBounded(t *testing.T) {
	var u store.User
	const start = 1_000_000 * second
	writes := 0
	use := func(signIn int, at chat.Micros) {
		seen := store.Seen{SignIn: start + chat.Micros(signIn)*second, At: at}
		if u.IsDue(seen) {
			writes++
		}
		u.RecordSignIn(seen)
	}
	for round := range 3 {
		for n := range 3 * store.MaxDevices {
			use(n, start+hour+chat.Micros(round)*second)
		}
	}
	if len(u.Devices) != store.MaxDevices || writes != store.MaxDevices {
		t.Errorf("%d devices after %d writes, want %d of both", len(u.Devices), writes, store.MaxDevices)
	}
	// One that was not used for an hour makes room, and has not ended.
	use(100, start+2*hour+10*second)
	if _, listed := u.DeviceOf(start + 100*second); !listed || len(u.Devices) != store.MaxDevices || u.HasEnded(start) {
		t.Errorf("%d devices, listed %v", len(u.Devices), listed)
	}
}

// A device on which the password is entered again and again keeps its newest sign-ins. The others end, because nobody
// could sign them out anymore.
func TestSignInsOfOneDeviceAreBounded(t *testing.T) {
	var u store.User
	const start = 1_000_000 * second
	last := chat.Micros(0)
	for n := range 4 * store.MaxDeviceSignIns {
		at := start + chat.Micros(n)*second
		u.RecordSignIn(store.Seen{SignIn: at, Replaces: last, At: at})
		last = at
	}
	if len(u.Devices) != 1 || len(u.Devices[0].SignIns) != store.MaxDeviceSignIns || u.Devices[0].First != start {
		t.Fatalf("devices %+v", u.Devices)
	}
	if err := u.SignOutDevice(u.Devices[0].ID()); err != nil {
		t.Fatal(err)
	}
	for at := chat.Micros(start); at <= last; at += second {
		if !u.HasEnded(at) {
			t.Errorf("the sign-in at %v goes on", at.Time())
		}
	}
	if !u.WasSignedOut(last) || u.WasSignedOut(start) {
		t.Errorf("signed out: %v", u.SignedOut)
	}
}

// A device that was not used for 90 days is not listed. Pruning neither ends a sign-in nor revives one.
func TestPruningDevices(t *testing.T) {
	const start = 1_000_000 * second
	const kept = chat.Micros(90 * 24 * hour)
	var u store.User
	for n := range chat.Micros(3) {
		u.RecordSignIn(store.Seen{SignIn: start + n*second, At: start + n*second})
	}
	if err := u.SignOutDevice(u.Devices[2].ID()); err != nil {
		t.Fatal(err)
	}
	if n := len(u.ListedDevices(start + kept + second)); n != 1 {
		t.Errorf("%d devices after 90 days, want the one that was used last", n)
	}
	u.RecordSignIn(store.Seen{SignIn: start + kept, At: start + kept + 2*second})
	if n := len(u.Devices); n != 1 || u.HasEnded(start) || !u.WasSignedOut(start+2*second) {
		t.Errorf("%d devices, the first has ended: %v, the third was signed out: %v", n, u.HasEnded(start),
			u.WasSignedOut(start+2*second))
	}
	// The old one is listed again when it is used.
	u.RecordSignIn(store.Seen{SignIn: start, At: start + kept + 3*second})
	if _, listed := u.DeviceOf(start); !listed {
		t.Error("a device that is used again is not listed")
	}
	u.RecordSignIn(store.Seen{SignIn: start + 2*second, At: start + kept + 3*second})
	if _, listed := u.DeviceOf(start + 2*second); listed {
		t.Error("a device that was signed out is listed")
	}
}
