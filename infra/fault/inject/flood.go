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

// Limits of a flood.
const (
	socketsPerFlood = 3                // one after the other
	floodTimeout    = 30 * time.Second // within this time the server must close a socket
	sendsFor        = 8 * time.Second  // how long sends flood a socket: the server does not read them faster than it may
)

// flooder sends one kind of frame as fast as it can, on one socket after the other.
type flooder struct {
	kind    string
	uid, to string
	from    string // network address

	sent       int
	errorCodes map[string]int // of error frames
	closeCodes map[int]int    // of sockets
	held       int            // sockets that the server did not close, because it did not read all that was sent
	failure    error
}

// floodSockets lets users flood their sockets, one user for each kind of frame.
func floodSockets(ctx context.Context, t *target) error {
	kinds := []string{
		wire.TypePing, wire.TypeAck, wire.TypeSend, wire.TypeRead, wire.TypeTyping, wire.TypeWatch, "unknown",
	}
	before, err := t.testbed.Counts(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	uids, err := t.testbed.AddUsers(context.WithoutCancel(ctx), len(kinds)+1)
	if err != nil {
		return err
	}
	chat, err := t.startBystanders(ctx)
	if err != nil {
		return err
	}
	defer chat.halt()
	memory := t.testbed.Memory(context.WithoutCancel(ctx))
	floods := make([]*flooder, len(kinds))
	var wg sync.WaitGroup
	for i, kind := range kinds {
		f := &flooder{kind: kind, uid: uids[i], to: uids[len(kinds)], from: fmt.Sprintf("10.255.0.%d", i),
			errorCodes: map[string]int{}, closeCodes: map[int]int{}}
		floods[i] = f
		wg.Go(func() {
			for range socketsPerFlood {
				if err := f.floodOneSocket(context.WithoutCancel(ctx), t); err != nil {
					f.failure = err
					return
				}
			}
		})
	}
	wg.Wait()
	grown := t.testbed.Memory(context.WithoutCancel(ctx)).Instances - memory.Instances
	closed := 0
	for _, f := range floods {
		closed += f.closeCodes[problem.TooMany.CloseCode()]
	}
	var after testbed.Counts
	// The counter rises when a handler has returned, after its client has seen the close.
	waitUntil(arrivalTimeout, func() bool {
		after, err = t.testbed.Counts(context.WithoutCancel(ctx))
		return err != nil || after.Refusals-before.Refusals >= int64(closed)
	})
	if err != nil {
		return err
	}
	frames := 0
	limits := session.Limits{}.WithDefaults()
	for _, f := range floods {
		stopped := f.errorCodes[session.ErrRateLimited.Code] > 0 &&
			f.closeCodes[problem.TooMany.CloseCode()] == socketsPerFlood
		if f.kind == wire.TypeSend {
			answers := 0
			for _, n := range f.errorCodes {
				answers += n
			}
			most := limits.UserSends.Burst + int(limits.UserSends.PerSecond*(socketsPerFlood*sendsFor).Seconds()*2)
			stopped = f.held == socketsPerFlood && answers <= most
		}
		t.recordCheck(f.failure == nil && stopped, "flood of "+f.kind+" frames",
			"%d frames on %d sockets, of which %d were read slowly: errors %v, close codes %v%s",
			f.sent, socketsPerFlood, f.held, f.errorCodes, f.closeCodes, errorSuffix(f.failure))
		frames += f.sent
		if f.kind == wire.TypeSend {
			box, err := t.testbed.Inbox(context.WithoutCancel(ctx), f.to)
			if err != nil {
				return err
			}
			most := min(maxWaitingPerSender, socketsPerFlood*limits.Frames.Burst*2)
			t.recordCheck(box.Waiting <= most && box.Waiting > 0, "flood: bounded",
				"of %d sends %d were accepted, %d at most; the largest instance grew by %d MB",
				f.sent, box.Waiting, most, grown>>20)
		}
	}
	t.recordCheck(grown < maxInstanceGrowth, "flood: memory",
		"the largest instance grew by %d MB under %d frames", grown>>20, frames)
	limited, refusals := after.RateLimited-before.RateLimited, after.Refusals-before.Refusals
	t.recordCheck(limited > 0 && refusals >= int64(closed), "flood: counted",
		"rate_limited rose by %d, refusals by %d for %d sockets", limited, refusals, closed)
	t.checkBystanders("flood", chat)
	return nil
}

func errorSuffix(err error) string {
	if err == nil {
		return ""
	}
	return "; " + err.Error()
}

// floodOneSocket floods a socket until the server closes it. A flood of sends ends by itself: the server stops reading
// what exceeds the rate limit, and TCP holds the client back.
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
	limit := floodTimeout
	if f.kind == wire.TypeSend {
		limit = sendsFor
	}
	for end := time.Now().Add(limit); ; f.sent++ {
		select {
		case <-ended:
			return nil
		default:
		}
		if time.Now().After(end) {
			conn.Close()
			<-ended
			if f.kind == wire.TypeSend {
				f.held++
				return nil
			}
			return fmt.Errorf("the socket is still open after %v", limit)
		}
		_ = conn.SetWriteDeadline(end)
		if conn.WriteMessage(websocket.TextMessage, f.nextFrame(cursor)) != nil && time.Now().Before(end) {
			<-ended // readReplies has the close code
			return nil
		}
	}
}

// connect opens a socket, and returns it with its cursor when it is caught up.
func (f *flooder) connect(ctx context.Context, t *target) (_ *websocket.Conn, cursor string, err error) {
	token, _, err := t.testbed.Token(f.uid)
	if err != nil {
		return nil, "", err
	}
	hello, err := json.Marshal(wire.ClientFrame{Type: wire.TypeHello, Token: token, Device: "flood"})
	if err != nil {
		return nil, "", err
	}
	conn, err := t.testbed.Dial(ctx, f.from, func(c net.Conn) net.Conn { return c })
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

// readReplies notes error and close codes until the server closes the socket.
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

// nextFrame returns the next frame to send.
func (f *flooder) nextFrame(cursor string) []byte {
	c := wire.ClientFrame{Type: f.kind}
	now := chat.MicrosOf(time.Now())
	switch f.kind {
	case wire.TypeAck:
		c.Cursor = cursor
	case wire.TypeSend:
		id, err := uuid.NewV7()
		if err != nil { // cannot happen: the system has randomness
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
	if err != nil { // cannot happen: strings and integers only
		panic(err)
	}
	return b
}
