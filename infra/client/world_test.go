package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// world is everything around one machine, with a clock that moves only on request: sockets, the archive, the process.
type world struct {
	t      *testing.T
	now    time.Time
	store  *Store
	m      *machine
	notes  []Note
	starts int

	dials       []int // requested and not answered yet
	frames      map[int][]map[string]any
	openRequest map[int]bool
	jobs        []loadJob
	loads       int   // jobs that were done
	pongs       []int // sockets that need a pong
	arch        archive

	wrong   time.Duration // the device's wall clock minus the true time
	ponging bool          // answer each ping at once
}

const me, other = "aliceUid0001", "bobUid000002"

var conv = chat.ConversationID(me, other)

func newWorld(t *testing.T, uid string) *world {
	w := &world{t: t, now: time.UnixMicro(1795348800000000).UTC(), store: NewStore(uid, "device1"),
		arch: archive{read: map[string]map[string]chat.Micros{}}}
	w.start()
	return w
}

func (w *world) start() {
	w.dials, w.jobs = nil, nil
	w.frames, w.openRequest = map[int][]map[string]any{}, map[int]bool{}
	note := func(n Note) { w.notes = append(w.notes, n) }
	w.m = newMachine(w.store, w, Options{
		Wall: func() time.Time { return w.now.Add(w.wrong) },
		Rand: rand.New(rand.NewPCG(1, 2)), Pace: DefaultPace(), Note: note,
	})
	w.starts++
	w.m.lastN = 1000 * w.starts
	w.m.tokenRenewed(w.now, "token", time.Time{})
	w.m.goOnline(w.now)
}

// restart ends the process without warning, and starts another one with the same store.
func (w *world) restart() { w.start(); w.settle() }

func (w *world) dial(n int)     { w.dials = append(w.dials, n) }
func (w *world) close(n int)    { delete(w.openRequest, n) }
func (w *world) load(j loadJob) { w.jobs = append(w.jobs, j) }
func (w *world) renewToken()    { w.m.tokenRenewed(w.now, "token", time.Time{}) }
func (w *world) write(n int, b []byte) {
	if !w.openRequest[n] {
		return
	}
	f := map[string]any{}
	if err := unmarshal(b, &f); err != nil {
		w.t.Errorf("client wrote %s: %v", b, err)
	}
	w.frames[n] = append(w.frames[n], f)
	if w.ponging && f["type"] == wire.TypePing {
		w.pongs = append(w.pongs, n)
	}
}

// settle lets the machine finish everything that needs no time to pass.
func (w *world) settle() {
	for range 100 {
		w.m.tick(w.now)
		for _, n := range w.pongs {
			w.m.frame(w.now, n, []byte(`{"type":"pong"}`))
		}
		w.pongs = nil
		if len(w.jobs) == 0 {
			return
		}
		j := w.jobs[0]
		w.jobs = w.jobs[1:]
		w.loads++
		w.m.loaded(w.now, j, fetch(context.Background(), &w.arch, j, func(Note) {}))
	}
	w.t.Fatal("the machine never stops loading history")
}

// advance moves the clock by d and runs what is due in order, until stop returns true.
func (w *world) advance(d time.Duration, stop func() bool) bool {
	w.settle()
	stuck := 0
	for end := w.now.Add(d); ; {
		if stop != nil && stop() {
			return true
		}
		next := w.m.next()
		if next.IsZero() || next.After(end) {
			w.now = end
			w.settle()
			return stop != nil && stop()
		}
		if next.After(w.now) {
			w.now, stuck = next, 0
		} else if stuck++; stuck > 100 {
			w.t.Fatalf("the machine is due at %v forever; it is %v", next, w.now)
		}
		w.settle()
	}
}

// accept answers the next dial, successfully if ok, and returns the socket's number.
func (w *world) accept(ok bool, within time.Duration) (int, error) {
	if !w.advance(within, func() bool {
		w.dials = slices.DeleteFunc(w.dials, func(n int) bool { return w.m.socket(n) == nil }) // the machine has dropped it
		return len(w.dials) > 0
	}) {
		return 0, fmt.Errorf("no socket was opened within %v", within)
	}
	n := w.dials[0]
	w.dials = w.dials[1:]
	w.openRequest[n] = ok
	w.m.dialed(w.now, n, ok)
	w.settle()
	return n, nil
}

func (w *world) serve(n int, frame any) {
	b, err := json.Marshal(frame)
	if err != nil {
		w.t.Fatal(err)
	}
	w.m.frame(w.now, n, b)
	w.settle()
}

func (w *world) end(n, code int) {
	delete(w.openRequest, n)
	w.m.closed(w.now, n, code)
	w.settle()
}

// archive is a History that tests fill.
type archive struct {
	down     bool
	lookups  int // calls of Message
	messages []chat.Message
	changes  map[string]chat.Changes // by the key of the message
	since    []chat.Micros           // of the calls of Changed
	tooMany  bool                    // Changed lists nothing
	read     map[string]map[string]chat.Micros
}

func (a *archive) Conversations(context.Context) ([]Conversation, error) {
	if a.down {
		return nil, errors.New("503")
	}
	byID := map[string]*Conversation{}
	for _, m := range a.messages {
		c := byID[m.Conversation]
		if c == nil {
			c = &Conversation{ID: m.Conversation, Read: a.read[m.Conversation]}
			byID[m.Conversation] = c
		}
		c.LastAt = max(c.LastAt, m.At)
	}
	var list []Conversation
	for _, c := range byID {
		list = append(list, *c)
	}
	return list, nil
}

func (a *archive) Message(_ context.Context, conversation, key string) (delivery.Delivered, bool, error) {
	if a.down {
		return delivery.Delivered{}, false, errors.New("503")
	}
	a.lookups++
	for _, m := range a.messages {
		if m.Conversation == conversation && m.Key() == key {
			return a.saved(m), true, nil
		}
	}
	return delivery.Delivered{}, false, nil
}

// saved returns a message as the functions return it.
func (a *archive) saved(m chat.Message) delivery.Delivered {
	sum := a.changes[m.Key()]
	m.Body = sum.Body(m.Body)
	return delivery.Delivered{Message: m, Changes: sum}
}

func (a *archive) Changed(_ context.Context, since chat.Micros) (list []delivery.Delivered, reload bool, err error) {
	if a.down {
		return nil, false, errors.New("503")
	}
	a.since = append(a.since, since)
	if a.tooMany {
		return nil, true, nil
	}
	for _, m := range a.messages {
		if !a.changes[m.Key()].Empty() {
			list = append(list, a.saved(m))
		}
	}
	return list, false, nil
}

func (a *archive) Messages(_ context.Context, conversation, before string, limit int) (Page, error) {
	if a.down {
		return Page{}, errors.New("503")
	}
	var all []chat.Message
	for _, m := range a.messages {
		if m.Conversation == conversation {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b chat.Message) int {
		if a.Before(b) {
			return -1
		}
		return 1
	})
	if at, key, _ := strings.Cut(before, ","); before != "" {
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return Page{}, err
		}
		end := chat.Message{At: chat.Micros(n)}
		end.ID, end.From, _ = strings.Cut(key, ".")
		all = slices.DeleteFunc(all, func(m chat.Message) bool { return !m.Before(end) })
	}
	var p Page
	if len(all) > limit {
		all = all[len(all)-limit:]
		p.Before = fmt.Sprintf("%d,%s", all[0].At, all[0].Key())
	}
	for _, m := range all {
		p.Messages = append(p.Messages, a.saved(m))
	}
	return p, nil
}
