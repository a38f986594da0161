package verdict

import (
	"slices"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// rank orders the states of an own message. See client.State.
var rank = map[string]int{"waiting": 0, "sent": 1, "refused": 2, "delivered": 3, "read": 4}

// Names of Device entries of devices that misbehave. Such a device is not held to live delivery, because a server sends
// a bounded number of messages that are not acknowledged.
const (
	AcksAhead = "acks ahead" // it acknowledges messages that it has not stored
	AcksNever = "acks never"
	AcksLate  = "acks late"
)

// addEntry processes one entry. Entries are processed in their order.
func (j *judge) addEntry(i int, e *record.Entry) {
	var d *device
	if e.Device != "" {
		if d = j.devices[e.Device]; d == nil {
			d = newDevice(e.Device)
			j.devices[e.Device] = d
		}
	}
	if !j.opening {
		j.ended = e.T
	}
	switch e.Kind {
	case record.Device:
		if d.user == "" {
			j.devicesOf[e.User] = append(j.devicesOf[e.User], d)
		}
		d.user, d.misbehavior = e.User, e.Name
	case record.Typed:
		j.addTyped(i, e, d)
	case record.Frozen:
		m := j.message(e)
		if m.frozen >= 0 && (m.at != int64(e.At) || m.sum != e.Sum) {
			j.addFinding(Altered, m, e.Device, "was frozen twice")
		}
		m.frozen, m.frozenAt, m.at, m.sum = i, e.T, int64(e.At), e.Sum
	case record.Shown:
		j.addShown(i, e, d)
	case record.Repeated:
		if m := j.message(e); m.of != nil {
			j.addChangeEvent(i, e, d, m)
		} else {
			m.eventsOn(d).add(e.T)
		}
	case record.Retyped, record.Dropped, record.Folded:
		j.addChanged(e, d)
	case record.Corrected:
		if m := j.message(e); m.typed >= 0 && e.Sum != m.sum && (e.Sum != 0 || !m.mayRead(e.Text)) {
			j.addFinding(Altered, m, e.Device, "corrected to other content than was sent first")
		}
	case record.Reused:
		m := j.message(e)
		m.reused = append(m.reused, e.Sum)
	case record.State:
		j.addState(i, e, d)
	case record.Acked:
		d.acked = i
		d.addAcked()
	case record.ReadTo:
		if int64(e.At) > d.readTo[e.Conversation].at {
			d.readTo[e.Conversation] = mark{int64(e.At), i}
		}
	case record.Saved:
		j.addSaved(i, e)
	case record.View:
		views := j.views
		if !j.opening {
			views = j.early
		}
		views[e.Conversation] = append(views[e.Conversation], newView(e, d))
	case record.List, record.Listed:
		j.lists = append(j.lists, list{device: d, user: e.User, early: !j.opening, items: e.List})
	case record.History:
		j.views[e.Conversation] = append(j.views[e.Conversation], newView(e, nil))
	case record.Restored:
		d.setBack = true
	case record.Left:
		d.left, d.leftAt = true, i
		d.interrupt(e.T)
	case record.Wiped:
		j.wiped, j.wipedAt = append(j.wiped, i), append(j.wipedAt, e.T)
		j.kept[i], j.keptAt = j.keptAt, 0
		began := e.T
		if n, open := j.open[e.Name]; open {
			began = j.faults[n].from
		}
		j.wipes = append(j.wipes, span{began, e.T})
	case record.Kept:
		j.keptAt = i
	case record.Unfinished:
		j.cutShort = true
	case record.Erased:
		j.erased[e.User] = e.T
	case record.Withdrawn:
		j.withdrawn[e.User] = append(j.withdrawn[e.User], e.T)
	case record.Blocked:
		pair := [2]string{e.User, e.Name}
		j.blocks[pair] = append(j.blocks[pair], span{e.T, never})
	case record.Unblocked:
		if blocks := j.blocks[[2]string{e.User, e.Name}]; len(blocks) > 0 {
			blocks[len(blocks)-1].to = e.T
		}
	case record.Checked:
		j.report.Checks = append(j.report.Checks, Check{e.Name, e.Detail, e.Broken})
		if e.Broken {
			j.addFinding(BadInput, nil, "", "%s: %s", e.Name, e.Detail)
		}
	case record.Fault:
		j.opening = j.opening || e.Name == Opening
		if e.Detail == record.Servers {
			j.open[e.Name] = len(j.faults)
			j.faults = append(j.faults, span{e.T, never})
		}
	case record.Healed:
		if n, open := j.open[e.Name]; open {
			j.faults[n].to = e.T
			delete(j.open, e.Name)
		}
	case record.Load:
		if !j.opening {
			j.report.Loads++
		}
	case record.NotResumed:
		j.report.NotResumed++
		d.notResumed = append(d.notResumed, e.T)
		if !d.broken {
			d.breaks = append(d.breaks, span{e.T, e.T})
		}
	default:
		d.connection(e, j.report)
	}
}

// connection processes an entry about the connection of a device.
func (d *device) connection(e *record.Entry, r *Report) {
	switch e.Kind {
	case record.Moved:
		r.Moved++
		d.connected = append(d.connected, e.T)
	case record.Down:
		d.up, d.downSince = false, e.T
		d.interrupt(e.T)
	case record.Deaf:
		d.deaf = true
		d.interrupt(e.T)
	case record.Hears:
		d.deaf = false
		d.resume(e.T)
	case record.Offline:
		d.up, d.away = false, true
		d.interrupt(e.T)
	case record.Online:
		d.away, d.downSince = false, e.T
	case record.Asleep:
		d.up, d.away = false, true
		d.interrupt(e.T)
		d.naps = append(d.naps, span{e.T, never})
	case record.Awake:
		d.away, d.downSince = false, e.T
		if n := len(d.naps); n > 0 {
			d.naps[n-1].to = e.T
		}
	case record.Up:
		if gap := e.T - d.downSince; d.everUp && !d.up && !d.away {
			r.Resumed++
			d.longest = max(d.longest, gap)
			if gap >= 5_000_000 {
				r.LongGaps++
			}
		}
		d.up, d.everUp = true, true
		d.connected = append(d.connected, e.T)
		d.resume(e.T)
	}
}

func (j *judge) addTyped(i int, e *record.Entry, d *device) {
	m := j.message(e)
	if m.typed >= 0 {
		j.addFinding(Doubled, m, e.Device, "typed with an id that was in use")
		return
	}
	m.typed, m.typedOn, m.typedBy, m.to, m.text = i, d, e.Device, e.User, e.Text
	j.order = append(j.order, m)
	if e.Of != "" {
		m.kind, m.of = e.Name, j.message(&record.Entry{ID: e.Of, Conversation: e.Conversation})
		m.of.changes = append(m.of.changes, m)
		j.report.Changes++
		return
	}
	j.texts[e.Text] = e.ID
	j.report.Typed++
}

func (j *judge) addShown(i int, e *record.Entry, d *device) {
	m := j.message(e)
	if m.of != nil || e.Of != "" {
		j.addChangeEvent(i, e, d, m)
		return
	}
	j.checkContent(m, e.Device, e.Sum, e.Text, int64(e.At))
	if e.Changed != "" {
		j.addChanged(e, d)
	}
	for _, s := range m.shown {
		if s.device == d {
			j.addFinding(Doubled, m, e.Device, "shown twice")
			return
		}
	}
	if e.Name == "history" {
		j.report.ByHistory++
		if j.opening {
			j.report.ByOpening++
		}
	}
	if d.user == m.to && m.frozen >= 0 {
		first := true
		for _, s := range m.shown {
			first = first && s.device.user != m.to
		}
		if first {
			j.transit = append(j.transit, e.T-m.frozenAt)
		}
	}
	m.shown = append(m.shown, sighting{d, i, e.T, e.Name == "history", j.opening})
	if e.Name == "event" {
		m.eventsOn(d).add(e.T)
	}
}

// checkContent compares what was shown or saved with what the sender fixed.
func (j *judge) checkContent(m *message, where string, sum, text record.Hash, at int64) {
	switch {
	case m.typed < 0:
	case m.frozen < 0:
		j.addFinding(Altered, m, where, "shown or saved before it was sent")
	case slices.Contains(m.reused, sum) && where != "the store":
	case sum == 0 && m.mayRead(text) && (at == m.at || len(m.reused) > 0):
	case sum != m.sum || text != m.text || at != m.at:
		j.addFinding(Altered, m, where, "its content or at is not what was sent")
	}
}

func (j *judge) addState(i int, e *record.Entry, d *device) {
	m := j.message(e)
	if rank[e.Name] < rank[d.states[m.key()]] {
		j.addFinding(Backwards, m, e.Device, "from %s to %s", d.states[m.key()], e.Name)
	}
	d.states[m.key()] = e.Name
	if rank[e.Name] >= 1 && e.Name != "refused" && m.accepted < 0 {
		m.accepted, m.acceptedAt = i, e.T
	}
	if e.Name == "refused" {
		m.refusal, m.refusedAt = e.Detail, e.T
	}
	m.refused = e.Name == "refused" || m.refused && rank[e.Name] <= rank["refused"]
	if rank[e.Name] < rank["delivered"] || m.typed < 0 {
		return
	}
	if !m.storedBy(m.to) && !j.mayBeVouched(m) {
		j.addFinding(EarlyReceipt, m, e.Device, "shown as %s before a device of its recipient had it", e.Name)
	}
	if e.Name == "read" && !j.wasRead(m) {
		j.addFinding(EarlyReceipt, m, e.Device, "shown as read before its recipient had seen it")
	}
}

// storedBy reports whether a device of a user has stored m so far.
func (m *message) storedBy(user string) bool {
	return slices.ContainsFunc(m.shown, func(s sighting) bool { return s.device.user == user })
}

// ackedBy reports whether a device of a user has stored m and then acknowledged it.
func (m *message) ackedBy(user string) bool {
	return slices.ContainsFunc(m.shown, func(s sighting) bool {
		return s.device.user == user && s.device.acked > s.index
	})
}

// mayBeVouched reports whether a device of the recipient may have acknowledged m without having it.
func (j *judge) mayBeVouched(m *message) bool {
	for _, d := range j.devicesOf[m.to] {
		if d.misbehavior == AcksAhead {
			return true
		}
	}
	return false
}

func (j *judge) wasRead(m *message) bool {
	for _, d := range j.devicesOf[m.to] {
		if d.readTo[m.conversation].at >= m.at {
			return true
		}
	}
	return false
}

func (j *judge) addSaved(i int, e *record.Entry) {
	m := j.message(e)
	if e.Of == "" {
		j.checkContent(m, "the store", e.Sum, e.Text, int64(e.At))
	}
	if m.saved >= 0 {
		j.addFinding(Doubled, m, "the store", "created twice")
		return
	}
	m.saved = i
	if e.Of == "" {
		j.report.Saved++
	}
	if id := j.texts[e.Text]; e.Of == "" && id != "" && id != e.ID {
		j.addFinding(Doubled, m, "the store", "saved with another id than %s", id)
	}
	switch {
	case m.typed < 0 || m.ackedBy(m.to):
	case j.mayBeVouched(m):
		j.report.Vouched++
	case m.storedBy(m.to):
		j.addFinding(EarlySaved, m, "the store", "stored by a device of its recipient, but not acknowledged yet")
	default:
		j.addFinding(EarlySaved, m, "the store", "no device of its recipient had it")
	}
}
