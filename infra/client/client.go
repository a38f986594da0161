// Package client is the browser client in Go: it follows the client rules of DESIGN §4 over the protocol of package
// wire. Load and fault tests use it, and so can any Go program that wants to talk to a server.
//
// A [Store] is the durable store of a device. A [Client] is one run of the app on that device. The Store is all that
// a Client leaves behind when [Client.Kill] ends it, so whatever a crash loses in a browser is lost here as well.
//
// The rules are a state machine without goroutines or timers (type machine, in machine.go and the files beside it).
// Client gives it sockets, time and history.
//
// A frame's effects and its cursor are committed to the Store in one step, and acknowledged only then. From inside
// that step, Client reports to [Options.Note] whatever a user or a test could observe.
//
// A Client costs one goroutine for each open socket, and a few more during a dial or a load, so thousands of Clients
// run in one process.
package client

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Conn is an open WebSocket. Gorilla's *websocket.Conn implements it.
type Conn interface {
	// ReadMessage blocks until the next data frame. An error is final.
	ReadMessage() (messageType int, data []byte, err error)
	// WriteMessage writes one data frame. One goroutine at a time calls it.
	WriteMessage(messageType int, data []byte) error
	SetWriteDeadline(t time.Time) error
	// Close closes the connection without a close frame, and unblocks ReadMessage.
	Close() error
}

// History reads saved messages, as the functions serve them. Its methods are safe for concurrent use, and block until
// ctx ends at most.
type History interface {
	// Conversations lists every conversation of the user.
	Conversations(ctx context.Context) ([]Conversation, error)
	// Messages returns the newest limit messages of a conversation that are older than before, oldest first. Before is
	// "" for the end of the conversation, "<at>" for everything before that at, or the Before of another page.
	Messages(ctx context.Context, conversation, before string, limit int) (Page, error)
	// Message returns a message by its key, and whether it is saved.
	Message(ctx context.Context, conversation, key string) (m delivery.Delivered, saved bool, err error)
	// Changed returns the messages in all conversations of the user of which a change was saved at since or later. Reload
	// reports that there are too many, and none is listed.
	Changed(ctx context.Context, since chat.Micros) (list []delivery.Delivered, reload bool, err error)
}

// Conversation is an entry of the conversation list.
type Conversation struct {
	ID     string
	LastAt chat.Micros            // at of the newest saved message
	Read   map[string]chat.Micros // read marks by uid
}

// Page is a page of history, oldest first.
type Page struct {
	Messages []delivery.Delivered
	Before   string // names the next older page; "" if there is none
}

// Options configure a Client. Dial, Token and History are required.
type Options struct {
	// Dial opens a WebSocket to a server. It blocks until ctx ends at most.
	Dial func(ctx context.Context) (Conn, error)
	// Token returns an ID token and when it expires.
	Token   func(ctx context.Context) (token string, ends time.Time, err error)
	History History

	// Wall is the device's wall clock, which may be wrong and may jump; time.Now when nil. It only dates new ids: timers
	// and the server's time come from the monotonic clock of time.Now.
	Wall func() time.Time
	// NewID returns the id of a message that the user writes; fresh is an unused one. It is fresh when nil. A test can
	// return an id that another user has used, but never one of this user. Called as Note is.
	NewID func(conversation, fresh string) string

	Looking bool // somebody looks at the device all the time

	Rand        *rand.Rand  // for jitter and ids; a random one when nil. Only the Client uses it
	Note        func(Note)  // reports everything that happens; must not call the Client or its Store
	Pace        Pace        // zero fields get their value from DefaultPace
	Misbehavior Misbehavior // for fault tests
}

// Pace holds the durations of the client rules.
type Pace struct {
	AckEvery      time.Duration   // shortest time between two acknowledgments on a socket
	RetryFirst    time.Duration   // upper bound of the first reconnect delay; doubles with each failure
	RetryMax      time.Duration   // greatest value of that bound
	Replaced      time.Duration   // a replaced socket is dialed again after once to twice this time
	Welcome       time.Duration   // a socket that is not caught up this long after the last frame is dropped
	AnswerWithin  time.Duration   // if a send has no answer after this long, the client pings
	QuietFor      time.Duration   // if the server sends nothing for this long, the client pings
	PongWithin    time.Duration   // if a ping has no answer after this long, the socket is dropped
	BackfillFirst time.Duration   // delay after the first failed load; doubles with each failure
	BackfillMax   time.Duration   // greatest value of that delay
	BackfillFor   time.Duration   // a backfill that finds nothing for this long is given up
	Margin        time.Duration   // how much older than the newest shown message a missed one may be
	Reload        []time.Duration // delays after which history is loaded again, following a gap
}

