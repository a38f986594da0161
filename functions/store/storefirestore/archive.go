package storefirestore

import (
	"context"
	"slices"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// messageDoc is conversations/{id}/messages/{message id}.
type messageDoc struct {
	From        string      `firestore:"from"`
	To          string      `firestore:"to"`
	Body        string      `firestore:"body"`
	At          chat.Micros `firestore:"at"`
	AcceptedAt  chat.Micros `firestore:"accepted_at"`
	DeliveredAt chat.Micros `firestore:"delivered_at"`
	ReplyTo     string      `firestore:"reply_to"`
	// Day is the UTC day of AcceptedAt. Messages of a day are counted by it: an index of a
	// value that all of a day share spreads over the documents' names, where one
	// of the time itself would take at most 500 writes a second.
	Day string `firestore:"day"`
}

func (s *Store) createMessage(d delivery.Delivered) write {
	return s.create(colConversations+"/"+d.Conversation+"/"+colMessages+"/"+d.ID, map[string]*firestorepb.Value{
		"from": text(d.From), "to": text(d.To), "body": text(d.Body), "at": integer(d.At), "accepted_at": integer(d.AcceptedAt),
		"delivered_at": integer(d.DeliveredAt), "reply_to": text(d.ReplyTo), "day": text(d.AcceptedAt.Time().Format("2006-01-02")),
	})
}

func messageOf(conversation string, snap *firestore.DocumentSnapshot) (delivery.Delivered, error) {
	var m messageDoc
	if _, err := decoded(snap, nil, &m); err != nil {
		return delivery.Delivered{}, err
	}
	return delivery.Delivered{Message: chat.Message{ID: snap.Ref.ID, Conversation: conversation, From: m.From, To: m.To, Body: m.Body,
		At: m.At, AcceptedAt: m.AcceptedAt, ReplyTo: m.ReplyTo}, DeliveredAt: m.DeliveredAt}, nil
}

// previewDoc is the field preview of a conversation: of the newest message of some flush.
// It is written without reading, so an old flush that comes late overwrites that of
// a newer one. Then its At differs from last_at, and lists read the newest message instead.
type previewDoc struct {
	ID   string      `firestore:"id"`
	From string      `firestore:"from"`
	Text string      `firestore:"text"`
	At   chat.Micros `firestore:"at"`
}

// conversationDoc is conversations/{id}.
type conversationDoc struct {
	Members []string               `firestore:"members"`
	LastAt  chat.Micros            `firestore:"last_at,omitempty"`
	Preview previewDoc             `firestore:"preview,omitempty"`
	Read    map[string]chat.Micros `firestore:"read,omitempty"`
}

// touched is what a flush says of one conversation.
type touched struct {
	newest *delivery.Delivered
	read   map[string]chat.Micros
}

// Save implements store.Archive: first the messages, then their conversations.
func (s *Store) Save(ctx context.Context, delivered []delivery.Delivered, read []delivery.Read) error {
	saved, err := s.saveMessages(ctx, delivered)
	if err != nil {
		return err
	}
	conversations := map[string]*touched{}
	of := func(id string) *touched {
		if conversations[id] == nil {
			conversations[id] = &touched{read: map[string]chat.Micros{}}
		}
		return conversations[id]
	}
	for i, d := range saved {
		if c := of(d.Conversation); c.newest == nil || c.newest.Before(d.Message) {
			c.newest = &saved[i]
		}
	}
	for _, r := range read {
		c := of(r.Conversation)
		c.read[r.By] = max(c.read[r.By], r.At)
	}
	writes := make([]write, 0, len(conversations))
	for id, c := range conversations {
		w, err := s.mergeConversation(id, c)
		if err != nil {
			return err
		}
		writes = append(writes, w)
	}
	_, err = s.writeAll(ctx, writes)
	return err
}

// saveMessages creates messages, and returns them as they are kept: those that
// were there already (a repeat, or somebody's second use of an id) are read,
// so that a conversation never shows what its history does not hold.
func (s *Store) saveMessages(ctx context.Context, delivered []delivery.Delivered) ([]delivery.Delivered, error) {
	var writes []write
	var list []delivery.Delivered
	seen := map[[2]string]bool{} // no two writes of one call may be to one document
	for _, d := range delivered {
		if key := [2]string{d.Conversation, d.ID}; !seen[key] {
			seen[key] = true
			writes, list = append(writes, s.createMessage(d)), append(list, d)
		}
	}
	there, err := s.writeAll(ctx, writes)
	if err != nil || len(there) == 0 {
		return list, err
	}
	refs := make([]*firestore.DocumentRef, len(there))
	for n, i := range there {
		refs[n] = s.conversation(list[i].Conversation).Collection(colMessages).Doc(list[i].ID)
	}
	snaps, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, translate(err)
	}
	gone := map[int]bool{}
	for n, i := range there {
		if !snaps[n].Exists() { // erased in this moment
			gone[i] = true
			continue
		}
		if list[i], err = messageOf(list[i].Conversation, snaps[n]); err != nil {
			return nil, err
		}
	}
	var kept []delivery.Delivered
	for i, d := range list {
		if !gone[i] {
			kept = append(kept, d)
		}
	}
	return kept, nil
}

