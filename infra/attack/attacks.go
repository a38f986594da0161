package main

import (
	"context"
	"strings"
)

// attack is one kind of harm that a hostile person tries to do.
type attack struct {
	name  string
	limit string // what may have an effect
	run   func(ctx context.Context, w *world) (result, error)
	waits bool // it mostly waits, so it runs beside the others
}

// result counts the attempts of an attack.
type result struct {
	tried   int
	through int    // attempts that had an effect beyond the limit
	note    string // what got through
}

// attempt counts an attempt, and notes its name if it got through.
func (r *result) attempt(name string, through bool) {
	r.tried++
	if through {
		r.through++
		r.note = strings.TrimPrefix(r.note+", "+name, ", ")
	}
}

// beyond returns how far n exceeds a limit.
func beyond(n, limit int) int { return max(0, n-limit) }

// attacks in the order in which they are made. Those that fill memory come first, when there is little else in it.
var attacks = []attack{
	// Redis and memory.
	{name: "fill-redis", limit: "20 new people a day, 5 messages and 64 KiB for each", run: fillRedis},
	{name: "fill-friends", limit: "4 MiB wait for people who have answered", run: fillFriends},
	{name: "stranger", limit: "5 messages until the stranger answers; no limit afterwards", run: strangerMessages},
	{name: "sender-disabled", limit: "nothing that waited", run: senderDisabled},
	{name: "sender-deleted", limit: "nothing that waited", run: senderDeleted},
	{name: "recipient-blocks", limit: "nothing that waited", run: recipientBlocks},
	{name: "eternal-keys", limit: "no key without an expiry", run: eternalKeys},
	{name: "after-deletion", limit: "no key without an expiry", run: sendAfterDeletion},
	{name: "parked-memory", limit: "1.5 MiB of memory per socket, of both ends", run: parkedMemory},
	{name: "many-sockets", limit: "10 sockets of a user; the oldest ones close", run: manySockets},
	{name: "eviction-loop", limit: "12 devices, 1 dial each", run: evictionLoop},

	// The archive.
	{name: "theirs-first", limit: "no message is missing from the history", run: theirsFirst},
	{name: "other-content", limit: "no device differs from the history", run: otherContent},
	{name: "changes-of-others", limit: "no message is changed or added", run: changesOfOthers},

	// Floods of a socket.
	{name: "pings", limit: "2,000 answers", run: pings},
	{name: "pongs", limit: "1 MiB before the socket closes", run: pongs},
	{name: "continuations", limit: "1 MiB before the socket closes", run: continuations},
	{name: "unknown-frames", limit: "100 frames before the socket closes", run: unknownFrames},
	{name: "large-frames", limit: "2 MiB at once and 768 KiB a second", run: largeFrames},
	{name: "slow-fragments", limit: "one message that lasts at most 20 s", run: slowFragments, waits: true},
	{name: "hello-places-64", limit: "200 sockets of a /64 before hello", run: helloPlaces64},
	{name: "hello-places-48", limit: "250 sockets of a /48 before hello", run: helloPlaces48},
	{name: "hello-places", limit: "a third of the places before hello", run: helloPlacesEverywhere},
	{name: "bad-origin", limit: "no WebSocket", run: badOrigin},

	// Paid operations and strangers.
	{name: "reactions", limit: "12 reactions to a message at once, and 6 a minute", run: reactions},
	{name: "read-random", limit: "60 look-ups of users", run: readRandom},
	{name: "read-strangers", limit: "no event in another inbox, no conversation", run: readStrangers},
	{name: "unknown-people", limit: "60 look-ups of users", run: unknownPeople},
	{name: "list-flood", limit: "budget of one person", run: listFlood},
	{name: "search-flood", limit: "budget of one person", run: searchFlood},
	{name: "conversations-flood", limit: "budget of one person", run: conversationsFlood},
	{name: "export-flood", limit: "3 exports", run: exportFlood},
	{name: "profile-flood", limit: "20 changes", run: profileFlood},
	{name: "blocked", limit: "no frame and no page, in both directions", run: blocked},
	{name: "request", limit: "no trace of a stranger who reads it", run: requestLeaks},
	{name: "accept-strangers", limit: "20 new people", run: acceptStrangers},
	{name: "unconfirmed", limit: "3 new people a day, and 20 once the address is confirmed", run: unconfirmed},
	{name: "privacy", limit: "nothing that somebody hides", run: againstPrivacy},
	{name: "presence-scrape", limit: "300 people an hour", run: presenceScrape},
	{name: "directory-scrape", limit: "1,000 people", run: directoryScrape},
	{name: "renames", limit: "2 new usernames", run: renames},
	{name: "imitations", limit: "no name", run: imitations},

	// Accounts and sign-ins.
	{name: "squatter", limit: "no admin", run: squatter},
	{name: "session-after-reset", limit: "5 s", run: sessionAfterReset},
	{name: "address-of-other", limit: "5 s after its owner has reset the password", run: addressOfAnother},
	{name: "session-after-out", limit: "no token of the session", run: sessionAfterSignOut},
	{name: "address-drift", limit: "no address that its owner has not confirmed", run: addressDrift},
	{name: "old-admin", limit: "no answer without a sign-in of the last 15 minutes with a second factor", run: oldAdmin},
	{name: "csv-formulas", limit: "no cell that a spreadsheet calculates", run: csvFormulas},
	{name: "reset-links", limit: "only the address that the launcher printed", run: resetLinks},
}
