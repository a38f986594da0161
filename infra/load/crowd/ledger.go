package crowd

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// maxDevices is the largest number of devices of a user.
const maxDevices = 8

// Facts about a message, as bits. The first three exist once for each device, and are shifted by its index.
const (
	received = 1 << (0 * maxDevices) // a device of the recipient has the message
	echoed   = 1 << (1 * maxDevices) // a device of the sender has its "sent" event
	receipt  = 1 << (2 * maxDevices) // a device of the sender has its "delivered" event
	accepted = 1 << (3 * maxDevices) // the sending socket has its "sent" frame

	anyReceived = received * (1<<maxDevices - 1)
)

// message is what the ledger knows of one message.
type message struct {
	due   atomic.Int64 // when it was to be sent, in ns since the start of the ledger
	facts atomic.Uint32
}

const (
	chunkSize = 1 << 16
	maxChunks = 1 << 10
)

// ledger records the fate of every message. It is safe for concurrent use.
type ledger struct {
	start  time.Time
	next   atomic.Uint32
	chunks [maxChunks]atomic.Pointer[[chunkSize]message]
	window atomic.Pointer[Window] // nil: latencies are not recorded

	written, accepted, arrived, received, echoed, receipts, receiptsAgain, doubled, refused, bad,
	broken atomic.Int64
}

// Totals are counts of all messages since the start.
type Totals struct {
	Messages int64 // written to a socket
	Accepted int64 // answered with a "sent" frame
	Arrived  int64 // received by at least one device of the recipient
	Received int64 // by devices of recipients
	Echoed   int64 // "sent" events at devices of the senders other than the sending one
	Receipts int64 // "delivered" events at devices of the senders
	Doubled  int64 // messages and "sent" events that a device received twice
	Refused  int64 // refusals after which the message was sent again
	Bad      int64 // frames that no device should receive: final refusals, goaways, nonsense
	Broken   int64 // sockets that ended by themselves

	// ReceiptsAgain counts "delivered" events that a device received twice. That is allowed: two instances may settle
	// what two devices of a user have acknowledged.
	ReceiptsAgain int64
}

func (l *ledger) totals() Totals {
	return Totals{
		Messages: l.written.Load(), Accepted: l.accepted.Load(), Arrived: l.arrived.Load(), Received: l.received.Load(),
		Echoed: l.echoed.Load(), Receipts: l.receipts.Load(), Doubled: l.doubled.Load(), Refused: l.refused.Load(),
		ReceiptsAgain: l.receiptsAgain.Load(), Bad: l.bad.Load(), Broken: l.broken.Load(),
	}
}

// complete returns an error for each count that differs from what the messages of users with the given number of
// devices must cause. The bare relay sends no events to senders.
func (t Totals) complete(devices int64, bare bool) error {
	var errs []error
	equal := func(what string, got, want int64) {
		if got != want {
			errs = append(errs, fmt.Errorf("%s: %d instead of %d", what, got, want))
		}
	}
	equal("messages accepted", t.Accepted, t.Messages)
	equal("messages received", t.Received, t.Messages*devices)
	if !bare {
		equal("sent events at other devices", t.Echoed, t.Messages*(devices-1))
		equal("delivered events", t.Receipts, t.Messages*devices)
	}
	equal("doubled", t.Doubled, 0)
	equal("frames that should not come", t.Bad, 0)
	equal("broken sockets", t.Broken, 0)
	return errors.Join(errs...)
}

// Window records the latencies of the messages that are due while it is open, also when they arrive later.
type Window struct {
	from, to atomic.Int64 // ns since the start of the ledger

	Sent      Histogram // until the "sent" frame
	Event     Histogram // until the first device of the recipient has the message
	Delivered Histogram // until a device of the sender has its "delivered" event
}

// OpenWindow returns a window for the messages that are due from now on. It replaces an earlier one.
func (c *Crowd) OpenWindow() *Window {
	w := &Window{}
	w.from.Store(int64(time.Since(c.ledger.start)))
	w.to.Store(math.MaxInt64)
	c.ledger.window.Store(w)
	return w
}

// CloseWindow excludes messages that are due from now on.
func (c *Crowd) CloseWindow() {
	if w := c.ledger.window.Load(); w != nil {
		w.to.Store(int64(time.Since(c.ledger.start)))
	}
}

// add adds a message and returns its number. The ledger has room for 67 million.
func (l *ledger) add(due time.Duration) uint32 {
	n := l.next.Add(1) - 1
	l.message(n).due.Store(int64(due))
	return n
}

// message returns a message, which must have been added.
func (l *ledger) message(n uint32) *message {
	slot := &l.chunks[n/chunkSize]
	chunk := slot.Load()
	if chunk == nil {
		slot.CompareAndSwap(nil, new([chunkSize]message))
		chunk = slot.Load()
	}
	return &chunk[n%chunkSize]
}

// learn records a fact about message n, and its latency if the fact is new.
func (l *ledger) learn(n uint32, fact uint32) {
	if n >= l.next.Load() {
		l.bad.Add(1)
		return
	}
	m := l.message(n)
	before := m.facts.Or(fact)
	if before&fact != 0 {
		switch {
		case fact == accepted: // a message that is sent again is accepted again
		case fact >= receipt:
			l.receiptsAgain.Add(1)
		default:
			l.doubled.Add(1)
		}
		return
	}
	w := l.window.Load()
	due := m.due.Load()
	if w != nil && (due < w.from.Load() || due >= w.to.Load()) {
		w = nil
	}
	switch took := time.Since(l.start) - time.Duration(due); {
	case fact == accepted:
		l.accepted.Add(1)
		if w != nil {
			w.Sent.add(took)
		}
	case fact < echoed:
		l.received.Add(1)
		if before&anyReceived == 0 {
			l.arrived.Add(1)
			if w != nil {
				w.Event.add(took)
			}
		}
	case fact < receipt:
		l.echoed.Add(1)
	default:
		l.receipts.Add(1)
		if w != nil {
			w.Delivered.add(took)
		}
	}
}