// mergeConversation writes what a flush says of one conversation, without reading it.
func (s *Store) mergeConversation(id string, c *touched) (write, error) {
	a, b, err := chat.Members(id)
	if err != nil {
		return write{}, err
	}
	set, raise := map[string]*firestorepb.Value{"members": list(text(a), text(b))}, map[string]chat.Micros{}
	if c.newest != nil {
		p := store.PreviewOf(c.newest.Message)
		set["preview"] = object(map[string]*firestorepb.Value{"id": text(p.ID), "from": text(p.From), "text": text(p.Text), "at": integer(p.At)})
		raise["last_at"] = p.At
	}
	for uid, at := range c.read {
		raise["read.`"+uid+"`"] = at
	}
	return s.merge(colConversations+"/"+id, set, raise), nil
}

// MessagesOn implements store.Archive.
func (s *Store) MessagesOn(ctx context.Context, day string) (int64, error) {
	return count(ctx, s.query(messagesOnDay, nil, day))
}

// listAtOnce is how many conversations of a page are looked into at once.
const listAtOnce = 10

// Conversations implements store.Archive.
func (s *Store) Conversations(ctx context.Context, uid, cursor string, limit int) ([]store.Listed, string, error) {
	list := "conversations:" + uid
	mark, err := store.ParseMark(cursor, list)
	if err != nil {
		return nil, "", err
	}
	limit = store.PageSize(limit)
	q := s.query(conversationsOf, nil, uid)
	if mark != nil {
		if q, err = from(q, mark, mark.Num); err != nil {
			return nil, "", err
		}
	}
	var page []store.Listed
	next := ""
	err = each(ctx, q.Limit(limit+1), func(snap *firestore.DocumentSnapshot) (bool, error) {
		if len(page) == limit {
			last := page[limit-1]
			next = store.Mark{List: list, Num: int64(last.LastAt), ID: last.ID}.Cursor()
			return false, nil
		}
		var d conversationDoc
		if _, err := decoded(snap, nil, &d); err != nil {
			return false, err
		}
		page = append(page, store.Listed{Conversation: store.Conversation{ID: snap.Ref.ID, LastAt: d.LastAt, Preview: store.Preview(d.Preview), Read: d.Read}})
		return true, nil
	})
	if err != nil {
		return nil, "", err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listAtOnce)
	for i := range page {
		g.Go(func() error { return s.complete(ctx, uid, &page[i]) })
	}
	if err := g.Wait(); err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// complete reads what the document of a conversation does not say: the number of unread
// messages, and the preview where an older one has overwritten it.
func (s *Store) complete(ctx context.Context, uid string, c *store.Listed) error {
	if c.Read == nil {
		c.Read = map[string]chat.Micros{}
	}
	if c.Preview.At != c.LastAt {
		err := each(ctx, s.query(newestMessages, s.conversation(c.ID)).Limit(1), func(snap *firestore.DocumentSnapshot) (bool, error) {
			newest, err := messageOf(c.ID, snap)
			c.Preview = store.PreviewOf(newest.Message)
			return true, err
		})
		if err != nil {
			return err
		}
	}
	if c.Read[uid] >= c.LastAt {
		return nil
	}
	n, err := count(ctx, s.query(messagesToSince, s.conversation(c.ID), uid, int64(c.Read[uid])).Limit(store.MaxUnread))
	c.Unread = int(n)
	return err
}

// Messages implements store.Archive.
func (s *Store) Messages(ctx context.Context, conversation string, pos store.Position, limit int) ([]delivery.Delivered, bool, error) {
	limit = store.PageSize(limit)
	q := s.query(newestMessages, s.conversation(conversation))
	switch {
	case pos == store.Position{}:
	case pos.ID == "":
		q = s.query(messagesBefore, s.conversation(conversation), int64(pos.At))
	default:
		q = q.StartAfter(int64(pos.At), pos.ID)
	}
	var page []delivery.Delivered
	more := false
	err := each(ctx, q.Limit(limit+1), func(snap *firestore.DocumentSnapshot) (bool, error) {
		if len(page) == limit {
			more = true
			return false, nil
		}
		m, err := messageOf(conversation, snap)
		page = append(page, m)
		return true, err
	})
	if err != nil {
		return nil, false, err
	}
	slices.Reverse(page)
	return page, more, nil
}
