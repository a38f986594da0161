// Package client is a Go twin of the browser client: it keeps the client rules
// of DESIGN §4 over the protocol of package wire, for load and fault tests and
// for anyone who wants to talk to a server from Go.
//
// A [Store] is a device's durable store, a [Client] one life of the app on
// that device. A Client keeps nothing but its Store across [Client.Kill] and a
// following [New]: what a crash loses in a browser is lost here as well. The
// rules themselves are a state machine without goroutines or timers
// ([machine], in machine.go and the files beside it); Client gives it sockets,
// time and history.
//
// What follows from one frame, and the cursor, are committed to the Store in
// one step; only then is it acknowledged. Everything that a person or a judge
// could see happen is told to [Options.Note] from inside that step.
//
// A Client costs one goroutine for each open socket, and some for the moment
// of a dial or a load: thousands of them run in one process.
package client

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Conn is an open WebSocket; *websocket.Conn of gorilla is one.
type Conn interface {
	// ReadMessage blocks until the next data frame. The error is final.
	ReadMessage() (messageType int, data []byte, err error)
	// WriteMessage writes one data frame; it is called by one goroutine at a time.
	WriteMessage(messageType int, data []byte) error
	SetWriteDeadline(t time.Time) error
	// Close ends the connection without a farewell, and unblocks ReadMessage.
	Close() error
}

// History reads what is saved, as the functions serve it. Methods may be
// called by several goroutines at once, and block for at most their context.
type History interface {
	// Conversations lists every conversation of the user.
	Conversations(ctx context.Context) ([]Conversation, error)
	// Messages returns the newest limit messages of a conversation before the
	// place that before names ("" for the end, "<at>" for the first message of
	// that at, else the Before of another page), oldest first, and the place
	// before them ("" where nothing is older).
	Messages(ctx context.Context, conversation, before string, limit int) (Page, error)
}

// Conversation is an entry of the list of conversations.
type Conversation struct {
	ID     string
	LastAt chat.Micros            // of the newest saved message
	Read   map[string]chat.Micros // read marks by uid
}

// Page is a page of history, oldest first.
type Page struct {
	Messages []chat.Message
	Before   string // names the page before; "" where there is none
}

// Options are what a Client is made with. Dial, Token and History are required.
type Options struct {
	// Dial opens a WebSocket to a server; it blocks for at most ctx.
	Dial func(ctx context.Context) (Conn, error)
	// Token returns an ID token and when it ends.
	Token   func(ctx context.Context) (token string, ends time.Time, err error)
	History History

	Now         func() time.Time // the device's clock, which may be wrong; time.Now when nil
	Rand        *rand.Rand       // for jitter; a random one when nil. The Client is its only user
	Note        func(Note)       // told of everything that happens; must not call the Client or its Store
	Pace        Pace             // zero fields get those of DefaultPace
	Misbehavior Misbehavior      // bad manners, for fault tests
}

// Pace holds the durations of the client rules.
type Pace struct {
	AckEvery      time.Duration   // least time between acknowledgements on a socket
	RetryFirst    time.Duration   // bound of the first reconnect's jitter; doubles
	RetryMax      time.Duration   // its greatest value
	Welcome       time.Duration   // a dialled socket is given up when not caught up this long after its last sign of life
	AnswerWithin  time.Duration   // a send without an answer for this long makes the link doubtful
	QuietFor      time.Duration   // and so does silence of this length
	PongWithin    time.Duration   // a doubtful link is given up after this long
	BackfillFirst time.Duration   // pause after the first failed load; doubles
	BackfillMax   time.Duration   // its greatest value
	BackfillFor   time.Duration   // what is not there after this long does not exist any more
	Margin        time.Duration   // a message may carry an at of this long before it was missed; history is loaded so far back
	Reload        []time.Duration // history is loaded again this long after a load that followed resumed: false
}

// DefaultPace returns the durations of the browser client.
func DefaultPace() Pace {
	return Pace{
		AckEvery:      50 * time.Millisecond,
		RetryFirst:    500 * time.Millisecond,
		RetryMax:      30 * time.Second,
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
		{&p.AckEvery, d.AckEvery}, {&p.RetryFirst, d.RetryFirst}, {&p.RetryMax, d.RetryMax},
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

// Odd are the bad manners of a device. The zero value has none.
type Misbehavior struct {
	AckDelay time.Duration // acknowledges this much later than it could
	AckAhead time.Duration // acknowledges cursors that lie this far ahead of what it stored
	AckNever bool          // acknowledges nothing but what its hello says
}

// State says where an own message is, or that a message is another's. It only grows.
type State uint8

// States of a message. Refused stands below Delivered, because a refusal of a
// repeated send can come for a message that was delivered: the receipt is
// then the truth, and replaces it.
const (
	Waiting   State = iota // in the outbox
	Sent                   // queued on the server
	Refused                // will never be delivered
	Delivered              // a device of the recipient has it
	Read                   // and the recipient has seen it
)

// String returns the name of s.
func (s State) String() string {
	return [...]string{"waiting", "sent", "refused", "delivered", "read"}[s]
}

// What a Note tells.
type NoteKind uint8

// The order of fields that a Note fills is given behind each.
const (
	NoteTyped      NoteKind = iota // Message without at: written by the person, in the outbox
	NoteFrozen                     // Message: its at is fixed, and it is about to be sent for the first time
	NoteShown                      // Message, From: stored, and on the screen from now on
	NoteState                      // Message, State: an own message reached State
	NoteAcked                      // Cursor: told the server that everything up to here is stored
	NoteRead                       // Conversation, At: the person has seen everything up to At
	NoteUp                         // Resumed: a socket is caught up, none was before
	NoteDown                       // no socket is caught up any more
	NoteMoved                      // a new socket was caught up before the old one closed
	NoteNotResumed                 // the server said resumed: false
	NoteLoad                       // Conversation ("" for the list): read from the store
)

// Origins of a NoteShown.
const (
	FromOutbox  = "outbox"  // typed on this device
	FromEvent   = "event"   // brought by the socket
	FromHistory = "history" // loaded
)

// Note tells one thing that happened on a device.
type Note struct {
	NoteKind     NoteKind
	Message      chat.Message
	State        State
	From         string
	Cursor       string
	Conversation string
	At           chat.Micros
	Resumed      bool
}
