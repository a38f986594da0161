package crowd

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Chat is a load that resembles people: one writes some messages in a row, typing before each, the other reads them and
// answers. Pauses between such bursts, and the lengths of messages, have long tails. Each user talks with two others.
// The bare relay carries the messages alone.
type Chat struct {
	Rate float64 // messages per second, on average
	Seed uint64
}

const (
	meanBurst = 3                      // messages
	meanGap   = 700 * time.Millisecond // between two messages of a burst
	readAfter = 500 * time.Millisecond // from the last message of a burst
	tail      = 1.5                    // exponent of the Pareto distribution of pauses
)

// action is one thing that a user does.
type action struct {
	at       time.Duration
	from, to int
	kind     actionKind
	size     int // of a message, in bytes
}

type actionKind int

const (
	sendMessage actionKind = iota
	showTyping
	setReadMark
)

// ChatUsersFor returns how many users a rate needs. A person seldom sends more than one message in two seconds.
func ChatUsersFor(rate float64) int { return max(4, 2*int(math.Ceil(rate/perPerson/2))) }

const perPerson = 0.5 // messages per second

// Ring returns the conversations of a Chat among n users, each with two of them.
func Ring(n int) (out [][2]int) {
	for u := range n {
		out = append(out, [2]int{u, (u + 1) % n})
	}
	return out
}

// plan returns what the users of all conversations do within the given time, in order.
func (m Chat) plan(conversations [][2]int, over time.Duration) (out []action) {
	rnd := rand.New(rand.NewPCG(m.Seed, 1))
	cycle := time.Duration(meanBurst * float64(len(conversations)) / m.Rate * float64(time.Second))
	meanPause := max(cycle-(meanBurst-1)*meanGap, cycle/4)
	for _, c := range conversations {
		at := -time.Duration(rnd.Float64() * float64(cycle)) // the conversation has begun at some time before
		for at < over {
			from, to := c[0], c[1]
			if rnd.IntN(2) == 1 {
				from, to = to, from
			}
			for {
				gap := time.Duration(rnd.ExpFloat64() * float64(meanGap))
				out = append(out, action{at: at + gap/2, from: from, to: to, kind: showTyping})
				at += gap
				out = append(out, action{at: at, from: from, to: to, kind: sendMessage, size: bodySize(rnd)})
				if rnd.Float64() < 1.0/meanBurst {
					break
				}
			}
			out = append(out, action{at: at + readAfter, from: to, to: from, kind: setReadMark})
			pareto := math.Pow(1-rnd.Float64(), -1/tail) * (tail - 1) / tail // mean 1
			at += time.Duration(pareto * float64(meanPause))
		}
	}
	out = slices.DeleteFunc(out, func(a action) bool { return a.at < 0 || a.at >= over })
	slices.SortStableFunc(out, func(a, b action) int { return int(a.at - b.at) })
	return out
}

// bodySize returns the size of a message: mostly a sentence, sometimes a page.
func bodySize(rnd *rand.Rand) int {
	switch p := rnd.Float64(); {
	case p < 0.80:
		return 10 + rnd.IntN(110)
	case p < 0.98:
		return 120 + rnd.IntN(400)
	default:
		return 1000 + rnd.IntN(1000)
	}
}

// Run lets the users chat for the given time.
func (m Chat) Run(ctx context.Context, c *Crowd, over time.Duration) {
	actions := m.plan(Ring(len(c.users)), over)
	body := []byte(strings.Repeat("x", 2000))
	begin := time.Now()
	end := giveUp(begin, over)
	var all sync.WaitGroup
	for first := range senders {
		all.Go(func() {
			for k := first; k < len(actions); k += senders {
				a := actions[k]
				due := begin.Add(a.at)
				if !sleepUntil(ctx, due) || time.Now().After(end) {
					return
				}
				c.act(a, due, body)
			}
		})
	}
	all.Wait()
}

// act does what a says.
func (c *Crowd) act(a action, due time.Time, body []byte) {
	p, people := c.protocol.(chatV1)
	switch {
	case a.kind == sendMessage:
		c.send(a.from, a.to, due, body[:a.size])
	case !people: // the bare relay knows only messages
	case a.kind == showTyping:
		c.users[a.from][sendingDevice].write(p.typing(uid(a.to)))
	default:
		if at, ok := c.marks.next(a.from, a.to); ok {
			devices := c.users[a.from]
			reader := devices[len(devices)-1] // people read on another device than they write on
			reader.write(p.read(chat.ConversationID(uid(a.from), uid(a.to)), at))
		}
	}
}
