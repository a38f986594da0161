// Package realtime is the root of the service that delivers messages while people are connected. It contains no code,
// only this tour. See DESIGN.md for the whole design: promises, names, protocol, Redis keys, and failures.
//
// # The path of a message
//
// A browser opens a WebSocket to /ws (package server). It says hello with an ID token, which package identity verifies
// without a network call. Package gate then decides whether this user may connect. From there on package session serves
// the socket. Package wire documents the frames.
//
//	           ┌──────────────────────── one instance ───────────────────────┐
//	browser ──▶│ server ─▶ session ─┬─ send ─▶ inbox ──▶ Redis ──▶ every     │
//	           │                    │        (of both users)      instance   │
//	browser ◀──│ session ◀─ events ─┼───────── inbox.Feed ◀──── redissub     │
//	           │                    └─ ack ──▶ settle ─▶ publish ─▶ Pub/Sub ─│─▶ persist
//	           └─────────────────────────────────────────────────────────────┘
//
// A message takes these steps:
//
//  1. Package inbox appends it to the inbox of its recipient, which is a stream in Redis, and a copy to the inbox of
//     its sender, for the sender's other devices. The sender now sees "sent".
//  2. Every instance that serves a device of either user hears about it through Redis (package redissub) and sends it
//     to those devices. A device that was offline reads the stream from its cursor.
//  3. When a device of the recipient has stored the message, it acknowledges its cursor.
//  4. Package settle publishes the message for saving (package publish) and waits for the confirmation. Then it reports
//     "delivered" to the sender. Only then does it remove the message from the inbox.
//
// So a message is saved only after it was delivered. Until then it waits in Redis. If its recipient has a device that
// is registered for push, nobody looks at any, and the recipient has ever answered the sender, package away publishes
// an event, and the function notify sends a push.
//
// Read marks take the same way, but some, such as those in the request of a stranger, go only to the reader's own
// devices. Typing and presence (package presence) are hints: they are published, and never stored. The functions call
// the /internal/ routes of any one instance (package internalapi) when a user was disabled or deleted; the change
// applies on all instances. persist calls one when devices may show another content than the archive.
//
// # Promises
//
//   - A message for which its sender has seen "sent" reaches its recipient or stays in Redis. Nothing here drops it.
//   - Every queue is bounded. Each overflow has a defined outcome and a counter (package counter), and none of them
//     loses an event: a socket that falls behind reads the stream of its inbox.
//   - An instance may be killed at any time. Cursors, acks and sends are idempotent, so that another instance repeats
//     the work that was lost.
//   - If Redis fails, clients receive "unavailable" and try again. The service itself does not block.
//   - Users share nothing in an instance except its connections to Redis and the batches in which acks are settled. A
//     slow or hostile socket harms only itself.
//
// # The packages
//
// Messages and protocols:
//
//	chat         messages and conversations, and their limits
//	wire         the WebSocket protocol, with golden frames and scenarios for both clients
//	delivery     the format in which messages are published for saving; persist decodes it
//	problem      the errors of both services: kinds, codes, HTTP statuses, close codes
//	internalapi  the contract of the /internal/ routes, with its client
//
// Parts of an instance:
//
//	server       HTTP: sockets, pages, internal routes, health
//	session      one WebSocket, and the set of all sockets of an instance
//	identity     verifies ID tokens
//	gate         decides who exists, who may connect, and who has blocked whom
//	inbox        events in Redis: append, read, feeds, epochs
//	redissub     the one subscription connection of an instance, which reports when it may have missed something
//	settle       settlement of acks: publish, report, remove
//	publish      publishes to Pub/Sub
//	trace        log lines that follow one message to the archive
//	presence     who is connected, and at whose devices somebody looks
//	away         publishes messages that wait for people who are away
//	cmd/realtime the program that Cloud Run runs
//
// Tools:
//
//	env          settings from environment variables
//	logging      logs in the format of Cloud Logging
//	clientaddr   the address of a client behind proxies, and its networks for limits
//	counter      counters of an instance
//	script       Lua scripts for Redis
//
// For tests: redistest (miniredis, a Redis server and a Redis cluster), testwait (fake clocks), and server/servertest
// (whole instances in memory).
//
// The functions use packages away, chat, clientaddr, delivery, env, identity, internalapi, logging and problem. Nothing
// here imports the functions.
//
// Edits, deletions and reactions are changes of a message. A change takes the path of a message: whatever is said here
// of one that is sent, waits, is acknowledged, published or refused holds for a change as well.
package realtime
