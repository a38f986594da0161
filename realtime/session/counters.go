package session

import "github.com/phoenixchat/phoenixchat/realtime/counter"

// Counters counts what happened on the sockets of this instance. Every way in which a frame is dropped or a socket ends
// has its own counter.
type Counters struct {
	Opened   counter.Count // sockets opened
	Welcomed counter.Count // sockets whose hello was accepted
	Open     counter.Gauge // sockets open now

	Sends         counter.Count // send frames handled
	Refused       counter.Count // frames answered with an error
	SendsRefused  counter.Count // of these, messages that were not queued
	SendsFailed   counter.Count // of these, messages refused because Redis or the server failed
	SendsRepeated counter.Count // send frames dropped because the same message waits on the socket
	Events        counter.Count // event frames queued for sockets
	Live          counter.Count // messages queued for sockets that were open when the messages were accepted
	LiveLate      counter.Count // of these, messages that took longer than 2 s
	Echoes        counter.Count // sent events that the socket which sent the message did not need
	Hints         counter.Count // typing and presence frames queued for sockets
	HintsDropped  counter.Count // hints dropped because a queue was full or Redis was unavailable
	BadFrames     counter.Count // frames that could not be decoded
	UnknownFrames counter.Count // frames of a later version of the protocol, ignored
	RateLimited   counter.Count // frames refused for their rate
	Stalled       counter.Count // times that a socket was not read because its queue of sends was full
	UnknownUIDs   counter.Count // frames refused because the user has named too many users who do not exist
	MarksDropped  counter.Count // read marks beside a user who has not written to the reader, or across a block
	WatchRefused  counter.Count // people whose presence was not reported because the user watches too many
	WindowFull    counter.Count // times that a socket reached 256 unacknowledged messages
	ReadFailed    counter.Count // reads of a stream that failed and were retried
	Gaps          counter.Count // second welcomes on a socket, because events may be missing
	Poison        counter.Count // events skipped because no client could decode them
	Unsettled     counter.Count // sockets that ended before their acks were settled
	Panics        counter.Count // panics in a goroutine of a socket

	// Why sockets ended.
	ClosedByClient counter.Count // the client sent a close frame
	Lost           counter.Count // the connection broke
	Silent         counter.Count // the client sent nothing for 75 s
	Slow           counter.Count // a write took longer than 10 s
	Refusals       counter.Count // the server closed it with an error
	Moved          counter.Count // the server closed it because it stayed after a goaway
	Replaced       counter.Count // the user opened too many; also in Refusals
	Floods         counter.Count // too many control frames or fragments; also in Refusals
}
