package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// flooded floods a new socket, which must be closed with rate_limited. through says how many of the written copies
// count as an effect.
func flooded(ctx context.Context, w *world, copies []byte, perWrite, n int,
	through func(s *socket, written int) int) (result, error) {
	_, s, err := w.connected(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	written := s.flood(copies, perWrite, n, time.Duration(w.size(20, 4))*time.Second)
	closed := eventually(ctx, 3*time.Second, s.isEnded)
	r := result{tried: written, through: through(s, written)}
	if !closed {
		r.through, r.note = max(r.through, written), "the socket stays open"
	} else if s.errorCode() != "rate_limited" && s.closeCode() != websocket.ClosePolicyViolation {
		r.note = fmt.Sprintf("closed with %d %q", s.closeCode(), s.errorCode())
	}
	return r, nil
}

// bufferedBytes is what the two kernels' buffers of a connection hold beside what the server has read.
const bufferedBytes = 16 << 20

// taken returns how many copies of a size the server has read beyond a limit of bytes.
func taken(size, limit int) func(*socket, int) int {
	return func(_ *socket, written int) int { return beyond(written*size, limit+bufferedBytes) / size }
}

func pings(ctx context.Context, w *world) (result, error) {
	frame := rawFrame(final|opPing, []byte("flood"))
	_, s, err := w.connected(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	var mu sync.Mutex
	pongs := 0
	s.conn.SetPongHandler(func(string) error {
		mu.Lock()
		defer mu.Unlock()
		pongs++
		return nil
	})
	written := s.flood(frame, 100, w.size(2_000_000, 100_000), time.Duration(w.size(20, 4))*time.Second)
	closed := eventually(ctx, 3*time.Second, s.isEnded)
	mu.Lock()
	defer mu.Unlock()
	r := result{tried: written, through: beyond(pongs, 2000), note: fmt.Sprintf("%d answers", pongs)}
	if !closed {
		r.through, r.note = max(r.through, written), "the socket stays open"
	}
	return r, nil
}

func pongs(ctx context.Context, w *world) (result, error) {
	frame := rawFrame(final|opPong, []byte("flood"))
	return flooded(ctx, w, frame, 1000, w.size(10_000_000, 3_000_000), taken(len(frame), 1<<20))
}

// continuations starts a fragmented message and continues it with empty fragments, which gorilla/websocket skips while
// it reads.
func continuations(ctx context.Context, w *world) (result, error) {
	_, s, err := w.connected(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	if s.flood(rawFrame(opText, []byte(`{"type":`)), 1, 1, time.Second) != 1 {
		return result{}, errors.New("the first fragment was not sent")
	}
	frame := rawFrame(opContinuation, nil)
	written := s.flood(frame, 1000, w.size(10_000_000, 3_000_000), time.Duration(w.size(20, 4))*time.Second)
	closed := eventually(ctx, 3*time.Second, s.isEnded)
	r := result{tried: written, through: taken(len(frame), 1<<20)(s, written)}
	if !closed {
		r.through, r.note = max(r.through, written), "the socket stays open"
	}
	return r, nil
}

func unknownFrames(ctx context.Context, w *world) (result, error) {
	frame := rawFrame(final|opText, []byte(`{"type":"unknown"}`))
	return flooded(ctx, w, frame, 20, w.size(500_000, 100_000), taken(len(frame), 100*len(frame)))
}

// largeFrames sends frames with as many bytes as possible. The server may read them slowly instead of closing the
// socket.
func largeFrames(ctx context.Context, w *world) (result, error) {
	_, s, err := w.connected(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	frame := rawFrame(final|opText, []byte(`{"type":"watch","users":[],"padding":"`+strings.Repeat("x", 60_000)+`"}`))
	start := time.Now()
	written := s.flood(frame, 1, w.size(8000, 1600), time.Duration(w.size(20, 4))*time.Second)
	limit := session.Limits{}.WithDefaults().Bytes
	allowed := limit.Burst + int(limit.PerSecond*time.Since(start).Seconds())
	return result{tried: written, through: taken(len(frame), allowed)(s, written)}, nil
}

// slowFragments keeps a message unfinished by sending a fragment now and then.
func slowFragments(ctx context.Context, w *world) (result, error) {
	const within = 20 * time.Second
	_, s, err := w.connected(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	r, first := result{}, byte(opText)
	for began := time.Now(); time.Since(began) < within+2*time.Second && !s.isEnded() && ctx.Err() == nil; {
		if s.flood(rawFrame(first, []byte(" ")), 1, 1, time.Second) == 1 {
			r.tried++
		}
		first = opContinuation
		time.Sleep(200 * time.Millisecond)
	}
	if !s.isEnded() {
		r.through, r.note = r.tried, "the socket stays open"
	}
	return r, nil
}

// helloPlaces opens sockets from the addresses and says no hello. It returns how many were accepted. If the addresses
// are those of one network, people elsewhere must still find a place.
func (w *world) helloPlaces(ctx context.Context, from [][]string, oneNetwork bool) (accepted int, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var open []*websocket.Conn
	next := make(chan []string)
	for range 8 {
		all.Go(func() {
			for lines := range next {
				conn, _, e := w.dial(ctx, dialOptions{from: lines})
				mu.Lock()
				if e != nil {
					err = e
				} else if conn != nil {
					open = append(open, conn)
				}
				mu.Unlock()
			}
		})
	}
	for _, lines := range from {
		next <- lines
	}
	close(next)
	all.Wait()
	elsewhere, e := w.person(ctx)
	if e == nil && oneNetwork {
		var s *socket
		if s, e = elsewhere.open(ctx); e == nil {
			s.end()
		} else {
			e = fmt.Errorf("another person finds no place: %w", e)
		}
	}
	for _, c := range open {
		c.Close()
	}
	eventually(ctx, 5*time.Second, func() bool { return w.stack.Instances[0].Sockets() < 20 })
	return len(open), errors.Join(err, e)
}

// helloPlaces64 uses a new address of one IPv6 network for each socket, behind forged lines of X-Forwarded-For.
func helloPlaces64(ctx context.Context, w *world) (result, error) {
	var from [][]string
	for i := range w.size(900, 320) {
		from = append(from, []string{
			fmt.Sprintf("198.51.100.%d", i%250), fmt.Sprintf("203.0.113.9, 2001:db8:1:1::%x", i+1)})
	}
	n, err := w.helloPlaces(ctx, from, true)
	return result{tried: len(from), through: beyond(n, 200), note: fmt.Sprintf("%d sockets", n)}, err
}

// helloPlaces48 uses a new /64 of one IPv6 /48 for each socket.
func helloPlaces48(ctx context.Context, w *world) (result, error) {
	var from [][]string
	for i := range w.size(900, 350) {
		from = append(from, []string{fmt.Sprintf("2001:db8:2:%x::1", i)})
	}
	n, err := w.helloPlaces(ctx, from, true)
	return result{tried: len(from), through: beyond(n, 250), note: fmt.Sprintf("%d sockets", n)}, err
}

// helloPlacesEverywhere uses a new network for each socket.
func helloPlacesEverywhere(ctx context.Context, w *world) (result, error) {
	const places = 950
	var from [][]string
	for i := range w.size(940, 420) {
		from = append(from, []string{fmt.Sprintf("2001:db8:%x::1", 0x100+i)})
	}
	n, err := w.helloPlaces(ctx, from, false)
	return result{tried: len(from), through: beyond(n, places/3), note: fmt.Sprintf("%d sockets", n)}, err
}

// badOrigin opens sockets as pages of other origins do.
func badOrigin(ctx context.Context, w *world) (result, error) {
	origins := []string{
		"https://evil.example", "null", "http://localhost", w.stack.URL + "/", w.stack.URL + ".evil.example",
		strings.ToUpper(w.stack.URL), strings.Replace(w.stack.URL, "http://", "http://user@", 1),
	}
	r := result{}
	for _, o := range origins {
		r.tried++
		conn, status, err := w.dial(ctx, dialOptions{origin: o, from: []string{"10.200.0.1"}})
		if err != nil {
			return r, err
		}
		if conn != nil {
			conn.Close()
			r.through++
			r.note = fmt.Sprintf("a page of %s opened a WebSocket", o)
		} else if status != http.StatusForbidden {
			return r, fmt.Errorf("a page of %s was answered %d, want 403", o, status)
		}
	}
	return r, nil
}

// marks sends read marks in the conversations with each uid, on a number of sockets of one person.
func marks(ctx context.Context, w *world, uids []string, sockets int) (*person, int, error) {
	me, err := w.person(ctx)
	if err != nil {
		return nil, 0, err
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	tried := 0
	for i := range sockets {
		s, err := me.open(ctx)
		if err != nil {
			return nil, 0, err
		}
		defer s.end()
		all.Go(func() {
			for n := i; n < len(uids) && !s.isEnded() && ctx.Err() == nil; n += sockets {
				s.frame(wire.ClientFrame{Type: wire.TypeRead, Conversation: chat.ConversationID(me.uid, uids[n]),
					At: chat.MicrosOf(time.Now())})
				mu.Lock()
				tried++
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	all.Wait()
	time.Sleep(time.Second) // marks wait for their turn
	return me, tried, nil
}

// lookedUp returns how many of the uids were looked up in the store: the answer is kept in Redis for a while.
func (w *world) lookedUp(ctx context.Context, uids []string) (n int, err error) {
	for _, uid := range uids {
		found, err := w.redis.Exists(ctx, "gate:{"+uid+"}").Result()
		if err != nil {
			return n, err
		}
		n += int(found)
	}
	return n, nil
}

// readRandom sends read marks of conversations with uids that nobody has.
func readRandom(ctx context.Context, w *world) (result, error) {
	uids := madeUp(w.size(8000, 600))
	_, tried, err := marks(ctx, w, uids, w.size(8, 3))
	if err != nil {
		return result{}, err
	}
	n, err := w.lookedUp(ctx, uids)
	return result{tried: tried, through: beyond(n, 60), note: fmt.Sprintf("%d look-ups", n)}, err
}

// readStrangers sends read marks to people who never wrote.
func readStrangers(ctx context.Context, w *world) (result, error) {
	strangers, err := w.persons(ctx, w.size(600, 100))
	if err != nil {
		return result{}, err
	}
	me, tried, err := marks(ctx, w, uidsOf(strangers), 2)
	if err != nil {
		return result{}, err
	}
	r := result{tried: tried}
	time.Sleep(2500 * time.Millisecond) // marks are published 2 s later
	for _, p := range strangers {
		n, err := w.redis.XLen(ctx, "inbox:{"+p.uid+"}").Result()
		if err != nil {
			return r, err
		}
		if n > 0 {
			r.through++
		}
	}
	list, _, err := w.stack.Store.Conversations(ctx, me.uid, "", 200)
	r.note = fmt.Sprintf("events in %d inboxes, %d conversations", r.through, len(list))
	r.through += len(list)
	return r, err
}

// unknownPeople sends messages to uids that nobody has.
func unknownPeople(ctx context.Context, w *world) (result, error) {
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	uids := madeUp(w.size(4000, 400))
	r := result{}
	for left := uids; len(left) > 0 && ctx.Err() == nil; {
		s, err := me.open(ctx)
		if err != nil {
			break // not welcome anymore
		}
		n := min(len(left), 200)
		tried, _ := s.sendAll(ctx, left[:n], "to nobody")
		s.end()
		r.tried += tried
		left = left[n:]
	}
	n, err := w.lookedUp(ctx, uids)
	r.through, r.note = beyond(n, 60), fmt.Sprintf("%d look-ups", n)
	return r, err
}
