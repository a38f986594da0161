package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	infraclient "github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Limits of what an attack may do to the bystanders. They are loose, because all of them share two cores.
const (
	maxLatency = 5 * time.Second
	writeEvery = 200 * time.Millisecond
)

// bystanders are two people who write to each other all the time.
type bystanders struct {
	people  [2]*person
	clients [2]*infraclient.Client
	stores  [2]*infraclient.Store

	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	typed   map[string]time.Time // messages that are not shown to the other person yet, by id; guarded by mu
	begun   int                  // messages typed since begin; guarded by mu
	slowest time.Duration        // from typed to shown, since begin; guarded by mu
	downs   int                  // sockets closed since begin; guarded by mu
}

// meanwhile is what the bystanders did during an attack.
type meanwhile struct {
	messages int
	slowest  time.Duration // from the sender's keyboard to the other person's screen
}

// newBystanders starts both apps and waits until they have answered each other.
func newBystanders(ctx context.Context, w *world) (*bystanders, error) {
	b := &bystanders{typed: map[string]time.Time{}, done: make(chan struct{})}
	for i := range b.people {
		p, err := w.person(ctx)
		if err != nil {
			return nil, err
		}
		b.people[i] = p
		b.stores[i] = infraclient.NewStore(p.uid, fmt.Sprintf("bystander-%d", i))
	}
	for i, p := range b.people {
		b.clients[i] = infraclient.New(b.stores[i], infraclient.Options{
			Dial: func(ctx context.Context) (infraclient.Conn, error) {
				conn, status, err := w.dial(ctx, dialOptions{from: []string{p.from}})
				if err != nil {
					return nil, err
				}
				if conn == nil {
					return nil, fmt.Errorf("the handshake was answered %d", status)
				}
				return conn, nil
			},
			Token: func(context.Context) (string, time.Time, error) {
				return p.token, time.Now().Add(time.Hour), nil
			},
			History: &infraclient.HTTPHistory{Base: w.stack.URL + "/api",
				Token: func(context.Context) (string, error) { return p.token, nil }},
			Note: b.note,
		})
	}
	writing, stop := context.WithCancel(context.Background())
	b.stop = stop
	go b.write(writing)
	b.begin()
	ready := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.begun > 4 && len(b.typed) < 2
	}
	if !eventually(ctx, 20*time.Second, ready) {
		b.close()
		return nil, fmt.Errorf("the bystanders cannot chat")
	}
	return b, nil
}

// write makes the bystanders write in turn until ctx ends.
func (b *bystanders) write(ctx context.Context) {
	defer close(b.done)
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		from, to := n%2, (n+1)%2
		b.clients[from].Write(b.people[to].uid, fmt.Sprintf("message %d", n), "")
	}
}

// note follows each message from the keyboard to the other screen.
func (b *bystanders) note(n infraclient.Note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch n.NoteKind {
	case infraclient.NoteTyped:
		b.typed[n.Message.ID] = time.Now()
		b.begun++
	case infraclient.NoteShown:
		if typed, ok := b.typed[n.Message.ID]; ok && n.From != infraclient.FromOutbox {
			b.slowest = max(b.slowest, time.Since(typed))
			delete(b.typed, n.Message.ID)
		}
	case infraclient.NoteDown:
		b.downs++
	}
}

// begin starts counting for another attack.
func (b *bystanders) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun, b.slowest, b.downs = 0, 0, 0
}

// check returns what happened since begin, and an error if an attack did harm: a message is not shown in time, was
// refused, or a socket closed.
func (b *bystanders) check(ctx context.Context) (meanwhile, error) {
	cut := time.Now()
	eventually(ctx, maxLatency, func() bool { return b.olderThan(cut) == 0 })
	lost := b.olderThan(cut)
	b.mu.Lock()
	m, downs := meanwhile{b.begun, b.slowest}, b.downs
	b.mu.Unlock()
	refused := 0
	for i, s := range b.stores {
		other := b.people[1-i].uid
		for _, l := range s.Conversation(chat.ConversationID(b.people[i].uid, other)) {
			if l.State == infraclient.Refused {
				refused++
			}
		}
	}
	switch {
	case lost > 0:
		return m, fmt.Errorf("%d messages of the bystanders did not arrive within %v", lost, maxLatency)
	case refused > 0:
		return m, fmt.Errorf("%d messages of the bystanders were refused", refused)
	case downs > 0:
		return m, fmt.Errorf("sockets of the bystanders were closed %d times", downs)
	case m.slowest > maxLatency:
		return m, fmt.Errorf("a message of the bystanders took %v", m.slowest)
	}
	return m, nil
}

// olderThan returns how many messages that were typed before t are not shown yet.
func (b *bystanders) olderThan(t time.Time) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, typed := range b.typed {
		if typed.Before(t) {
			n++
		}
	}
	return n
}

func (b *bystanders) close() {
	b.stop()
	<-b.done
	for _, c := range b.clients {
		c.Kill()
	}
}
