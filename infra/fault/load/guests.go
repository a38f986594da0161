package load

import (
	"iter"
	"slices"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// AddGuest adds a user with one device for the use of a fault. Devices and Users do not include guests. If a guest
// was ever started, it settles and is judged like all others.
func (c *Crowd) AddGuest(uid string) *Device {
	d := c.newDevice(uid, uid+".a")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guests = append(c.guests, d)
	return d
}

// allDevices returns the devices of the crowd and of the guests that were started.
func (c *Crowd) allDevices() []*Device {
	all := slices.Clone(c.devices)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.guests {
		if d.Dials() > 0 {
			all = append(all, d)
		}
	}
	return all
}

// partnersOf returns the uids of the users that the device's user writes with.
func (c *Crowd) partnersOf(d *Device) []string {
	if partners := c.partners[d.user]; partners != nil {
		return partners
	}
	store, _ := d.storeAndApp()
	var others []string
	for _, id := range store.Conversations() {
		if other, err := chat.Other(id, d.user); err == nil {
			others = append(others, other)
		}
	}
	return others
}

// lines yields all messages that the device shows.
func (d *Device) lines() iter.Seq[client.Line] {
	return func(yield func(client.Line) bool) {
		store, _ := d.storeAndApp()
		for _, id := range store.Conversations() {
			for _, l := range store.Conversation(id) {
				if !yield(l) {
					return
				}
			}
		}
	}
}

// Shown returns how many messages of others the device shows.
func (d *Device) Shown() (n int) {
	for l := range d.lines() {
		if l.From != d.user {
			n++
		}
	}
	return n
}

// Own counts the own messages that the device shows, by state.
func (d *Device) Own() map[client.State]int {
	n := map[client.State]int{}
	for l := range d.lines() {
		if l.From == d.user {
			n[l.State]++
		}
	}
	return n
}

// Refusals counts the own messages that were refused for good, by the code of the refusal.
func (d *Device) Refusals() map[string]int {
	n := map[string]int{}
	for l := range d.lines() {
		if l.State == client.Refused {
			n[l.Refusal]++
		}
	}
	return n
}

// Dials returns how often the device has tried to connect.
func (d *Device) Dials() int { return int(d.dials.Load()) }
