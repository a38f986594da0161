package settle

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// readMark is a read mark on its way: it is queued, then published, then appended as a read event to the inboxes of
// both users, or only to that of the reader. It stays in inboxState.readMarks until the last step has succeeded. A
// failed step therefore needs no undoing: the next flush continues there. A newer mark of the same conversation raises
// at, and is published again.
type readMark struct {
	members   [2]string   // of the conversation
	reader    int         // index in members
	at        chat.Micros // newest mark
	shared    chat.Micros // newest mark that the other member may see
	after     inbox.ID    // acks up to here come first
	published chat.Micros // newest mark that Pub/Sub has confirmed

	// Newest read events that were appended to the inboxes of the members, and those of which this is not confirmed.
	appended, tried [2]chat.Micros
}

// wanted returns the newest mark that a member may see.
func (m *readMark) wanted(member int) chat.Micros {
	if member == m.reader {
		return m.at
	}
	return m.shared
}

// queueReadMark queues r behind the acks so far. It returns false if too many marks wait. s.mu is held.
func (st *inboxState) queueReadMark(r delivery.Read, members [2]string, private bool) bool {
	m := st.readMarks[r.Conversation]
	if m == nil {
		if st.s.readMarks >= st.s.opts.maxReadMarks {
			return false
		}
		st.s.readMarks++
		m = &readMark{members: members}
		if members[1] == st.uid {
			m.reader = 1
		}
		st.readMarks[r.Conversation] = m
	}
	m.at = max(m.at, r.At)
	if !private {
		m.shared = max(m.shared, r.At)
	}
	m.after = maxID(m.after, st.acked)
	return true
}

// addReadMarks adds the read marks of it to the Pub/Sub messages of a flush. A mark whose acks are settled can go into
// any of them. A mark whose acks this flush settles shares the Pub/Sub message of their messages, so that Pub/Sub
// confirms all of them or none; that also saves writes of the conversation's document. Every other mark waits for a
// later flush.
func (s *Settler) addReadMarks(pubs *pubMessages, it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conversation := range slices.Sorted(maps.Keys(it.state.readMarks)) {
		m := it.state.readMarks[conversation]
		if m.published == m.at {
			continue
		}
		entry := encode(delivery.Read{Conversation: conversation, By: it.state.uid, At: m.at})
		if m.after.After(it.began) && !it.stale {
			switch {
			case it.err != nil || m.after.After(it.to):
				continue // this flush does not settle the acks
			case it.firstPub() != nil && it.firstPub() != pubs.withRoom(len(entry)):
				continue // the mark does not fit, or the messages do not share one Pub/Sub message
			}
		}
		pub := pubs.add(len(entry))
		pub.Read = append(pub.Read, entry)
		pub.marks = append(pub.marks, publishedMark{m, m.at})
	}
}

// confirmReadMarks records which read marks Pub/Sub has confirmed.
func (s *Settler) confirmReadMarks(pubs *pubMessages) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pub := range pubs.list {
		if pub.err != nil {
			continue
		}
		for _, m := range pub.marks {
			m.mark.published = m.at
		}
	}
}

// appendReadMarks appends the published read marks whose acks are settled to the inboxes of those who may see them. If
// one of two appends fails, a later flush repeats that one.
func (s *Settler) appendReadMarks(ctx context.Context, items []*item) {
	type target struct {
		it           *item
		m            *readMark
		member       int
		conversation string
		at           chat.Micros
	}
	var targets []target // of the entries
	var entries []inbox.Entry
	s.mu.Lock()
	for _, it := range items {
		for _, conversation := range slices.Sorted(maps.Keys(it.state.readMarks)) {
			m := it.state.readMarks[conversation]
			if m.published != m.at || (m.after.After(it.state.settled) && !it.state.stale) {
				continue
			}
			for i, uid := range m.members {
				at := m.wanted(i)
				if m.appended[i] == at {
					continue
				}
				targets = append(targets, target{it, m, i, conversation, at})
				entries = append(entries, inbox.Entry{UID: uid, Type: wire.EventRead, Event: wire.ReadEvent{
					Type: wire.EventRead, Conversation: conversation, By: it.state.uid, At: at},
					Again: m.tried[i] == at})
			}
		}
	}
	s.mu.Unlock()
	if len(entries) == 0 {
		return
	}
	errs := s.inboxes.Append(ctx, entries)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range targets {
		if errs[i] != nil {
			a.it.err = fmt.Errorf("settle: append read event: %w", errs[i])
			a.m.tried[a.member] = a.at
			continue
		}
		a.m.appended[a.member] = a.at
		// Otherwise the other append is missing, or a newer mark came meanwhile.
		done := a.m.appended[0] == a.m.wanted(0) && a.m.appended[1] == a.m.wanted(1)
		if done && a.it.state.readMarks[a.conversation] == a.m {
			s.counters.Reads.Add(1)
			delete(a.it.state.readMarks, a.conversation)
			s.readMarks--
		}
	}
}
