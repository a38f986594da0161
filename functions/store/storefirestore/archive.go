package storefirestore

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
)

// messageDoc is conversations/{id}/messages/{message key}: a message, or a stub, which has the changes of a message
// that is not saved. A stub has none of the fields by which messages are listed and counted.
type messageDoc struct {
	From        string      `firestore:"from"`
	To          string      `firestore:"to,omitempty"`
	Body        string      `firestore:"body"` // as changed
	At          chat.Micros `firestore:"at,omitempty"`
	AcceptedAt  chat.Micros `firestore:"accepted_at,omitempty"`
	DeliveredAt chat.Micros `firestore:"delivered_at,omitempty"`
	ReplyTo     string      `firestore:"reply_to,omitempty"`
	// Day is the UTC day of AcceptedAt, by which messages are counted. All messages of a day share its value, so its
	// index is spread by document name. An index on the time itself would be sequential, and limit the collection to 500
	// writes a second. Messages of the prober have none, so they are not counted.
	Day string `firestore:"day,omitempty"`

	// The changes, with the ids that decide which of them count. All are missing if there are none.
	EditedAt  chat.Micros            `firestore:"edited_at,omitempty"`
	EditedID  string                 `firestore:"edited_id,omitempty"`
	DeletedAt chat.Micros            `firestore:"deleted_at,omitempty"`
	DeletedID string                 `firestore:"deleted_id,omitempty"`
	Reactions map[string]reactionDoc `firestore:"reactions,omitempty"`
	ChangedAt chat.Micros            `firestore:"changed_at,omitempty"` // when the last change was saved
	// ChangedFor has the members of the conversation, for the index by which their devices find changes.
	ChangedFor []string  `firestore:"changed_for,omitempty"`
	ExpiresAt  time.Time `firestore:"expires_at,omitempty"` // of a stub; a TTL policy on it deletes the document
}

// dayOf returns the field day of a message.
func dayOf(d delivery.Delivered) string {
	if prober.Is(d.From) {
		return ""
	}
	return d.AcceptedAt.Time().Format("2006-01-02")
}

func (s *Store) createMessage(d delivery.Delivered) write {
	return s.create(colConversations+"/"+d.Conversation+"/"+colMessages+"/"+d.Key(), map[string]*firestorepb.Value{
		"from": text(d.From), "to": text(d.To), "body": text(d.Body), "at": integer(d.At),
		"accepted_at":  integer(d.AcceptedAt),
		"delivered_at": integer(d.DeliveredAt), "reply_to": text(d.ReplyTo),
		"day": text(dayOf(d)),
	})
}

func messageOf(conversation string, snap *firestore.DocumentSnapshot) (delivery.Delivered, error) {
	var m messageDoc
	if _, err := decoded(snap, nil, &m); err != nil {
		return delivery.Delivered{}, err
	}
	return m.message(conversation, snap.Ref.ID), nil
}

// message returns the message with a key. It has no At if m is a stub.
func (m messageDoc) message(conversation, key string) delivery.Delivered {
	id, _, _ := strings.Cut(key, ".")
	return delivery.Delivered{Message: chat.Message{ID: id, Conversation: conversation, From: m.From, To: m.To,
		Body: m.Body,
		At:   m.At, AcceptedAt: m.AcceptedAt, ReplyTo: m.ReplyTo}, DeliveredAt: m.DeliveredAt, Changes: m.changes()}
}

// previewDoc is the field preview of a conversation. It is written without reading, so a flush that arrives late
// overwrites the preview of a newer one. Then its At differs from last_at, and lists read the newest message instead.
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
	// Writers are the members who have written a saved message. package gatefirestore reads this field, too.
	Writers []string `firestore:"writers,omitempty"`
	// Accepted are the members who have accepted the other one's request. package gatefirestore reads this field, too.
	Accepted []string `firestore:"accepted,omitempty"`
	// AlteredAt is the highest at of the messages of which an edit or a deletion was saved. If it is last_at, a save that
	// was under way may have put an older text into the preview.
	AlteredAt chat.Micros `firestore:"altered_at,omitempty"`
}

// change is what a flush changes in one conversation.
type change struct {
	newest  *delivery.Delivered
	writers map[string]bool
	read    map[string]chat.Micros
	altered func() chat.Micros // after the write: the field altered_at
}

