// Package realtime is the root of the service that keeps people connected; it
// holds no code, only this tour. See realtime/DESIGN.md for the protocol, the
// layouts in Redis and what happens when a part fails.
//
// # What comes in, and where it goes
//
// A browser opens a WebSocket to /ws (package server), says hello with an ID
// token, which is verified without a network call (package identity), and
// asks its user's gate whether it may come in (package gate). From then on the
// socket is served by package session, in the frames that package wire tells.
//
//	           ┌──────────────────────── one instance ───────────────────────┐
//	browser ──▶│ server ─▶ session ─┬─ send ─▶ inbox ──▶ Redis ──▶ every     │
//	           │                    │          (of both people)   instance   │
//	browser ◀──│ session ◀─ events ─┼───────── inbox.Feed ◀────── listen     │
//	           │                    └─ ack ──▶ settle ─▶ publish ─▶ Pub/Sub ─│─▶ persist
//	           └─────────────────────────────────────────────────────────────┘
//
// A message that is sent goes into its recipient's inbox, a stream in Redis,
// and a copy into its sender's, for the other devices (package inbox). Then
// the sender sees "sent". Every instance that serves a device of either person hears of it
// through Redis (package redissub) and relays it; a device that was away reads the stream from
// its cursor. When a device of the recipient has stored the message, it
// acknowledges its cursor, and package settle does the rest in this order:
// publish it for saving, wait for the confirmation (package publish), tell the
// sender "delivered", and only then let the inbox forget it. So a message is
// saved only after it was delivered, and waits in Redis until then.
//
// Read marks take the same way. Typing and presence (package presence) are hints:
// published, and forgotten. What the functions must tell this service (somebody was
// disabled, has left) comes through /internal/ routes of any one instance, and
// takes effect on all.
//
// # What is promised
//
// What is told "sent" reaches the recipient or stays in Redis; nothing here
// drops it. Every queue is bounded and its overflow has a name and a counter, and none of
// them loses an event: a socket that falls behind reads its stream. Whatever an
// instance forgets when it is killed is repeated by the next: cursors, acks and sends may
// all come twice. A failed Redis is told to clients as "unavailable", and
// makes them wait, not this service.
//
// Nothing in an instance is shared between users but Redis itself, the one
// subscription connection and the gathering of acks; a slow or hostile socket costs
// itself.
//
// # The packages
//
//	problem   the vocabulary of errors: kinds, codes, close codes
//	chat      what a message and a conversation are, and their limits
//	delivery  what is published for saving; persist reads it
//	wire      the WebSocket protocol, with golden frames for both ends
//	identity  who sent a token
//	listen    one subscription connection, which tells when it lost something
//	inbox     events in Redis: enqueue, read, feeds, epochs
//	settle    acknowledgements: publish, tell, forget
//	gate      who exists, may come in, and has blocked whom
//	presence  who is connected
//	session   one WebSocket, and all of an instance
//	server    HTTP: sockets, pages, internal calls, health
//	publish   Pub/Sub, and its push format on one machine
//	logging   records in Cloud Logging's form
//	cmd/realtime  the program that Cloud Run starts
//
// Packages problem, chat, delivery, identity and logging are used by functions/, too; nothing
// here imports functions/.
package realtime
