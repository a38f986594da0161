package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	infraclient "github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// parkedMemory fills the queues of many sockets with large messages that the rate limit holds back. The memory includes
// that of the attacker's ends of the sockets, because both are in this process.
func parkedMemory(ctx context.Context, w *world) (result, error) {
	const perSocket = 1536 << 10 // without a limit of bytes it is more than 2.5 MiB
	owners, err := w.persons(ctx, w.size(30, 3))
	if err != nil {
		return result{}, err
	}
	stranger, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	var sockets []*socket
	for _, p := range owners {
		for range 10 {
			s, err := p.open(ctx)
			if err != nil {
				return result{}, err
			}
			defer s.end()
			sockets = append(sockets, s)
		}
	}
	body := strings.Repeat("\U0001F525", chat.MaxBody) // 32 KB
	frame := rawFrame(final|opText, fmt.Appendf(nil, `{"type":"send","id":"%s","to":"%s","body":"%s","at":%d}`,
		uuid.Must(uuid.NewV7()), stranger.uid, body, chat.MicrosOf(time.Now())))
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // the second one empties the pools
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, parked := heap(), int64(math.MaxInt64)
	var written sync.WaitGroup
	counts := make([]int, len(sockets))
	for i, s := range sockets {
		written.Go(func() { counts[i] = s.flood(frame, 1, 140, 3*time.Second) })
	}
	for range 5 { // what is in use at each of these times is parked
		time.Sleep(500 * time.Millisecond)
		parked = min(parked, heap()-before)
	}
	written.Wait()
	r := result{}
	for _, n := range counts {
		r.tried += n
	}
	each := parked / int64(len(sockets))
	r.through = beyond(int(each), perSocket) * len(sockets) / len(frame)
	r.note = fmt.Sprintf("%d KB per socket", each>>10)
	return r, nil
}

// manySockets opens more sockets than a user may have.
func manySockets(ctx context.Context, w *world) (result, error) {
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	var sockets []*socket
	for range w.size(40, 15) {
		s, err := me.open(ctx)
		if err != nil {
			return result{}, err
		}
		defer s.end()
		sockets = append(sockets, s)
	}
	open := func() (n int) {
		for _, s := range sockets {
			if !s.isEnded() {
				n++
			}
		}
		return n
	}
	eventually(ctx, 3*time.Second, func() bool { return open() <= 10 })
	r := result{tried: len(sockets), through: beyond(open(), 10), note: fmt.Sprintf("%d are open", open())}
	switch {
	case sockets[len(sockets)-1].isEnded():
		return r, errors.New("the newest socket was closed")
	case r.through == 0 && sockets[0].closeCode() != 4409:
		return r, fmt.Errorf("the oldest socket was closed with %d, want 4409", sockets[0].closeCode())
	}
	return r, nil
}

// evictionLoop runs more devices of one user than may be connected, which follow the rules of a client.
func evictionLoop(ctx context.Context, w *world) (result, error) {
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	var mu sync.Mutex
	dials := 0
	const devices = 12
	for i := range devices {
		c := infraclient.New(infraclient.NewStore(me.uid, fmt.Sprint("device-", i)), infraclient.Options{
			Dial: func(ctx context.Context) (infraclient.Conn, error) {
				mu.Lock()
				dials++
				mu.Unlock()
				conn, status, err := w.dial(ctx, dialOptions{from: []string{me.from}})
				if err == nil && conn == nil {
					err = fmt.Errorf("the handshake was answered %d", status)
				}
				if err != nil {
					return nil, err
				}
				return conn, nil
			},
			Token: func(context.Context) (string, time.Time, error) { return me.token, time.Now().Add(time.Hour), nil },
			History: &infraclient.HTTPHistory{Base: w.stack.URL + "/api",
				Token: func(context.Context) (string, error) { return me.token, nil }},
		})
		defer c.Kill()
		eventually(ctx, 5*time.Second, c.Up)
	}
	time.Sleep(time.Duration(w.size(20, 3)) * time.Second) // a client that loops reconnects after 5 s at most
	mu.Lock()
	defer mu.Unlock()
	return result{tried: dials, through: beyond(dials, devices), note: fmt.Sprintf("%d dials", dials)}, nil
}
