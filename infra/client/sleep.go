package client

import "time"

// A device sleeps while nobody looks at it: it has no socket, and a push or its own timer makes a visit (DESIGN §12).
// The caller decides when, as the browser's timers and service worker do.

// Sleep closes the socket if nothing is pending: every send has its answer, everything is acknowledged, read marks are
// confirmed, and no load of history is due. It returns false, and the device stays awake, if something is. It
// acknowledges what is stored first, so the next call may succeed.
func (c *Client) Sleep() (asleep bool) {
	c.input(func(now time.Time) { asleep = c.m.sleep(now) })
	return asleep
}

// Visit connects a device that sleeps with a background socket, which does not make its user present. Sleep ends it.
func (c *Client) Visit() {
	c.input(func(now time.Time) { c.m.visit(now) })
}

// Wake connects a device that sleeps, or makes a visit. It does nothing if the device is awake.
func (c *Client) Wake() {
	c.input(func(now time.Time) { c.m.wake(now) })
}

func (m *machine) sleep(now time.Time) bool {
	for _, s := range m.sockets {
		m.ack(now, s)
	}
	if !m.idle(now) {
		return false
	}
	m.goOffline()
	m.background = false
	return true
}

func (m *machine) visit(now time.Time) {
	if !m.online {
		m.background = true
		m.goOnline(now)
	}
}

func (m *machine) wake(now time.Time) {
	if m.background {
		m.goOffline()
		m.background = false
	}
	m.goOnline(now)
}

// idle reports whether one socket is open and nothing is pending. An acknowledgment that was written only just now may
// be lost if its socket is closed at once.
func (m *machine) idle(now time.Time) bool {
	s := m.up()
	if s == nil || len(m.sockets) != 1 || len(s.queue) > 0 || len(s.inflight) > 0 || m.loading ||
		len(m.openRequests) > 0 || !s.ackedAt.IsZero() && now.Sub(s.ackedAt) < m.pace.AckEvery {
		return false
	}
	if _, due := m.dueJob(now); due {
		return false
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.store.d.gap || len(m.store.d.lookups) > 0 {
		return false
	}
	for _, c := range m.store.d.conversations {
		if c.unsent > c.read[m.store.uid] {
			return false
		}
	}
	return true
}
