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
	runsFlag = flag.Int("histories", 5, "number of random histories")
)

// device is one device of a user with a minimum of the client's rules: it stores what it receives and its cursor,
// acknowledges when the test says so, and repeats its outbox, unchanged and in order, until the messages are delivered.
type device struct {
	uid    string
	name   string
	at     int // the instance of its socket
	socket *servertest.Socket
	live   bool // caught up

	cursor   string
	got      []chat.Message // messages to or from the user, as they first came
	loadable []string       // ids of delivered messages: to be loaded from the archive if they never arrive
	outbox   []wire.ClientFrame
	sent     map[string]bool // ids that were answered with sent
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
	written int
	wiped   bool
}

// TestRandomHistories drives two users with two devices each through random sends, acks, lost connections, killed and
// drained instances, a Redis that is cut off, slow and wiped, and a Pub/Sub that fails. Then everything is repaired. In
// the end every device must have every message, in the same order, and a message must not be saved before delivery.
func TestRandomHistories(t *testing.T) {
	first, runs := rand.Uint64(), *runsFlag
	if *seedFlag != 0 {
		first, runs = *seedFlag, 1
	}
	for i := range runs {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &history{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), rig: servertest.New(t, alice, bob),
					wrote: map[string]string{}}
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
		h.devices = append(h.devices, &device{uid: uid, name: fmt.Sprint("device", len(h.devices)), sent: map[string]bool{}})
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

// write puts a message into the device's outbox, and sends it if the device is live.
func (h *history) write(d *device) {
	to := alice
	if d.uid == alice {
		to = bob
	}
	h.written++
	m := servertest.Message(to, fmt.Sprint(h.written))
	for _, o := range d.got { // after everything that is on its screen
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

// ack acknowledges everything that the device has.
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
	s.Send(wire.ClientFrame{Type: wire.TypeHello, Token: servertest.Token(d.uid, nil), Device: d.name, Cursor: d.cursor})
}

// replace kills an instance or stops it gracefully, and starts another one in its place.
func (h *history) replace(i int, kill bool) {
	if kill {
		h.servers[i].Kill()
	} else {
		h.servers[i].Stop()
	}
	h.servers[i] = h.start()
}

// wait advances the clock, and then lets the devices read.
func (h *history) wait(d time.Duration) {
	testwait.Advance(d)
	h.read()
}

// read lets every device handle the frames that have arrived.
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
			h.handle(d, f)
		}
	}
}

func (h *history) handle(d *device, f wire.ServerFrame) {
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
			h.t.Fatalf("refused for good: %+v", f)
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

// delivered checks the main rule: when the sender receives delivered, the message is already published for saving.
func (h *history) delivered(d *device, id string) {
	if !slices.Contains(h.rig.Published.Messages(h.t), id) {
		h.t.Fatalf("%s is reported as delivered, but is not saved", id)
	}
	d.loadable = append(d.loadable, id)
	d.outbox = slices.DeleteFunc(d.outbox, func(m wire.ClientFrame) bool { return m.ID == id })
}

// settle repairs everything, and runs until nothing changes any more.
func (h *history) settle() {
	h.rig.Published.Fail(nil)
	for range 40 {
		for _, d := range h.devices {
			h.connect(d)
		}
		h.wait(3 * time.Second)
		for _, d := range h.devices {
			h.ack(d)
			if d.live { // undelivered messages are sent again, as after a reconnect
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

// judge checks the final state: every message is saved, and every device has every message, unless Redis was wiped; a
// real client then loads the rest from the archive.
func (h *history) judge() {
	saved := h.rig.Published.Messages(h.t)
	for id, body := range h.wrote {
		if !slices.Contains(saved, id) {
			h.t.Errorf("lost: %s (message %s)", id, body)
		}
	}
	for _, id := range saved {
		if _, ok := h.wrote[id]; !ok {
			h.t.Errorf("saved, but nobody wrote it: %s", id)
		}
	}
	var shown []string
	for _, d := range h.devices {
		// A delivered message whose sent event never arrived is in the archive: an instance was killed before it wrote the
		// event.
		for _, id := range d.loadable {
			has := slices.ContainsFunc(d.got, func(m chat.Message) bool { return m.ID == id })
			if m, ok := h.archived(id); ok && !has {
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
			// accepted_at is left out: a message that was settled, and sent again before its sender knew that, is accepted
			// twice.
			order = append(order, m.ID+m.Body)
		}
		shown = append(shown, strings.Join(order, " "))
	}
	if slices.Sort(shown); len(slices.Compact(shown)) > 1 {
		h.t.Error("devices show the messages in different orders")
	}
}
