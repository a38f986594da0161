package client

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Paging of history.
const (
	pageSize = 50
	maxPages = 40 // per conversation and load, unless the load is to reach the beginning

	maxLookups = 100 // messages that are looked up after each load of a gap
)

// loadJob is one load of history. Each conversation is read from its newest page back.
type loadJob struct {
	list  bool                   // read the conversation list, and the newest pages of each conversation
	open  bool                   // the user has opened the one conversation of since
	since map[string]chat.Micros // by conversation: read back to this at, and at least one page
	from  map[string]chat.Micros // by conversation: begin after this at instead of at the end
	whole bool                   // read back to the beginning
	keys  []rowKey               // instead of all that: read these messages

	changes      bool // read what was changed
	changedSince chat.Micros
}

// loadResult is the result of a loadJob. It is empty if err is set.
type loadResult struct {
	conversations []Conversation
	messages      []delivery.Delivered
	changed       []delivery.Delivered
	reload        bool // too much was changed
	err           error
}

// openRequest is a conversation that the user has opened.
type openRequest struct {
	conversation string
	whole        bool // and scrolled to its beginning
	done         func()
}

// openConversation loads the newest page of a conversation, or all of it, and calls done when it is stored.
func (m *machine) openConversation(now time.Time, conv string, whole bool, done func()) {
	m.openRequests = append(m.openRequests, openRequest{conv, whole, done})
	m.startLoad(now)
}

// startLoad starts the load that is due, if any. One load runs at a time.
func (m *machine) startLoad(now time.Time) {
	if m.loading || !m.online {
		return
	}
	if job, due := m.dueJob(now); due {
		m.loading = true
		m.fx.load(job)
	}
}

func (m *machine) dueJob(now time.Time) (loadJob, bool) {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	d := &m.store.d
	switch {
	case now.Before(m.loadAt): // the last load failed
		return loadJob{}, false
	case d.gap:
		return d.withChanges(loadJob{list: true, since: d.gapSince}), true
	case len(m.openRequests) > 0:
		o := m.openRequests[0]
		job := loadJob{open: true, since: map[string]chat.Micros{o.conversation: maxMicros}, whole: o.whole}
		if c := d.conversations[o.conversation]; c != nil && c.stale && len(c.shown) > 0 {
			job.since[o.conversation] = c.shown[0].At
		}
		return job, true
	case len(d.reloads) > 0 && !now.Before(d.reloads[0]):
		return d.withChanges(loadJob{list: true}), true
	case len(d.changedDue) > 0 && !now.Before(d.changedDue[0]):
		return d.withChanges(loadJob{}), true
	case len(d.lookups) > 0:
		return loadJob{keys: d.lookups}, true
	}
	job := loadJob{since: map[string]chat.Micros{}, from: map[string]chat.Micros{}}
	for _, pending := range d.backfills {
		if now.Before(pending.due) {
			continue
		}
		if at, ok := job.since[pending.conversation]; !ok || pending.at < at {
			job.since[pending.conversation] = pending.at
		}
		job.from[pending.conversation] = max(job.from[pending.conversation], pending.at)
	}
	return job, len(job.since) > 0
}

// maxMicros is later than every at.
const maxMicros = chat.Micros(1<<63 - 1)

// fetch runs a job: first the conversation list, then each conversation from its newest page back.
func fetch(ctx context.Context, h History, job loadJob, note func(Note)) (r loadResult) {
	for _, row := range job.keys {
		note(Note{NoteKind: NoteLoad, Conversation: row.conversation})
		msg, saved, err := h.Message(ctx, row.conversation, row.key)
		if err != nil {
			return loadResult{err: err}
		}
		if saved {
			r.messages = append(r.messages, msg)
		}
	}
	if job.changes {
		note(Note{NoteKind: NoteLoad})
		var err error
		if r.changed, r.reload, err = h.Changed(ctx, job.changedSince); err != nil {
			return loadResult{err: err}
		}
	}
	since := job.since
	if job.list {
		note(Note{NoteKind: NoteLoad})
		list, err := h.Conversations(ctx)
		if err != nil {
			return loadResult{err: err}
		}
		since = map[string]chat.Micros{}
		for _, conv := range list {
			at, known := job.since[conv.ID]
			if !known {
				at = maxMicros
			}
			since[conv.ID] = at
		}
		r.conversations = list
	}
	for _, conv := range slices.Sorted(maps.Keys(since)) {
		at, before := since[conv], ""
		if from, ok := job.from[conv]; ok {
			before = strconv.FormatInt(int64(from)+1, 10)
		}
		for pages := 0; job.whole || pages < maxPages; pages++ {
			note(Note{NoteKind: NoteLoad, Conversation: conv})
			page, err := h.Messages(ctx, conv, before, pageSize)
			if err != nil {
				return loadResult{err: err}
			}
			r.messages = append(r.messages, page.Messages...)
			before = page.Before
			if before == "" || (!job.whole && (len(page.Messages) == 0 || page.Messages[0].At <= at)) {
				break
			}
		}
	}
	return r
}

