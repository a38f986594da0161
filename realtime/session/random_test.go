package session_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run only the random history of this seed")
	runsFlag = flag.Int("histories", 15, "random histories to run")
)

// device is one device of a person with the least of the client's rules: it keeps what it got and its cursor,
// acknowledges when it is told to, and has an outbox that it repeats, unchanged and in order, until it is delivered.
type device struct {
	uid    string
	at     int // the instance of its socket
	socket *servertest.Socket
	live   bool // caught up

	cursor   string
	got      []chat.Message // messages to or from the user, as they first came
	owed     []string       // ids that it was told are delivered: to be loaded if it never sees them
	outbox   []wire.ClientFrame
	sent     map[string]bool // answered with sent, once
	resumed  int
	welcomes int
}

// history is one random run.
type history struct {
	t       *testing.T
	rnd     *rand.Rand
	rig     *servertest.Rig
	servers []*servertest.Instance
	devices []*device
	wrote   map[string]string // id → body
	nth     int
	wiped   bool
}

// TestRandomHistories drives two people with two devices each through random sends, acks, lost connections, killed and
// drained instances, a Redis that is cut off, slow and wiped, and a Pub/Sub that fails. Then everything is mended, and
// all must have everything, in one order, saved after it was delivered.
func TestRandomHistories(t *testing.T) {
	first, runs := rand.Uint64(), *runsFlag
	if *seedFlag != 0 {
		first, runs = *seedFlag, 1
	}
	for i := range runs {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &history{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), rig: servertest.New(t, alice, bob), wrote: map[string]string{}}
				h.run()
			})
		})
	}
}

func (h *history) start() *servertest.Instance {
	return h.rig.Start(func(d *server.Deps) { d.ResyncOver = time.Second })
}

func (h *history) run() {
	h.servers = []*servertest.Instance{h.start(), h.start()}
	for _, uid := range []string{alice, alice, bob, bob} {
		h.devices = append(h.devices, &device{uid: uid, sent: map[string]bool{}})
	}
	wipes := h.rnd.IntN(4) == 0
	for range 60 + h.rnd.IntN(60) {
		d := h.devices[h.rnd.IntN(len(h.devices))]
		switch n := h.rnd.IntN(100); {
		case n < 35:
			h.write(d)
		case n < 55:
			h.ack(d)
		case n < 65:
			h.drop(d)
		case n < 80:
			h.connect(d)
		case n < 83:
			h.replace(h.rnd.IntN(len(h.servers)), true)
		case n < 86:
			h.replace(h.rnd.IntN(len(h.servers)), false)
		case n < 90:
			in := h.servers[h.rnd.IntN(len(h.servers))]
			in.Redis.Down(true)
			h.wait(time.Duration(h.rnd.IntN(8000)) * time.Millisecond)
			in.Redis.Down(false)
		case n < 93:
			h.rig.Published.Fail(errors.New("pub/sub is down"))
		case n < 96:
			h.rig.Published.Fail(nil)
		case n < 97 && wipes:
			h.rig.Mini.FlushAll()
			h.wiped = true
		default:
			h.wait(time.Duration(h.rnd.IntN(5000)) * time.Millisecond)
		}
		h.read()
	}
	h.settle()
	h.judge()
}

// write puts a message into the device's outbox and sends it where it can.
func (h *history) write(d *device) {
	to := alice
	if d.uid == alice {
		to = bob
	}
	h.nth++
	m := servertest.Message(to, fmt.Sprint(h.nth))
	for _, o := range d.got { // after what is on its screen
		m.At = max(m.At, o.At+1)
	}
	for _, o := range d.outbox {
		m.At = max(m.At, o.At+1)
	}
	h.wrote[m.ID] = m.Body
	d.outbox = append(d.outbox, m)
	if d.live {
		d.socket.Send(m)
	}
}

// ack acknowledges what the device has.
func (h *history) ack(d *device) {
	if d.live && d.cursor != "" {
		d.socket.Ack(d.cursor)
	}
}

func (h *history) drop(d *device) {
	if d.socket != nil {
		d.socket.Break()
		d.socket, d.live = nil, false
	}
}

func (h *history) connect(d *device) {
	if d.socket != nil {
		return
	}
	d.at = h.rnd.IntN(len(h.servers))
	s, _ := h.servers[d.at].TryDial(h.t, servertest.DialOptions{})
	if s == nil {
		return
	}
	d.socket = s
	s.UID = d.uid
	s.Send(wire.ClientFrame{Type: wire.TypeHello, Token: servertest.Token(d.uid, nil), Device: "d", Cursor: d.cursor})
}

// replace ends an instance, by kill or in order, and starts another one in its place.
func (h *history) replace(i int, kill bool) {
	if kill {
		h.servers[i].Kill()
	} else {
		h.servers[i].Stop()
	}
	h.servers[i] = h.start()
}

