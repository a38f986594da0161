package inbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Limits of one page.
const (
	maxPage      = 500 // events
	maxPageBytes = 512 << 10
)

// Position is a place in an inbox. Its reader has every event up to it, or knows that some may be missing.
type Position struct {
	Cursor
	ReportedFloor ID // highest floor that was reported to the reader, as Resumed or Gap
}

// Relation is the result of Position.RelationTo.
type Relation int

// The relations of a wake to a reader's position.
const (
	Next     Relation = iota // the event directly follows the position: pass it on
	Seen                     // the reader has the event: skip it
	Detached                 // events lie between, or the wake is of another epoch: Read from the position
)

// RelationTo returns how w, an event, continues what a reader at p has.
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

// AdvanceTo returns the position after e was passed on.
func (p Position) AdvanceTo(e Event) Position {
	p.ID = e.ID
	return p
}

// Attachment is the place where a device starts to read.
type Attachment struct {
	Epoch   string
	From    Position // where to read from; no other position is valid
	Last    ID       // newest event at the time of the call
	Settled ID       // newest settled id
	Resumed bool     // From is the given cursor: nothing is missing, and the cursor counts as an ack
	// Removals is how often messages were removed from the inbox.
	Removals uint64
}

// Attach begins a device's reading at the cursor that it has stored, "" on a first visit. A cursor that is empty,
// unreadable, of another epoch, below the floor or above the newest event yields Resumed false: it acknowledges
// nothing, and everything that is retained follows. Subscribe first, so that no event falls in between. Attach counts
// as a use of the inbox, which postpones its expiry. It takes one round trip.
//
// If device is not empty, its user's sent events are written for it from then on; see EnqueueFrom.
func (boxes *Inboxes) Attach(ctx context.Context, uid, device, cursor string) (Attachment, error) {
	a, err := boxes.attach(ctx, uid, device, cursor, 0, "")
	return a.Attachment, err
}

// AttachAndRead is Attach and then Read, from the place where the device starts, in one round trip and from one moment.
func (boxes *Inboxes) AttachAndRead(ctx context.Context, uid, device, cursor string, limit int) (
	Attachment, Page, error) {

	a, err := boxes.attach(ctx, uid, device, cursor, pageLimit(limit), "")
	return a.Attachment, a.First, err
}

// Admission is the result of AttachAdmitted.
type Admission struct {
	Gate     []any // the fields of the user's gate; see gate.Gates.Keep
	Admitted bool  // if not, the others are zero
	Attachment
	First Page
}

// AttachAdmitted is AttachAndRead for a user who signed in at authTime, if the user's gate admits that sign-in. One
// script checks the gate, attaches and reads, in one round trip. Unless the gate admits the sign-in, it writes nothing.
// For a gate that Redis does not have, it takes two more round trips and a read of the gate's source.
func (boxes *Inboxes) AttachAdmitted(ctx context.Context, uid, device, cursor string, authTime time.Time,
	limit int) (Admission, error) {

	signedIn := strconv.FormatInt(authTime.Unix(), 10)
	a, err := boxes.attach(ctx, uid, device, cursor, pageLimit(limit), signedIn)
	if err == nil && a.missing() {
		if err := boxes.opts.Gates.Fill(ctx, uid); err != nil {
			return Admission{}, err
		}
		a, err = boxes.attach(ctx, uid, device, cursor, pageLimit(limit), signedIn)
		if err == nil && a.missing() {
			err = problem.ErrUnavailable.WithCause(fmt.Errorf("attach: redis does not keep the gate of %s", uid))
		}
	}
	return a, err
}

// missing reports whether Redis does not have the gate.
func (a Admission) missing() bool { return len(a.Gate) > 0 && a.Gate[0] == nil }

// attach runs the script. authTime is in seconds, or "" if the gate does not matter.
func (boxes *Inboxes) attach(ctx context.Context, uid, device, cursor string, limit int, authTime string) (
	a Admission, err error) {

	// An unreadable cursor (of an older version, or forged) is treated like one of another epoch.
	c, err := ParseCursor(cursor)
	if err != nil || c.ID.unsafe() {
		c = Cursor{}
	}
	args := append([]any{c.Epoch, c.ID.String()}, c.Removals.args()...)
	call := boxes.call(boxes.scripts.attach, uid, append(args, device, limit, maxPageBytes, authTime)...)
	call.Keys = append(call.Keys, devicesKey(uid), gateKey(uid), removedKey(uid))
	v, err := boxes.runScript(ctx, call)
	if err != nil {
		return a, err
	}
	r := newReply(v, 1)
	a.Gate, _ = r.list[0].([]any)
	if len(r.list) == 1 {
		return a, r.failure()
	}
	a.Admitted = true
	r = newReply(r.list[1:], 8)
	epoch, floor := r.str(0), r.id(1)
	a.Attachment = Attachment{Epoch: epoch, Last: r.id(2), Settled: r.id(3), Resumed: r.int(4) == 1,
		Removals: uint64(r.int(6))}
	if a.Resumed {
		a.From = Position{c, floor}
	} else {
		a.From = Position{Cursor{epoch, floor, AllSeen(a.Removals)}, floor}
		if oldest := r.id(5); oldest != (ID{}) {
			a.From.ID = oldest.previous()
		}
	}
	if limit > 0 {
		a.First = boxes.page(uid, a.From, &r, 7)
	}
	return a, r.failure()
}

