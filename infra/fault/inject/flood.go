package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Of a flood:
const (
	socketsPerFlood = 3                // of each kind, one after the other
	floodTimeout    = 30 * time.Second // until a socket must be ended
)

// flooder sends one kind of frame as fast as it can, on one socket after the other.
type flooder struct {
	kind    string
	uid, to string

	sent       int
	errorCodes map[string]int // of errors that may be tried again
	closeCodes map[int]int    // close codes
	failure    error
}

// clientsFlood has people flood their sockets, one for each kind of frame.
func floodSockets(ctx context.Context, t *target) error {
	kinds := []string{wire.TypePing, wire.TypeAck, wire.TypeSend, wire.TypeRead, wire.TypeTyping, wire.TypeWatch, "of a later version"}
	before, err := t.testbed.Counts(withoutCancel(ctx))
	if err != nil {
		return err
	}
	uids, err := t.testbed.AddUsers(withoutCancel(ctx), len(kinds)+1)
	if err != nil {
		return err
	}
	chat, err := t.startBystanders(ctx)
	if err != nil {
		return err
	}
	defer chat.halt()
	memory := t.testbed.Memory(withoutCancel(ctx))
	floods := make([]*flooder, len(kinds))
	var wg sync.WaitGroup
	for i, kind := range kinds {
		f := &flooder{kind: kind, uid: uids[i], to: uids[len(kinds)], errorCodes: map[string]int{}, closeCodes: map[int]int{}}
		floods[i] = f
		wg.Go(func() {
			for range socketsPerFlood {
				if err := f.floodOneSocket(withoutCancel(ctx), t); err != nil {
					f.failure = err
					return
				}
			}
		})
	}
	wg.Wait()
	grown := t.testbed.Memory(withoutCancel(ctx)).Instances - memory.Instances
	shut := 0
	for _, f := range floods {
		shut += f.closeCodes[problem.TooMany.CloseCode()]
	}
	var after testbed.Counts
	waitUntil(arrivalTimeout, func() bool { // a socket counts once its handler has returned, after its client heard the close
		after, err = t.testbed.Counts(withoutCancel(ctx))
		return err != nil || after.Refusals-before.Refusals >= int64(shut)
	})
	if err != nil {
		return err
	}
	frames := 0
	limits := session.Limits{}.WithDefaults()
	for _, f := range floods {
		named := f.errorCodes[session.ErrRateLimited.Code] > 0
		closed := f.closeCodes[problem.TooMany.CloseCode()] == socketsPerFlood
		t.recordCheck(f.failure == nil && named && closed, "flood of "+f.kind, "%d frames on %d sockets: told %v, closed with %v%s", f.sent, socketsPerFlood, f.errorCodes, f.closeCodes, errorSuffix(f.failure))
		frames += f.sent
		if f.kind == wire.TypeSend {
			box, err := t.testbed.Inbox(withoutCancel(ctx), f.to)
			if err != nil {
				return err
			}
			most := min(maxWaitingPerSender, socketsPerFlood*limits.Frames.Burst*2)
			t.recordCheck(box.Waiting <= most && box.Waiting > 0, "flood: bounded", "of %d sends %d were taken, %d at most; the largest instance grew by %d MB", f.sent, box.Waiting, most, grown>>20)
		}
	}
	t.recordCheck(grown < maxInstanceGrowth, "flood: memory", "the largest instance grew by %d MB under %d frames", grown>>20, frames)
	t.recordCheck(after.RateLimited-before.RateLimited > 0 && after.Refusals-before.Refusals >= int64(shut), "flood: counted",
		"rate_limited rose by %d, refusals by %d for %d sockets", after.RateLimited-before.RateLimited, after.Refusals-before.Refusals, shut)
	t.checkBystanders("flood", chat)
	return nil
}

func errorSuffix(err error) string {
	if err == nil {
		return ""
	}
	return "; " + err.Error()
}

// flood floods one socket until the server ends it.
func (f *flooder) floodOneSocket(ctx context.Context, t *target) error {
	conn, cursor, err := f.connect(ctx, t)
	if err != nil {
		return err
	}
	defer conn.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.readReplies(conn)
	}()
	for end := time.Now().Add(floodTimeout); ; f.sent++ {
		select {
		case <-ended:
			return nil
		default:
		}
		if time.Now().After(end) {
			conn.Close()
			<-ended
			return fmt.Errorf("the socket still stands after %v", floodTimeout)
		}
		_ = conn.SetWriteDeadline(end)
		if conn.WriteMessage(websocket.TextMessage, f.nextFrame(cursor)) != nil {
			<-ended // it says why
			return nil
		}
	}
}

// greet opens a socket, and returns it when it is caught up, with its cursor.
func (f *flooder) connect(ctx context.Context, t *target) (_ *websocket.Conn, cursor string, err error) {
	token, _, err := t.testbed.Token(f.uid)
	if err != nil {
		return nil, "", err
	}
	hello, err := json.Marshal(wire.ClientFrame{Type: wire.TypeHello, Token: token, Device: "flood"})
	if err != nil {
		return nil, "", err
	}
	conn, err := t.testbed.Dial(ctx, func(c net.Conn) net.Conn { return c })
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(floodTimeout))
	if err := conn.WriteMessage(websocket.TextMessage, hello); err != nil {
		return nil, "", err
	}
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return nil, "", err
		}
		if frame, err := wire.DecodeServer(data); err == nil {
			if c, ok := frame.(wire.CaughtUp); ok {
				return conn, c.Cursor, nil
			}
		}
	}
}

// listen notes what the server says, until it ends the socket.
func (f *flooder) readReplies(conn *websocket.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(2 * floodTimeout))
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			code := websocket.CloseAbnormalClosure
			if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
				code = ce.Code
			}
			f.closeCodes[code]++
			return
		}
		frame, _ := wire.DecodeServer(data)
		if e, ok := frame.(wire.ErrorFrame); ok {
			f.errorCodes[e.Code]++
		}
	}
}

// frame returns the next frame.
func (f *flooder) nextFrame(cursor string) []byte {
	c := wire.ClientFrame{Type: f.kind}
	now := chat.MicrosOf(time.Now())
	switch f.kind {
	case wire.TypeAck:
		c.Cursor = cursor
	case wire.TypeSend:
		id, err := uuid.NewV7()
		if err != nil { // the system has no randomness: cannot happen
			panic(err)
		}
		c.ID, c.To, c.Body, c.At = id.String(), f.to, "flood", now
	case wire.TypeRead:
		c.Conversation, c.At = chat.ConversationID(f.uid, f.to), now
	case wire.TypeTyping:
		c.To = f.to
	case wire.TypeWatch:
		c.Users = []string{f.to}
	}
	b, err := json.Marshal(c)
	if err != nil { // texts and integers only: cannot happen
		panic(err)
	}
	return b
}