// Save implements store.Archive: first the messages, then their conversations.
func (s *Store) Save(ctx context.Context, delivered []delivery.Delivered,
	read []delivery.Read) ([]delivery.Delivered, error) {
	saved, kept, err := s.saveMessages(ctx, delivered)
	if err != nil {
		return nil, err
	}
	conversations := map[string]*change{}
	of := func(id string) *change {
		if conversations[id] == nil {
			conversations[id] = &change{writers: map[string]bool{}, read: map[string]chat.Micros{}}
		}
		return conversations[id]
	}
	for i, d := range saved {
		c := of(d.Conversation)
		c.writers[d.From] = true
		if c.newest == nil || c.newest.Before(d.Message) {
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
			return nil, err
		}
		writes = append(writes, w)
	}
	if _, err = s.writeAll(ctx, writes); err != nil {
		return nil, err
	}
	for id, c := range conversations {
		if c.newest != nil && c.altered() >= c.newest.At {
			if err := s.renewPreview(ctx, id); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

// saveMessages creates messages. It returns them as they are stored, and what Save returns. It reads the ones that
// already existed, which are repeats or second uses of an id, so that a preview never shows a message that is not in
// the history.
func (s *Store) saveMessages(ctx context.Context,
	delivered []delivery.Delivered) (saved, differing []delivery.Delivered, err error) {
	var writes []write
	var list []delivery.Delivered
	first := map[[2]string]int{} // in list; two writes of one call must not be to the same document
	for _, d := range delivered {
		key := [2]string{d.Conversation, d.Key()}
		if _, again := first[key]; !again {
			first[key] = len(list)
			writes, list = append(writes, s.createMessage(d)), append(list, d)
		}
	}
	existing, err := s.writeAll(ctx, writes)
	if err != nil {
		return nil, nil, err
	}
	gone := map[int]bool{}
	if len(existing) > 0 {
		refs := make([]*firestore.DocumentRef, len(existing))
		for n, i := range existing {
			refs[n] = s.conversation(list[i].Conversation).Collection(colMessages).Doc(list[i].Key())
		}
		snaps, err := s.client.GetAll(ctx, refs)
		if err != nil {
			return nil, nil, translate(err)
		}
		for n, i := range existing {
			if !snaps[n].Exists() { // erased meanwhile
				gone[i] = true
				continue
			}
			stored, err := messageOf(list[i].Conversation, snaps[n])
			if err == nil && stored.At == 0 {
				stored, err = s.fill(ctx, list[i])
			}
			if err != nil {
				return nil, nil, err
			}
			list[i] = stored
		}
	}
	var kept store.Kept
	for _, d := range delivered {
		if i := first[[2]string{d.Conversation, d.Key()}]; !gone[i] {
			kept.Compare(list[i], d)
		}
	}
	for i, d := range list {
		if !gone[i] {
			saved = append(saved, d)
		}
	}
	return saved, kept.List(), nil
}

// mergeConversation returns the write that applies c to a conversation, without reading it.
func (s *Store) mergeConversation(id string, c *change) (write, error) {
	a, b, err := chat.Members(id)
	if err != nil {
		return write{}, err
	}
	set, raise := map[string]*firestorepb.Value{"members": list(text(a), text(b))}, map[string]chat.Micros{}
	if c.newest != nil {
		p := store.PreviewOf(c.newest.Message)
		set["preview"] = object(map[string]*firestorepb.Value{"id": text(p.ID), "from": text(p.From), "text": text(p.Text),
			"at": integer(p.At)})
		raise["last_at"] = p.At
	}
	for uid, at := range c.read {
		raise["read.`"+uid+"`"] = at
	}
	w := s.merge(colConversations+"/"+id, set, raise)
	if c.newest != nil {
		c.altered = w.raised("altered_at")
	}
	if len(c.writers) > 0 {
		w.addToArray("writers", slices.Sorted(maps.Keys(c.writers)))
	}
	return w, nil
}

// Message implements store.Archive.
func (s *Store) Message(ctx context.Context, conversation, key string) (m delivery.Delivered, saved bool, err error) {
	snap, err := s.conversation(conversation).Collection(colMessages).Doc(key).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return delivery.Delivered{}, false, nil
	}
	if err == nil {
		m, err = messageOf(conversation, snap)
	}
	if err == nil && m.At == 0 { // a stub
		return delivery.Delivered{}, false, nil
	}
	return m, err == nil, translate(err)
}

// Writers implements store.Archive.
func (s *Store) Writers(ctx context.Context, conversation string) ([]string, error) {
	var d conversationDoc
	snap, err := s.conversation(conversation).Get(ctx)
	if _, err := decoded(snap, err, &d); err != nil {
		return nil, translate(err)
	}
	return store.Writers(conversation, d.Writers, d.Accepted), nil
}

// MessagesOn implements store.Archive.
func (s *Store) MessagesOn(ctx context.Context, day string) (int64, error) {
	return count(ctx, s.query(messagesOnDay, nil, day))
}

// listAtOnce limits the conversations of a page that are completed concurrently.
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
	var altered []chat.Micros // of page
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
		page = append(page, d.listed(snap.Ref.ID))
		altered = append(altered, d.AlteredAt)
		return true, nil
	})
	if err != nil {
		return nil, "", err
	}
	if err := s.completeAll(ctx, uid, page, altered); err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// listed returns the conversation as a list has it before it is completed.
func (d conversationDoc) listed(id string) store.Listed {
	return store.Listed{Conversation: store.Conversation{ID: id, LastAt: d.LastAt, Preview: store.Preview(d.Preview),
		Read: d.Read, Writers: store.Writers(id, d.Writers, d.Accepted)}}
}

// complete sets what the document of a conversation does not contain: the number of unread messages, and the preview
// if an older one has overwritten it, or may have an older text.
func (s *Store) complete(ctx context.Context, uid string, c *store.Listed, altered chat.Micros) error {
	if c.Read == nil {
		c.Read = map[string]chat.Micros{}
	}
	if c.Preview.At != c.LastAt || altered == c.LastAt {
		err := each(ctx, s.query(newestMessages, s.conversation(c.ID)).Limit(1),
			func(snap *firestore.DocumentSnapshot) (bool, error) {
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
func (s *Store) Messages(ctx context.Context, conversation string, pos store.Position,
	limit int) ([]delivery.Delivered, bool, error) {
	limit = store.PageSize(limit)
	q := s.query(newestMessages, s.conversation(conversation))
	switch {
	case pos == store.Position{}:
	case pos.Key == "":
		q = s.query(messagesBefore, s.conversation(conversation), int64(pos.At))
	default:
		q = q.StartAfter(int64(pos.At), pos.Key)
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
