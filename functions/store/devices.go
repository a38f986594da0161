package store

import (
	"slices"
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// Limits of the devices that the record of a user lists.
const (
	MaxDevices       = 20                  // those that were used last
	MaxDeviceSignIns = 5                   // of one device: where the password was entered again
	KeepDevice       = 90 * 24 * time.Hour // since the last use
	DeviceEvery      = time.Hour           // how often the use of a device is recorded
)

// Device is where a user is signed in: a sign-in, and those that replaced it when the password was entered again there.
type Device struct {
	First   chat.Micros      `json:"first"`    // the time of its first sign-in, which identifies the device
	Last    chat.Micros      `json:"last"`     // last use, to the hour
	SignIns []chat.Micros    `json:"sign_ins"` // sorted, never empty
	Client  useragent.Client `json:"client"`   // what the device claims to be
}

// ID returns the name of the device in the API.
func (d Device) ID() string { return strconv.FormatInt(int64(d.First/second), 10) }

// Has reports whether a sign-in is one of this device.
func (d Device) Has(signIn chat.Micros) bool { return slices.Contains(d.SignIns, signIn) }

// Seen is a use of a sign-in.
type Seen struct {
	SignIn   chat.Micros
	Replaces chat.Micros // the sign-in of the same device that it replaces; 0: none
	At       chat.Micros
	Called   bool // in a call of the API, which has asked the sign-in system about the account
	Factor   bool // the account has a second factor; only if Called, at the first use of the sign-in
	Client   useragent.Client
}

var errNoDevice = problem.New(problem.NotFound, "device_unknown", "This device is not signed in anymore.")

// deviceOf returns the index of the device of a sign-in, or -1.
func deviceOf(list []Device, signIn chat.Micros) int {
	return slices.IndexFunc(list, func(d Device) bool { return d.Has(signIn) })
}

// DeviceOf returns the listed device of a sign-in.
func (u User) DeviceOf(signIn chat.Micros) (Device, bool) {
	if i := deviceOf(u.Devices, signIn); i >= 0 {
		return u.Devices[i], true
	}
	return Device{}, false
}

// ListedDevices returns the devices, the newest first, without those that were not used for KeepDevice.
func (u User) ListedDevices(now chat.Micros) []Device {
	list := kept(u.Devices, now)
	slices.SortFunc(list, func(a, b Device) int { return int(b.First/second - a.First/second) })
	return list
}

// kept returns a copy of list without the devices that were not used for KeepDevice. Their sign-ins do not end.
func kept(list []Device, now chat.Micros) []Device {
	return slices.DeleteFunc(slices.Clone(list), func(d Device) bool { return d.Last < now-micros(KeepDevice) })
}

func micros(d time.Duration) chat.Micros { return chat.Micros(d.Microseconds()) }

// IsDue reports whether a use of a sign-in should be recorded. It is at most once in DeviceEvery for each device. A
// list that is full of devices that were used within DeviceEvery has no room for another one. So the uses of a user are
// recorded at most 2 × MaxDevices times in DeviceEvery, and once for each new sign-in.
func (u User) IsDue(s Seen) bool {
	if u.HasEnded(s.SignIn) {
		return false
	}
	if s.Called && u.IsNewSignIn(s.SignIn) || u.replaces(s) {
		return true
	}
	if d, listed := u.DeviceOf(s.SignIn); listed {
		return d.Last+micros(DeviceEvery) <= s.At
	}
	return len(kept(u.Devices, s.At)) < MaxDevices || u.Devices[u.idle()].Last+micros(DeviceEvery) <= s.At
}

// replaces reports whether s replaces a sign-in of a listed device that it does not belong to yet.
func (u User) replaces(s Seen) bool {
	d, listed := u.DeviceOf(s.Replaces)
	return listed && !d.Has(s.SignIn) && !u.HasEnded(s.Replaces)
}

// idle returns the index of the device that was unused for the longest time. There is one.
func (u User) idle() int {
	oldest := 0
	for i, d := range u.Devices {
		if d.Last < u.Devices[oldest].Last {
			oldest = i
		}
	}
	return oldest
}

// RecordSignIn lists a sign-in that has not ended, and the use of its device.
func (u *User) RecordSignIn(s Seen) {
	if !u.IsDue(s) {
		return
	}
	if s.Called && u.IsNewSignIn(s.SignIn) {
		u.SignIns = with(u.SignIns, s.SignIn)
		u.SignIns = u.SignIns[max(0, len(u.SignIns)-MaxSignIns):]
		u.SecondFactor = s.Factor
	}
	u.LastActiveAt = max(u.LastActiveAt, s.At)
	u.Devices = kept(u.Devices, s.At)
	d, listed := u.takeDevice(s.SignIn)
	if before, found := u.DeviceOf(s.Replaces); found && !u.HasEnded(s.Replaces) {
		u.takeDevice(s.Replaces)
		for _, signIn := range before.SignIns {
			d.SignIns = with(d.SignIns, signIn)
		}
		d.First = before.First
	} else if !listed && len(u.Devices) >= MaxDevices {
		i := u.idle()
		if u.Devices[i].Last+micros(DeviceEvery) > s.At {
			return
		}
		u.Devices = slices.Delete(u.Devices, i, i+1)
	}
	d.SignIns = with(d.SignIns, s.SignIn)
	d.Last, d.Client = max(d.Last, s.At), s.Client
	if d.First == 0 || d.First > d.SignIns[0] {
		d.First = d.SignIns[0]
	}
	dropped := d.SignIns[:max(0, len(d.SignIns)-MaxDeviceSignIns)]
	d.SignIns = d.SignIns[len(dropped):]
	u.Devices = append(u.Devices, d)
	for _, signIn := range dropped { // nobody could sign them out anymore
		u.EndSession(signIn)
	}
}

// AddedDevice reports whether RecordSignIn has listed another device. before is the user before the call.
func (u User) AddedDevice(before User, s Seen) bool {
	_, listed := u.DeviceOf(s.SignIn)
	_, was := before.DeviceOf(s.SignIn)
	_, joined := before.DeviceOf(s.Replaces)
	return listed && !was && !joined
}

// takeDevice removes the device of a sign-in from the list, and returns it.
func (u *User) takeDevice(signIn chat.Micros) (Device, bool) {
	i := deviceOf(u.Devices, signIn)
	if i < 0 {
		return Device{}, false
	}
	d := u.Devices[i]
	u.Devices = slices.Delete(slices.Clone(u.Devices), i, i+1)
	return d, true
}

// SignOutDevice ends all sign-ins of a device. Its client learns that it was signed out, and deletes its data. The
// error is a problem of kind NotFound.
func (u *User) SignOutDevice(id string) error {
	i := slices.IndexFunc(u.Devices, func(d Device) bool { return d.ID() == id })
	if i < 0 {
		return errNoDevice
	}
	u.signOut(u.Devices[i])
	return nil
}

// signOut ends the sign-ins of a device, and lists them as signed out.
func (u *User) signOut(d Device) {
	for _, signIn := range d.SignIns {
		u.SignedOut = with(u.SignedOut, signIn)
		u.EndSession(signIn)
	}
	u.SignedOut = u.SignedOut[max(0, len(u.SignedOut)-MaxEnded):]
}

// WasSignedOut reports whether the device of an ended sign-in was signed out on purpose, so that it should delete its
// data. Other sign-ins end because the password has changed, because others replaced them, or because there were too
// many.
func (u User) WasSignedOut(signIn chat.Micros) bool {
	return slices.Contains(u.SignedOut, signIn) && u.HasEnded(signIn)
}

// withoutEnded returns list without the sign-ins that have ended, and without devices that have no others.
func (u User) withoutEnded(list []Device) []Device {
	var out []Device
	for _, d := range list {
		if d.SignIns = without(d.SignIns, u.HasEnded); d.SignIns != nil {
			out = append(out, d)
		}
	}
	return out
}