// Page is the result of Read.
type Page struct {
	Events  []Event  // in order; poison entries are left out, counted and logged
	Next    Position // where to continue; may be beyond the last of Events. Its Removals belong to all of Events
	Last    ID       // newest event of the inbox
	Settled ID       // newest settled id
	More    bool     // more can be read now
	// Gap: events may be missing between the position that was read from and Events. The socket gets a Welcome with
	// Resumed false before Events. Read sets Gap once per floor.
	Gap bool
	// NewEpoch: the Gap comes from another epoch, Next.Epoch. In addition to the Welcome, the socket should get a goaway
	// (resync), so that its outbox sends again.
	NewEpoch bool
}

// Read returns up to limit events after p, with the floor, from one moment. A page has at most 500 events and about
// 512 KiB; the rest follows, see More. Read takes one round trip.
func (boxes *Inboxes) Read(ctx context.Context, uid string, p Position, limit int) (Page, error) {
	args := append([]any{p.Epoch, p.ID.String(), pageLimit(limit), maxPageBytes}, p.Removals.args()...)
	v, err := boxes.runScript(ctx, boxes.callReader(boxes.scripts.read, uid, args...))
	if err != nil {
		return Page{}, err
	}
	r := newReply(v, 5)
	page := boxes.page(uid, p, &r, 4)
	return page, r.failure()
}

// pageLimit returns the number of events that a page may have if limit were asked for.
func pageLimit(limit int) int {
	if limit <= 0 || limit > maxPage {
		return maxPage
	}
	return limit
}

// page decodes a page that was read from p. The reply begins with epoch, floor, last and settled, and has the page in
// field i.
func (boxes *Inboxes) page(uid string, p Position, r *reply, i int) Page {
	epoch, floor, last := r.str(0), r.id(1), r.id(2)
	read := newReply(r.list[i], 5)
	more := read.str(0) == "1"
	removals := Removals{uint64(read.int(2)), uint64(read.int(3)), read.id(4)}
	events, end := boxes.entries(uid, read.list[1])
	if r.err == nil {
		r.err = read.err
	}
	page := Page{Events: events, Last: last, Settled: r.id(3), More: more}
	page.NewEpoch = epoch != p.Epoch
	page.Gap = page.NewEpoch || (floor.After(p.ID) && floor.After(p.ReportedFloor))
	page.Next = Position{Cursor{epoch, p.ID, removals}, p.ReportedFloor}
	if page.NewEpoch {
		page.Next = Position{Cursor: Cursor{epoch, ID{}, removals}}
	}
	if floor.After(page.Next.ReportedFloor) {
		page.Next.ReportedFloor = floor
	}
	if end.After(page.Next.ID) {
		page.Next.ID = end
	}
	if !more && last.After(page.Next.ID) {
		page.Next.ID = last // the events in between were trimmed or withdrawn
	}
	return page
}

// entries converts the result of XRANGE. It leaves out, counts and logs poison entries, because they must not block the
// entries behind them. end is the id of the last entry, poison or not.
func (boxes *Inboxes) entries(uid string, v any) (events []Event, end ID) {
	list, _ := v.([]any)
	events = make([]Event, 0, len(list))
	for _, raw := range list {
		entry, _ := raw.([]any)
		if len(entry) != 2 {
			boxes.countPoisonEntry(uid, "", "is not a stream entry")
			continue
		}
		name, _ := entry[0].(string)
		id, err := ParseID(name)
		if err != nil {
			boxes.countPoisonEntry(uid, name, "has an invalid stream id")
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
			boxes.countPoisonEntry(uid, name, why)
			continue
		}
		events = append(events, e)
	}
	return events, end
}

// flaw returns why e cannot be relayed, or "".
func (e Event) flaw() string {
	switch {
	case e.Type == "" || len(e.Data) == 0:
		return "has no type or no data"
	case len(e.Data) >= 2*chat.MaxFrameSize:
		return "is larger than any valid event"
	case e.Data[0] != '{' || !json.Valid(e.Data):
		return "is not a JSON object"
	}
	return ""
}

func (boxes *Inboxes) countPoisonEntry(uid, id, why string) {
	boxes.counters.PoisonEntries.Add(1)
	boxes.opts.Log.Error("skipped a poison inbox entry", "uid", uid, "entry", id, "reason", why)
}

// Message decodes the message of a "message" event.
func (e Event) Message() (chat.Message, error) {
	m, err := wire.DecodeMessage(e.Data)
	if err != nil {
		return chat.Message{}, fmt.Errorf("decode message event %s: %w", e.ID, err)
	}
	if !chat.ValidMessageID(m.ID) || !chat.ValidUID(m.From) || !chat.ValidUID(m.To) {
		return chat.Message{}, fmt.Errorf("decode message event %s: invalid id, from or to", e.ID)
	}
	return m, nil
}
