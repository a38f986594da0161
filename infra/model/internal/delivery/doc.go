// Package delivery is an explicit-state model of the delivery rules: the promises of DESIGN §2 about messages, and the
// parts of §4, §5 and §6 by which the system keeps them. A search (package search) visits the states that a scenario
// can reach, with a crash or a lost frame between any two steps, and reports each promise that a state breaks.
//
// # Scope
//
//   - Two users with two devices each, and up to three messages: a question, its reply, and another one.
//   - Redis: one inbox per user with its events, last, floor, settled, mark and pending; the devices that have
//     attached; a replica that lags behind, in each slot since another moment; epochs (server.go).
//   - Instances: the steps of a send and of an ack, each step atomic, with other steps, faults and crashes in between.
//     An instance goes on with a task after the socket it came from is gone.
//   - Devices: outbox, frozen sort keys, cursor, caught_up, cumulative acks, early receipts, gaps and backfills, two
//     sockets at once after a goaway (device.go).
//   - Pub/Sub and persist: a published message is saved at any later time, in any order, several times.
//   - Withdrawals: a message that waits is refused to its sender and then removed from the middle of the inbox, at any
//     moment. A device may have it already; then it is restored and delivered (withdraw.go).
//   - Faults, each with a budget: lost sockets, crashes, failovers, wipes, expiry, page reloads, goaways (faults.go).
//
// # Simplifications
//
// The model does more than the system, or something simpler, in these places:
//
//   - Each device has an instance to itself. Two devices of a user settle the same inbox from two instances.
//   - Frames on one socket arrive in order, one event at a time, or are lost with the socket. The wake channel is
//     left out: an instance reads the stream at any time.
//   - An event and its consequences are stored in one transaction. A crash of the device between two transactions is
//     a reload.
//   - The list of an ack is always read from the stream. (package settle reads it from memory if that covers it.) What
//     is marked is forgotten at any time. (Scripts do it that look at what waits.)
//   - An ack goes out on the newest socket, up to what that socket brought. (Devices ack on the socket that brought
//     the event.)
//   - Acks, sends and persist are retried until they succeed. Refused sends, limits, gates, read marks and deleted
//     users are left out. A sender who learns of a refusal does not send that message again; one who has not learned of
//     it may.
//   - A removed message is kept until its inbox is lost. (Redis keeps it for 10 minutes.) If the inbox of its recipient
//     is lost while a device has it, either outcome is accepted: nobody but that device knows.
//   - The scenarios with withdrawals have no goaways, because acks of the model go out on the newest socket only. A
//     message that was removed and sent again is not removed a second time. At most two messages are withdrawn: a
//     cursor tells apart what its device has of the messages that were removed before and after one moment, not
//     several.
//   - History is loaded in one step. After a gap it is loaded again as long as that brings something new. (Devices
//     load again after 1, 5 and 15 minutes, and when a conversation is opened: the model assumes that what is missing
//     is saved by then.)
//   - Sockets are replaced hourly only when nothing else is going on, once per message (stepper.rotate). No search has
//     shown that the promises need this; it repeats sends at odd moments.
//   - A device that cannot resume stores its new cursor at once, and not with the first event.
//   - A change of a message is a message here. The system handles both in one code path (wire.Waits in Go, awaits_ack
//     in Lua), so the promises about messages hold for changes too. Their order does not matter: the fold of changes is
//     commutative, associative and idempotent, which property tests show in both languages. Left out are changes that
//     arrive before their message, and GET /messages/changes; the simulation and the fault tests have both.
//   - Time does not pass. Retention is a number of events; an age is not modeled.
//
// Searches tell states apart by a 64-bit hash. An inbox holds 16 events; steps beyond that are cut off and counted
// (Model.Truncated), and a state with such a step never counts as quiescent.
//
// # Reading a counterexample
//
// A violation comes with a trace: one line per step from the start, and an indented line for what else the step did.
//
//	A0 sends m0 at=1
//	enqueue m0 for B as event 2, at=1
//	B0 stores event 2 (message 001, at=1) from socket 0
//	B0 acks 2
//	  B0 acknowledges up to 2: messages 001 are to be published
//	  B is marked up to 2
//	FAULT: the instance of B0 crashes
//	  B forgets up to 2, floor 0
//	B0 opens a socket with cursor 1 (last 1, floor 0, settled 1): resumed=true
//
// These are lines of a trace from the mutant mark-before-publish. The message was marked before it was published,
// so no instance publishes it any more.
//
//   - Sets of messages are printed as bits, m0 last.
//   - Socket 0 is the newest, socket 1 the older one after a goaway.
//   - Stream IDs are numbered anew after each step, without gaps, so an event may have another ID later in the trace.
//
// Breadth-first search prints the shortest trace. Read it backwards from the broken promise, and ask which rule of the
// code should have prevented the step. If the code has such a rule, the model lacks it. If not, the code has a bug, and
// the trace is its test.
//
// # Extending the model
//
//  1. Add what the rule needs to State. Fields are plain bytes without padding (a test checks that).
//  2. Write the rule in server.go or device.go, and list it as a step in step.go or as a fault in faults.go. A step
//     changes the state that it gets and is atomic. Describe it with notef.
//  3. If a field loses its meaning at some point, clear it in canonical.go. Each field that is left set for nothing
//     doubles the number of states.
//  4. State the promise in promises.go.
//  5. Add a mutant that breaks the rule, and a row to the table of the mutants' test. A rule that no mutant shows to
//     be needed is either not checked or not needed.
//  6. Add a scenario. Exhaustive ones in the tests have at most some 100,000 states.
package delivery