// wait lets time pass while devices read.
func (h *history) wait(d time.Duration) {
	testwait.Advance(d)
	h.read()
}

// read lets every device take what has come.
func (h *history) read() {
	synctest.Wait()
	for _, d := range h.devices {
		for d.socket != nil {
			f, open, ok := d.socket.TryNext()
			if !open {
				d.socket.Break()
				d.socket, d.live = nil, false
			}
			if !ok {
				break
			}
			h.take(d, f)
		}
	}
}

func (h *history) take(d *device, f wire.ServerFrame) {
	switch f := f.(type) {
	case wire.Welcome:
		if d.welcomes++; f.Resumed {
			d.resumed++
		}
	case wire.CaughtUp:
		d.live, d.cursor = true, f.Cursor
		for _, m := range d.outbox {
			d.socket.Send(m)
		}
	case wire.Sent:
		d.sent[f.ID] = true
	case wire.ErrorFrame:
		if f.ID != "" && f.RetryAfterMS == 0 {
			h.t.Fatalf("refused for ever: %+v", f)
		}
	case wire.EventFrame:
		d.cursor = f.Cursor
		e, err := wire.DecodeEvent(f.Event)
		if err != nil {
			h.t.Fatal(err)
		}
		switch e := e.(type) {
		case wire.MessageEvent:
			if !slices.ContainsFunc(d.got, func(m chat.Message) bool { return m.ID == e.ID }) {
				d.got = append(d.got, e.Message)
			}
		case wire.DeliveredEvent:
			for _, ref := range e.Messages {
				h.delivered(d, ref.ID)
			}
		}
	}
}

// delivered checks the main rule: by then the message is saved, and some device of its recipient has it.
func (h *history) delivered(d *device, id string) {
	if !slices.Contains(h.rig.Published.Messages(h.t), id) {
		h.t.Fatalf("%s was told delivered and is not saved", id)
	}
	d.owed = append(d.owed, id)
	d.outbox = slices.DeleteFunc(d.outbox, func(m wire.ClientFrame) bool { return m.ID == id })
}

// settle mends everything and lets it run until nothing moves.
func (h *history) settle() {
	h.rig.Published.Fail(nil)
	for range 40 {
		for _, d := range h.devices {
			h.connect(d)
		}
		h.wait(3 * time.Second)
		for _, d := range h.devices {
			h.ack(d)
			if d.live { // what is not delivered goes out again, as after a reconnect
				for _, m := range d.outbox {
					d.socket.Send(m)
				}
			}
		}
		h.wait(3 * time.Second)
	}
}

// archived returns a saved message.
func (h *history) archived(id string) (chat.Message, bool) {
	for _, d := range h.rig.Published.Delivered(h.t) {
		if d.ID == id {
			return d.Message, true
		}
	}
	return chat.Message{}, false
}

// judge looks at the end: everything is saved, and every device has all that its user wrote or got, unless Redis was
// wiped; then it loads the rest from the archive.
func (h *history) judge() {
	saved := h.rig.Published.Messages(h.t)
	for id, body := range h.wrote {
		if !slices.Contains(saved, id) {
			h.t.Errorf("lost: %s (message %s)", id, body)
		}
	}
	for _, id := range saved {
		if _, ok := h.wrote[id]; !ok {
			h.t.Errorf("saved, and nobody wrote it: %s", id)
		}
	}
	var shown []string
	for _, d := range h.devices {
		// What it was told is delivered and never saw is in the archive: the sent event was not written before its instance
		// died.
		for _, id := range d.owed {
			if m, ok := h.archived(id); ok && !slices.ContainsFunc(d.got, func(m chat.Message) bool { return m.ID == id }) {
				d.got = append(d.got, m)
			}
		}
		if len(d.outbox) > 0 && !h.wiped {
			h.t.Errorf("%s still waits for %d of its messages to be delivered", d.uid, len(d.outbox))
		}
		if h.wiped {
			continue
		}
		if len(d.got) != len(h.wrote) {
			h.t.Errorf("a device of %s has %d of %d messages", d.uid, len(d.got), len(h.wrote))
		}
		slices.SortFunc(d.got, func(a, b chat.Message) int {
			if a.Before(b) {
				return -1
			}
			return 1
		})
		var order []string
		for _, m := range d.got {
			// Not accepted_at: a message that was sent again after it was settled, and before its sender knew, is accepted
			// twice.
			order = append(order, m.ID+m.Body)
		}
		shown = append(shown, strings.Join(order, " "))
	}
	if slices.Sort(shown); len(slices.Compact(shown)) > 1 {
		h.t.Error("devices show different conversations")
	}
}
