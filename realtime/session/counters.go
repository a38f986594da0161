package session

import "sync/atomic"

// Counters are counts since the start of this instance. Whatever is not done,
// dropped or ended has its name here.
type Counters struct {
	Opened, Welcomed int64 // sockets that came, and those that said a good hello
	Open             int64 // now
	Sends, Refused   int64 // send frames handled; of them answered with an error
	Events           int64 // event frames queued for sockets
	Hints            int64 // typing and presence frames queued
	HintsDropped     int64 // not queued, or not passed on, since something was full or unreachable
	BadFrames        int64 // that could not be read
	UnknownFrames    int64 // of a later version, passed over
	RateLimited      int64 // frames refused for their rate
	WorkRefused      int64 // sends refused since the socket's queue was full (Redis is slow)
	WindowFull       int64 // times that a socket's 256 unacknowledged messages were reached
	ReadFailed       int64 // reads of a stream that failed and were repeated
	Gaps             int64 // second welcomes
	Poison           int64 // times that an event which no client can read was passed over
	Unsettled        int64 // sockets that ended before their acks were settled
	Panics           int64

	// Why sockets ended.
	ClosedByClient int64 // with a close frame
	Lost           int64 // the connection broke
	Silent         int64 // nothing was heard for 75 s
	Slow           int64 // a write did not end in 10 s
	Refusals       int64 // for an error that the client was told of
	Moved          int64 // asked to go, and not gone in time
}

// counts is Counters while they count.
type counts struct {
	opened, welcomed, open, sends, refused, events, hints, hintsDropped, badFrames, unknownFrames,
	rateLimited, workRefused, windowFull, readFailed, gaps, poison, unsettled, panics,
	closedByClient, lost, silent, slow, refusals, moved atomic.Int64
}

func (c *counts) snapshot() Counters {
	return Counters{
		Opened: c.opened.Load(), Welcomed: c.welcomed.Load(), Open: c.open.Load(), Sends: c.sends.Load(), Refused: c.refused.Load(),
		Events: c.events.Load(), Hints: c.hints.Load(), HintsDropped: c.hintsDropped.Load(),
		BadFrames: c.badFrames.Load(), UnknownFrames: c.unknownFrames.Load(), RateLimited: c.rateLimited.Load(),
		WorkRefused: c.workRefused.Load(), WindowFull: c.windowFull.Load(), ReadFailed: c.readFailed.Load(),
		Gaps: c.gaps.Load(), Poison: c.poison.Load(), Unsettled: c.unsettled.Load(), Panics: c.panics.Load(),
		ClosedByClient: c.closedByClient.Load(), Lost: c.lost.Load(), Silent: c.silent.Load(), Slow: c.slow.Load(),
		Refusals: c.refusals.Load(), Moved: c.moved.Load(),
	}
}
