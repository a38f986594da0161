package inbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Limits of one page.
const (
	MaxPage      = 500
	maxPageBytes = 512 << 10
)

// Position is a place in an inbox up to which a reader has everything, or was
// told that something may be missing.
type Position struct {
	Cursor
	ReportedFloor ID // the highest floor that the reader was told about (as Resumed or Gap)
}

// Relation is the answer of Position.Follows.
type Relation int

// The relations of a wake to a reader's position.
const (
	Next     Relation = iota // the event comes right after the position: hand it on
	Seen                     // the reader has it: skip it
	Detached                 // something lies between, or it is another life: Read from the position
)

// Follows says how w, an event, continues what a reader at p has.
func (p Position) RelationTo(w Wake) Relation {
	switch {
	case w.Epoch != p.Epoch:
		return Detached
	case !w.Event.ID.After(p.ID):
		return Seen
	case w.Prev.After(p.ID):
		return Detached
	}
	return Next
}

// To returns the position after e was handed on.
func (p Position) AdvanceTo(e Event) Position {
	p.ID = e.ID
	return p
}

// Attachment is where a device starts to read.
type Attachment struct {
	Epoch   string
	From    Position // read from here, never elsewhere
	Last    ID       // newest event when attached
	Settled ID       // newest id acknowledged and published for saving
	Resumed bool     // From is the cursor given: nothing is missing, and the cursor counts as an ack
}

// Attach begins a device's reading at the cursor it has stored, "" on a first
// visit. A cursor of another epoch, below the floor, above the last event,
// unreadable or empty gives Resumed false: it acknowledges nothing, and
// everything retained follows. Subscribe first, so that nothing falls between.
// A use: the inbox lives on for another Expire. One round trip.
func (x *Inboxes) Attach(ctx context.Context, uid, cursor string) (Attachment, error) {
	v, err := x.run(ctx, x.call(attachScript, uid, true))
	if err != nil {
		return Attachment{}, err
	}
	r := newReply(v, 5)
	epoch, floor, last, settled, first := r.str(0), r.id(1), r.id(2), r.id(3), r.id(4)
	if err := r.broken(); err != nil {
		return Attachment{}, err
	}
	a := Attachment{Epoch: epoch, Last: last, Settled: settled}
	// A cursor that cannot be read (of an older version, or forged) is like one of another life.
	c, err := ParseCursor(cursor)
	if err == nil && c.Epoch == epoch && !floor.After(c.ID) && !c.ID.After(last) {
		a.Resumed = true
		a.From = Position{c, floor}
		return a, nil
	}
	a.From = Position{Cursor{epoch, floor}, floor}
	if first != (ID{}) && !first.After(floor) {
		a.From.ID = first.previous() // receipts were shed between messages that wait
	}
	return a, nil
}

// Page is what Read found.
type Page struct {
	Events  []Event  // in order; poison entries are left out, counted and logged
	Next    Position // read on from here; it may be beyond the last of Events
	Last    ID       // newest event of the inbox
	Settled ID       // newest id acknowledged and published for saving
	More    bool     // there is more to read now
	// Gap: events may be missing between the position read from and Events,
	// which is told to the socket as a Welcome with Resumed false before
	// Events. It is given once per floor.
	Gap bool
	// Life: the Gap is one of another epoch (Next.Epoch says which): beyond the
	// Welcome, the socket should be sent a goaway (resync), so that its outbox sends again.
	NewEpoch bool
}

// Read returns up to limit events after p (at most MaxPage, and about 512 KB;
// what is cut follows, see More), with the floor, from one script. One round trip.
func (x *Inboxes) Read(ctx context.Context, uid string, p Position, limit int) (Page, error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	v, err := x.run(ctx, x.call(readScript, uid, true, p.Epoch, p.ID.String(), limit, maxPageBytes))
	if err != nil {
		return Page{}, err
	}
	r := newReply(v, 6)
	epoch, floor, last, settled, more := r.str(0), r.id(1), r.id(2), r.id(3), r.str(4) == "1"
	events, end := x.entries(uid, r.list[5])
	if err := r.broken(); err != nil {
		return Page{}, err
	}
	page := Page{Events: events, Last: last, Settled: settled, More: more}
	page.NewEpoch = epoch != p.Epoch
	page.Gap = page.NewEpoch || (floor.After(p.ID) && floor.After(p.ReportedFloor))
	page.Next = Position{Cursor{epoch, p.ID}, p.ReportedFloor}
	if page.NewEpoch {
		page.Next = Position{Cursor: Cursor{epoch, ID{}}}
	}
	if floor.After(page.Next.ReportedFloor) {
		page.Next.ReportedFloor = floor
	}
	if end.After(page.Next.ID) {
		page.Next.ID = end
	}
	if !more && last.After(page.Next.ID) {
		page.Next.ID = last // the rest is trimmed: nothing lies between
	}
	return page, nil
}

// previous returns the id right before id.
func (id ID) previous() ID {
	switch {
	case id.Seq > 0:
		return ID{id.Ms, id.Seq - 1}
	case id.Ms > 0:
		return ID{id.Ms - 1, 1<<53 - 1} // scripts count in doubles
	}
	return ID{}
}

// entries reads what XRANGE answered. What is no event is left out, named and
// counted: it must not stand in the way of what comes after it. end is the id of the last entry, whatever it is.
func (x *Inboxes) entries(uid string, v any) (events []Event, end ID) {
	list, _ := v.([]any)
	events = make([]Event, 0, len(list))
	for _, raw := range list {
		entry, _ := raw.([]any)
		if len(entry) != 2 {
			x.poison(uid, "", "no stream entry")
			continue
		}
		name, _ := entry[0].(string)
		id, err := ParseID(name)
		if err != nil {
			x.poison(uid, name, "no stream id")
			continue
		}
		end = id
		fields, _ := entry[1].([]any)
		e := Event{ID: id}
		for i := 0; i+1 < len(fields); i += 2 {
			value, _ := fields[i+1].(string)
			switch fields[i] {
			case "t":
				e.Type = value
			case "e":
				e.Data = json.RawMessage(value)
			}
		}
		if why := e.flaw(); why != "" {
			x.poison(uid, name, why)
			continue
		}
		events = append(events, e)
	}
	return events, end
}

// flaw says why e cannot be relayed, or "".
func (e Event) flaw() string {
	switch {
	case e.Type == "" || len(e.Data) == 0:
		return "has no type or no event"
	case len(e.Data) >= 2*chat.MaxFrameSize:
		return "is larger than any event"
	case e.Data[0] != '{' || !json.Valid(e.Data):
		return "is no JSON object"
	}
	return ""
}

func (x *Inboxes) poison(uid, id, why string) {
	x.n.poisonEntries.Add(1)
	x.opts.Log.Error("an inbox has an entry that is no event; it is passed over", "uid", uid, "entry", id, "why", why)
}

// Message returns the message that a "message" event carries.
func (e Event) Message() (chat.Message, error) {
	var m chat.Message
	if err := json.Unmarshal(e.Data, &m); err != nil {
		return chat.Message{}, fmt.Errorf("event %s is no message: %w", e.ID, err)
	}
	if !chat.ValidMessageID(m.ID) || !chat.ValidUID(m.From) || !chat.ValidUID(m.To) {
		return chat.Message{}, fmt.Errorf("event %s is no message: bad id, from or to", e.ID)
	}
	return m, nil
}