// loaded stores the result of a job and removes the backfills that it completed.
func (m *machine) loaded(now time.Time, job loadJob, r loadResult) {
	m.loading = false
	if r.err != nil {
		m.loadAt = now.Add(m.backoff(m.loadTries))
		m.loadTries++
		return
	}
	m.loadTries, m.loadAt = 0, time.Time{}
	var done []rowKey
	m.store.commit(func(d *durable) {
		for _, msg := range r.messages {
			m.keepSaved(d, msg.Message, msg.Changes, FromHistory)
			done = append(done, rowOf(msg.Message))
		}
		if job.changes {
			m.changesLoaded(d, now, job, r)
		}
		for _, c := range r.conversations {
			for _, uid := range slices.Sorted(maps.Keys(c.Read)) {
				m.applyReadMark(d, time.Time{}, c.ID, uid, c.Read[uid])
			}
		}
		switch {
		case job.list && d.gap && sameSince(job.since, d.gapSince):
			d.gap, d.gapSince, d.reloads = false, nil, nil
			for _, after := range m.pace.Reload {
				d.reloads = append(d.reloads, now.Add(after))
			}
			d.lookups = d.unconfirmed()
		case job.list:
			d.reloads = slices.DeleteFunc(d.reloads, func(t time.Time) bool { return !now.Before(t) })
			d.lookups = d.unconfirmed()
		case len(job.keys) > 0:
			d.lookups = nil
		case job.open && len(m.openRequests) > 0:
			d.conv(m.openRequests[0].conversation).stale = false
			if done := m.openRequests[0].done; done != nil {
				done()
			}
			m.openRequests = m.openRequests[1:]
		}
		for _, key := range slices.Sorted(maps.Keys(d.backfills)) { // backoff draws jitter
			pending := d.backfills[key]
			if _, asked := job.since[pending.conversation]; !asked || now.Before(pending.due) {
				continue
			}
			if now.Sub(pending.since) > m.pace.BackfillFor {
				delete(d.backfills, key)
				delete(d.early, rowKey{pending.conversation, pending.key}) // its message will not come
				continue
			}
			pending.due = now.Add(m.backoff(pending.tries))
			pending.tries++
		}
	})
	for _, row := range done {
		m.dequeue(row)
	}
	m.tick(now)
}

// sameSince reports whether a equals b. A gap that was recorded anew during the load has another map.
func sameSince(a, b map[string]chat.Micros) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// backoff returns the delay after a number of failures. Half of it is random.
func (m *machine) backoff(tries int) time.Duration {
	d := m.pace.BackfillFirst << min(tries, 16)
	if d > m.pace.BackfillMax || d <= 0 {
		d = m.pace.BackfillMax
	}
	return d/2 + m.jitter(d/2+1)
}

// markSeen records that the user has seen what others wrote in a conversation up to at.
func (m *machine) markSeen(now time.Time, conv string, at chat.Micros) {
	m.store.commit(func(d *durable) {
		c := d.conversations[conv]
		if c == nil || at <= max(c.read[m.store.uid], c.unsent) {
			return
		}
		c.unsent = at
		m.note(Note{NoteKind: NoteRead, Conversation: conv, At: at})
		m.readAt = now
	})
	m.tick(now)
}

// sendReads sends the read marks that no read event has confirmed yet.
func (m *machine) sendReads(now time.Time) {
	s := m.up()
	if s == nil || m.readAt.IsZero() || now.Before(m.readAt) {
		return
	}
	m.readAt = time.Time{}
	var frames [][]byte
	m.store.commit(func(d *durable) {
		for _, id := range slices.Sorted(maps.Keys(d.conversations)) {
			if c := d.conversations[id]; c.unsent != 0 {
				frames = append(frames, encodeRead(id, c.unsent))
			}
		}
	})
	for _, f := range frames {
		m.fx.write(s.n, f)
		m.readAt = now.Add(m.pace.AnswerWithin)
	}
}
