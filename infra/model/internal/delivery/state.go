package delivery

import (
	"hash/maphash"
	"unsafe"
)

// Capacities of a state. They are array sizes, so that a state is one block of bytes without pointers: it is
// copied with an assignment and compared by the hash of its bytes. Model.Truncated counts the transitions that
// did not fit into maxEvents.
const (
	users       = 2
	devices     = 4
	maxMessages = 3
	maxEvents   = 16 // per inbox
	maxTasks    = 8
)

// user is A or B.
type user uint8

// device is A0, A1, B0 or B1.
type device uint8

const (
	deviceA0 device = iota
	deviceA1
	deviceB0
	deviceB1
)

var (
	userNames   = [users]string{"A", "B"}
	deviceNames = [devices]string{"A0", "A1", "B0", "B1"}
)

func (u user) String() string   { return userNames[u] }
func (u user) peer() user       { return 1 - u }
func (d device) String() string { return deviceNames[d] }
func (d device) user() user     { return user(d / 2) }

// message is m0, m1 or m2. A0 writes m0 and m2 at the start; B0 writes m1, its reply to m0, once it shows m0.
type message uint8

const (
	question message = 0
	reply    message = 1
)

var senders = [maxMessages]device{deviceA0, deviceB0, deviceA0}

func (m message) sender() device  { return senders[m] }
func (m message) recipient() user { return senders[m].user().peer() }

// devicesSet is a set of devices.
type devicesSet uint8

func (s devicesSet) others(d device) bool { return s&^(1<<d) != 0 }
func (s *devicesSet) add(d device)        { *s |= 1 << d }

// messages is a set of messages.
type messages uint8

func (s messages) has(m message) bool { return s>>m&1 == 1 }
func (s *messages) add(m message)     { *s |= 1 << m }
func (s *messages) remove(m message)  { *s &^= 1 << m }

// streamID is the id of an event in an inbox. IDs only grow, but they may have gaps. The zero ID precedes all events.
type streamID uint8

// timestamp is a message's sort key, `at` in DESIGN §3. Zero means that the message is not shown.
type timestamp uint8

// unknownTime is the sort key of an own message that was not transmitted yet.
const unknownTime timestamp = 99

// epoch names an inbox between two losses of data (DESIGN §3).
type epoch uint8

type eventType uint8

const (
	noEvent eventType = iota
	messageEvent
	sentEvent
	deliveredEvent
	refusedEvent
)

var eventNames = [...]string{"", "message", "sent", "delivered", "refused"}

func (t eventType) String() string { return eventNames[t] }

// event is one entry of an inbox. A delivered event may be about several messages, any other about one.
type event struct {
	id    streamID
	typ   eventType
	about messages
	at    timestamp
}

// inbox is what Redis holds for one user: the stream, its meta hash and its pending hash (DESIGN §5).
type inbox struct {
	exists    bool
	count     uint8 // of events
	events    [maxEvents]event
	last      streamID
	floor     streamID // events up to here may be missing
	settled   streamID // messages up to here were acknowledged, published and reported to their senders, and forgotten
	marked    streamID // messages up to here were, and may still have to be forgotten
	markedIn  epoch    // in which marked means something
	pendingID [maxMessages]streamID
	pendingAt [maxMessages]timestamp
	known     devicesSet // that have attached: their user's other devices get sent events

	// Messages that were removed while they waited. They are kept beside the stream, to be restored if a device has them.
	removals  uint8 // so far; numbers the next one
	removedID [maxMessages]streamID
	removedAt [maxMessages]timestamp
	removedNo [maxMessages]uint8 // number of the removal
	restored  messages           // wait again, and are not withdrawn a second time
}

// claim is the part of a cursor that says which removed messages its device has: those up to the cursor that a later
// removal than seen removed, and those up to held that a removal in (base, seen] removed.
type claim struct {
	seen, base uint8
	held       streamID
}

// includes reports whether a device with this cursor has the message that a removal removed.
func (c claim) includes(cursor streamID, no uint8, removed streamID) bool {
	if no > c.seen {
		return removed <= cursor
	}
	return no > c.base && removed <= c.held
}

// status is what a device knows about a message of its own user.
type status uint8

const (
	absent status = iota
	waiting
	sent
	refused
	delivered
)

