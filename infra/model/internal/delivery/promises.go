package delivery

// violation is a broken promise that a single transition shows. The others show in quiescent states.
type violation uint8

const (
	archivedTooEarly violation = iota + 1
	sentTooEarly
	receiptForgotten
	settledTooFar
	removedTooEarly
	restoredForNothing
)

// Violations names the promises of DESIGN §2 that a state breaks. Those about what happens in the end are only checked
// if the state is quiescent: nothing but a fault can change it any more.
func (m *Model) Violations(s *State, quiescent bool) []string {
	switch s.broken {
	case archivedTooEarly:
		return []string{"promise 2: a message is archived before a recipient's device has stored it"}
	case sentTooEarly:
		return []string{"promise 4: the sent frame goes out before the sender's other devices can learn of the message"}
	case receiptForgotten:
		return []string{"promise 4: a device shows a message as sent after it got the delivered event"}
	case settledTooFar:
		return []string{"promise 1: a mark passes a message that is not published"}
	case removedTooEarly:
		return []string{"promise 1: a message is removed before its sender can learn that it is refused"}
	case restoredForNothing:
		return []string{"promise 1: a refused message that no device of the recipient has comes back"}
	}
	if !quiescent {
		return nil
	}
	c := checker{m: m, s: s}
	for i := range message(m.Messages) {
		c.message(i)
	}
	for i := range message(m.Messages) {
		for j := i + 1; j < message(m.Messages); j++ {
			c.order(i, j)
		}
	}
	return c.broken
}

// checker collects the broken promises of a quiescent state.
type checker struct {
	m      *Model
	s      *State
	broken []string
}

func (c *checker) require(holds bool, promise string) {
	if !holds {
		c.broken = append(c.broken, promise)
	}
}

// message checks what became of one message.
func (c *checker) message(i message) {
	s, from := c.s, i.sender()
	if s.device[from].status[i] == absent {
		// The reply is only written if B0 takes part and shows the question.
		c.require(i == reply, "model: a message was never written")
		return
	}
	if s.device[from].status[i] == refused && c.refused(i) {
		return
	}
	c.require(s.archive[i] != 0, "promise 1: a message is never archived")
	c.require(s.stored.has(i), "promise 1: a message is never stored on a device of the recipient")
	c.require(s.device[from].status[i] == delivered, "promise 4: the sending device never learns of the delivery")
	c.require(s.device[from].shown[i] != unknownTime, "promise 3: the sending device never learns the sort key")
	c.require(!c.m.waits(s, i), "promise 1: a message waits forever")
	for d := range device(devices) {
		v := &s.device[d]
		if !v.used {
			continue
		}
		switch {
		case d == from:
		case d.user() != from.user():
			c.require(v.shown[i] != 0, "promise 1: a device of the recipient misses a message without knowing")
		case v.shown[i] == 0:
			c.require(false, "promise 3: the sender's second device never shows the message")
		default:
			c.require(v.status[i] == delivered, "promise 4: the sender's second device never learns of the delivery")
		}
		if s.archive[i] != 0 && v.shown[i] != 0 && v.shown[i] != unknownTime {
			c.require(v.shown[i] == s.archive[i], "promise 3: a device keeps another sort key than the archive")
		}
	}
}

// refused checks a message that its sending device shows as refused. It reports false if the message must be delivered
// all the same, because a device of the recipient has it. (If the recipient's inbox was lost in between, that device
// cannot tell any more that it has the message, and is alone with it.)
func (c *checker) refused(i message) bool {
	s, from := c.s, i.sender()
	if s.archive[i] != 0 || s.stored.has(i) && s.epoch[i.recipient()] == 0 {
		return false
	}
	c.require(!c.m.waits(s, i), "promise 1: a refused message waits forever")
	for d := 2 * from.user(); d < 2*from.user()+2; d++ {
		v := &s.device[d]
		missed := v.reload || v.shown[i] == 0 // it shows a gap, or does not show the message
		if v.used && device(d) != from && !missed {
			c.require(v.status[i] == refused, "promise 4: the sender's second device never learns of the refusal")
		}
	}
	return true
}

// order checks the places of two messages.
func (c *checker) order(i, j message) {
	archived := compare(&c.s.archive, i, j)
	if i == question && j == reply {
		c.require(archived >= 0, "promise 3: a reply sorts before its question")
	}
	for d := range c.s.device {
		v := &c.s.device[d]
		if !v.used || archived == 0 {
			continue
		}
		shown := compare(&v.shown, i, j)
		c.require(shown == 0 || shown == archived, "promise 3: a device shows another order than the archive")
	}
}

// compare returns 1 if message i comes before j, -1 if it comes after it, and 0 if one of them has no place.
func compare(at *[maxMessages]timestamp, i, j message) int {
	a, b := at[i], at[j]
	switch {
	case a == 0 || b == 0 || a == unknownTime || b == unknownTime:
		return 0
	case a < b || (a == b && i < j):
		return 1
	}
	return -1
}
