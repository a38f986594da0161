package storefirestore

import (
	"context"
	"errors"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// reactionDoc is an element of the field reactions of a message.
type reactionDoc struct {
	At    chat.Micros `firestore:"at"`
	ID    string      `firestore:"id"`
	Emoji string      `firestore:"emoji"` // "": withdrawn
}

// changes returns the sum of the changes of a message.
func (m messageDoc) changes() (sum chat.Changes) {
	if m.DeletedAt != 0 {
		sum.Deleted = &chat.Place{At: m.DeletedAt, ID: m.DeletedID}
	}
	if m.EditedAt != 0 {
		sum.Edited = &chat.Edited{Place: chat.Place{At: m.EditedAt, ID: m.EditedID}, Body: m.Body}
	}
	for uid, r := range m.Reactions {
		if sum.Reactions == nil {
			sum.Reactions = map[string]chat.Reaction{}
		}
		sum.Reactions[uid] = chat.Reaction{Place: chat.Place{At: r.At, ID: r.ID}, Emoji: r.Emoji}
	}
	return sum
}

// setChanges sets the fields that changes returns, and the body.
func (m *messageDoc) setChanges(sum chat.Changes) {
	m.Body = sum.Body(m.Body)
	m.EditedAt, m.EditedID, m.DeletedAt, m.DeletedID, m.Reactions = 0, "", 0, "", nil
	if sum.Deleted != nil {
		m.DeletedAt, m.DeletedID = sum.Deleted.At, sum.Deleted.ID
	}
	if sum.Edited != nil {
		m.EditedAt, m.EditedID = sum.Edited.At, sum.Edited.ID
	}
	for uid, r := range sum.Reactions {
		if m.Reactions == nil {
			m.Reactions = map[string]reactionDoc{}
		}
		m.Reactions[uid] = reactionDoc{r.At, r.ID, r.Emoji}
	}
}

// message returns the document of the message with a key.
func (s *Store) message(conversation, key string) *firestore.DocumentRef {
	return s.conversation(conversation).Collection(colMessages).Doc(key)
}

// SaveChanges implements store.Changes: one transaction per message. Those of a conversation follow each other, because
// several would wait for its document.
func (s *Store) SaveChanges(ctx context.Context, list []store.MessageChanges, now chat.Micros) error {
	byConversation := map[string][]store.MessageChanges{}
	for _, c := range list {
		byConversation[c.Conversation] = append(byConversation[c.Conversation], c)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listAtOnce)
	for _, part := range byConversation {
		g.Go(func() error {
			for _, c := range part {
				if err := s.saveChanges(ctx, c, now); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (s *Store) saveChanges(ctx context.Context, c store.MessageChanges, now chat.Micros) error {
	a, b, err := chat.Members(c.Conversation)
	if err != nil {
		return err
	}
	ref := s.message(c.Conversation, c.Key)
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		var m messageDoc
		exists, err := getIn(tx, ref, &m)
		if err != nil {
			return err
		}
		had := m.changes()
		sum := had.Merge(c.Sum)
		if sum.Equal(had) {
			return nil
		}
		// Only a change of a saved message's text concerns the conversation.
		text := m.At != 0 && !sum.SameText(had)
		var conversation conversationDoc
		if text {
			if _, err := getIn(tx, s.conversation(c.Conversation), &conversation); err != nil {
				return err
			}
		}
		m.setChanges(sum)
		m.ChangedAt, m.ChangedFor = max(now, m.ChangedAt), []string{a, b}
		if !exists {
			_, m.From, _ = chat.ParseKey(c.Key)
			m.ExpiresAt = now.Time().Add(store.KeepStub)
		}
		if err := tx.Set(ref, m); err != nil || !text {
			return err
		}
		fields := map[string]any{"members": []string{a, b}, "altered_at": max(conversation.AlteredAt, m.At)}
		if p := conversation.Preview; chat.KeyOf(p.ID, p.From) == c.Key {
			fields["preview"] = previewOf(m.message(c.Conversation, c.Key))
		}
		return tx.Set(s.conversation(c.Conversation), fields, firestore.MergeAll)
	})
}

// previewOf returns the field preview of a conversation whose newest message is m, for a write that merges.
func previewOf(m delivery.Delivered) map[string]any {
	p := store.PreviewOf(m.Message)
	return map[string]any{"id": p.ID, "from": p.From, "text": p.Text, "at": p.At}
}

// fill saves a message whose changes were saved before it, and returns what is stored then.
func (s *Store) fill(ctx context.Context, d delivery.Delivered) (stored delivery.Delivered, err error) {
	ref := s.message(d.Conversation, d.Key())
	err = s.transact(ctx, func(tx *firestore.Transaction) error {
		var m messageDoc
		if _, err := getIn(tx, ref, &m); err != nil {
			return err
		}
		if m.At == 0 { // otherwise another call has saved it
			sum := m.changes()
			m.From, m.To, m.Body, m.ReplyTo, m.Day = d.From, d.To, d.Body, d.ReplyTo, dayOf(d)
			m.At, m.AcceptedAt, m.DeliveredAt = d.At, d.AcceptedAt, d.DeliveredAt
			m.setChanges(sum)
			if !sum.Empty() {
				// Devices that have seen the list of changes learn that the message has some.
				m.ChangedAt = max(chat.MicrosOf(time.Now()), m.ChangedAt)
			}
			m.ExpiresAt = time.Time{}
			if err := tx.Set(ref, m); err != nil {
				return err
			}
		}
		stored = m.message(d.Conversation, d.Key())
		return nil
	})
	return stored, err
}

// renewPreview writes the preview of a conversation anew, because a message was altered while it was saved.
func (s *Store) renewPreview(ctx context.Context, id string) error {
	ref := s.conversation(id)
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		if ok, err := getIn(tx, ref, new(conversationDoc)); err != nil || !ok {
			return err
		}
		// A change of the newest message meanwhile writes the conversation, too: before this transaction, or so that it
		// runs again.
		snaps, err := s.query(newestMessages, ref).Limit(1).Documents(ctx).GetAll()
		if err != nil || len(snaps) == 0 {
			return err
		}
		newest, err := messageOf(id, snaps[0])
		if err != nil {
			return err
		}
		return tx.Set(ref, map[string]any{"preview": previewOf(newest)}, firestore.MergeAll)
	})
}

// Changed implements store.Changes.
func (s *Store) Changed(ctx context.Context, uid string, since chat.Micros, cursor string,
	limit int) ([]delivery.Delivered, string, error) {
	list := "changes:" + uid
	mark, err := store.ParseMark(cursor, list)
	if err != nil {
		return nil, "", err
	}
	limit = store.PageSize(limit)
	q := s.query(changedFor, nil, uid, int64(since))
	if mark != nil {
		conversation, key, ok := store.ParseChangedID(mark.ID)
		if !ok {
			return nil, "", store.ErrCursor.WithCause(errors.New("not the id of a message"))
		}
		q = q.StartAfter(mark.Num, s.message(conversation, key))
	}
	var page []delivery.Delivered
	last, n, next := store.Mark{List: list}, 0, ""
	err = each(ctx, q.Limit(limit+1), func(snap *firestore.DocumentSnapshot) (bool, error) {
		if n == limit {
			next = last.Cursor()
			return false, nil
		}
		n++
		var m messageDoc
		if _, err := decoded(snap, nil, &m); err != nil {
			return false, err
		}
		conversation := snap.Ref.Parent.Parent.ID
		last.Num, last.ID = int64(m.ChangedAt), store.ChangedID(conversation, snap.Ref.ID)
		if m.At != 0 { // not a stub
			page = append(page, m.message(conversation, snap.Ref.ID))
		}
		return true, nil
	})
	return page, next, err
}

// CountChanged implements store.Changes.
func (s *Store) CountChanged(ctx context.Context, uid string, since chat.Micros) (int, error) {
	n, err := count(ctx, s.query(changedFor, nil, uid, int64(since)).Limit(store.MaxChanged))
	return int(n), err
}

// eraseChanges deletes the reactions of uid, and the changes of their messages that were not saved.
func (s *Store) eraseChanges(ctx context.Context, uid string) error {
	return each(ctx, s.query(changedFor, nil, uid, int64(0)), func(snap *firestore.DocumentSnapshot) (bool, error) {
		var found messageDoc
		if _, err := decoded(snap, nil, &found); err != nil {
			return false, err
		}
		if _, reacted := found.Reactions[uid]; !reacted && (found.At != 0 || found.From != uid) {
			return true, nil
		}
		return true, s.transact(ctx, func(tx *firestore.Transaction) error {
			var m messageDoc
			if ok, err := getIn(tx, snap.Ref, &m); err != nil || !ok {
				return err
			}
			sum, reacted := store.WithoutReaction(m.changes(), uid)
			switch {
			case m.At == 0 && (m.From == uid || sum.Empty()):
				return tx.Delete(snap.Ref)
			case !reacted:
				return nil
			}
			m.setChanges(sum)
			return tx.Set(snap.Ref, m)
		})
	})
}