// deviceState is a device's database, its sockets, and what the instances remember of these sockets.
type deviceState struct {
	used, online bool

	// The device's database. It survives a reload.
	firstVisit bool
	cursor     streamID
	claim      claim // part of the cursor
	epoch      epoch // of the cursor and, while online, of the sockets
	gap        bool  // events may be missing: history must be loaded before the outbox is sent on
	reload     bool  // there was a gap: history is loaded again, since messages may be saved late
	backfill   messages
	early      messages // a delivered event came before the message
	refusals   messages // a refused event came before the message
	shown      [maxMessages]timestamp
	frozenAt   [maxMessages]timestamp // sort keys of own transmitted messages
	status     [maxMessages]status

	// The newest socket, and the older one that stays open until the newest has caught up.
	overlap    bool
	resync     bool // goaway (resync) was sent
	ackDue     bool
	position   [2]streamID // newest event sent on the newest socket, and on the older one
	claims     [2]claim    // of the cursors of these positions
	caughtUpAt streamID    // the socket has caught up at this event
	tried      messages    // sent on this socket
	rotated    messages    // sent once more, as the hourly rotation of sockets does
}

type taskKind uint8

const (
	noTask taskKind = iota
	sendTask
	ackTask
	withdrawTask
)

// The steps of a send, of an ack and of a withdrawal (DESIGN §5, "Enqueue", "Ack and settle" and "Withdraw"). An
// instance may crash between any two.
const (
	stepEnqueue uint8 = iota + 1
	stepDevices
	stepCopy
	stepSentFrame
)

const (
	stepPublish uint8 = iota + 1
	stepReport
	stepMark
	stepRestore // only if a message was removed meanwhile
)

const (
	stepRefuse uint8 = iota + 1
	stepRemove
)

// task is a send, an ack or a withdrawal that an instance is working on.
type task struct {
	kind     taskKind
	step     uint8
	dev      device
	orphaned bool // its socket is gone; the instance goes on

	// Of a send or a withdrawal. A withdrawal also has upto, the event to remove, and epoch.
	msg   message
	at    timestamp
	alone bool // the sender has no other device, so that no sent event is needed

	// Of an ack: what it covers, the messages that it publishes, and what they were derived from.
	upto  streamID
	base  streamID // settled when the list was read
	epoch epoch
	list  messages
	ats   [maxMessages]timestamp
}

// State is one state of the whole system. Use Model.Initial and Model.Successors to get states. Its size is a
// multiple of 4 bytes, so that no hidden padding is hashed.
type State struct {
	published [maxMessages]uint32 // bit t: persist has yet to write the message with sort key t
	inbox     [users]inbox
	replica   [users]inbox // what a failover will keep of a lagging slot
	device    [devices]deviceState
	tasks     [maxTasks]task
	archive   [maxMessages]timestamp // Firestore
	lagging   [users]bool
	newestID  [users]streamID // where the clock that stream ids come from is
	clock     timestamp       // where the clock that sort keys come from is
	epoch     [users]epoch    // of each inbox
	stored    messages        // by some device of the recipient
	copied    messages        // the sent event was appended at least once
	witnessed messages        // another device of the sender had attached when the message was queued
	refused   messages        // the refused event was appended at least once
	faults    Faults          // that may still happen
	broken    violation
	overflow  bool
}

var hashSeed = maphash.MakeSeed()

// Hash returns a hash of a state that Successors returned. It is never zero. Searches compare states by their hashes
// alone: at ten million states the chance that any two share a hash is about 3 in a million.
func (s *State) Hash() uint64 {
	h := maphash.Bytes(hashSeed, unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)))
	if h == 0 {
		return 1
	}
	return h
}

// addTask starts a task. The caller has checked hasRoom.
func (s *State) addTask(t task) {
	for i := range s.tasks {
		if s.tasks[i].kind == noTask {
			s.tasks[i] = t
			return
		}
	}
	s.overflow = true
}

// hasRoom reports whether one more task fits.
func (s *State) hasRoom() bool {
	for i := range s.tasks {
		if s.tasks[i].kind == noTask {
			return true
		}
	}
	return false
}

// idle reports whether no instance is working on a task.
func (s *State) idle() bool { return s.tasks == [maxTasks]task{} }