// DefaultPace returns the durations of the browser client.
func DefaultPace() Pace {
	return Pace{
		AckEvery:      50 * time.Millisecond,
		RetryFirst:    500 * time.Millisecond,
		RetryMax:      30 * time.Second,
		Replaced:      5 * time.Minute,
		Welcome:       15 * time.Second,
		AnswerWithin:  10 * time.Second,
		QuietFor:      50 * time.Second,
		PongWithin:    10 * time.Second,
		BackfillFirst: time.Second,
		BackfillMax:   time.Minute,
		BackfillFor:   7 * 24 * time.Hour,
		Margin:        10 * time.Minute,
		Reload:        []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute},
	}
}

func (p Pace) withDefaults() Pace {
	d := DefaultPace()
	for _, f := range []struct {
		value *time.Duration
		std   time.Duration
	}{
		{&p.AckEvery, d.AckEvery}, {&p.RetryFirst, d.RetryFirst}, {&p.RetryMax, d.RetryMax}, {&p.Replaced, d.Replaced},
		{&p.Welcome, d.Welcome}, {&p.AnswerWithin, d.AnswerWithin}, {&p.QuietFor, d.QuietFor},
		{&p.PongWithin, d.PongWithin}, {&p.BackfillFirst, d.BackfillFirst}, {&p.BackfillMax, d.BackfillMax},
		{&p.BackfillFor, d.BackfillFor}, {&p.Margin, d.Margin},
	} {
		if *f.value == 0 {
			*f.value = f.std
		}
	}
	if p.Reload == nil {
		p.Reload = d.Reload
	}
	return p
}

// Misbehavior makes a device break the rules. The zero value follows them.
type Misbehavior struct {
	AckDelay time.Duration // acknowledge this much later than possible
	AckAhead time.Duration // acknowledge cursors this far ahead of what is stored
	AckNever bool          // acknowledge nothing, except by the cursor of the next hello
}

// State is the state of an own message. It only increases. Messages of others stay at zero.
type State uint8

// States of an own message. Refused is below Delivered, because a repeated send can be refused although the message was
// delivered. The receipt is then the truth, and replaces the refusal.
const (
	Waiting   State = iota // in the outbox
	Sent                   // queued on the server
	Refused                // will never be delivered
	Delivered              // a device of the recipient has it
	Read                   // the recipient has seen it
)

// String returns the name of s.
func (s State) String() string {
	return [...]string{"waiting", "sent", "refused", "delivered", "read"}[s]
}

// NoteKind says what a Note reports.
type NoteKind uint8

// Kinds of notes, with the fields of Note that they fill.
const (
	NoteTyped      NoteKind = iota // Message or Change, without at: written by the user, in the outbox
	NoteFrozen                     // Message or Change: its at is fixed; again, with another at, if no server can have it
	NoteShown                      // Message, Changes, From; or Change: stored, and on the screen from now on
	NoteState                      // Message or Change, State, Refusal: an own one reached State
	NoteAcked                      // Cursor: acknowledged to the server
	NoteRead                       // Conversation, At: the user has seen everything up to At
	NoteUp                         // a socket is caught up, and none was before
	NoteDown                       // no socket is caught up anymore
	NoteMoved                      // a new socket was caught up before the old one closed
	NoteNotResumed                 // the server sent resumed: false
	NoteLoad                       // Conversation ("" for the list): a request for history
	NoteRepeated                   // Message or Change: an event of one that is here already, or typed here
	NoteCorrected                  // Message, Changes, From: shown before with other content, and now with what was saved
	NoteFolded                     // Message, Changes: a message on the screen has other changes; not those that wait
	NoteRetyped                    // Message: its body was edited before it was transmitted
	NoteDropped                    // Message or Change: left the outbox, and is not sent again
)

// Values of From in a NoteShown or a NoteCorrected.
const (
	FromOutbox     = "outbox"     // typed on this device
	FromEvent      = "event"      // received on a socket
	FromHistory    = "history"    // loaded
	FromCorrection = "correction" // received on a socket, as it is saved
)

// Note reports one thing that happened on a device.
type Note struct {
	NoteKind     NoteKind
	Message      chat.Message // with the changed body
	Changes      chat.Changes // of Message
	Change       chat.Change  // the note is about a change if it has an id
	State        State
	Refusal      string // code of the refusal
	From         string
	Cursor       string
	Conversation string
	At           chat.Micros
	Resumed      bool
}
