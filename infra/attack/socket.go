package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// socket is the attacker's end of a WebSocket. It follows none of a client's rules. Its methods are safe for
// concurrent use, except that one goroutine at a time writes.
type socket struct {
	who  *person
	conn *websocket.Conn
	acks bool // acknowledges each event

	writing sync.Mutex // guards writes to conn
	mu      sync.Mutex
	answers map[string]string // by message id: "sent", or the code of the refusal; guarded by mu
	counts  map[string]int    // frames and events by type, errors by code; guarded by mu
	told    map[string]bool   // people who were reported online, or with a last_seen; guarded by mu
	states  map[string]bool   // people whose presence was reported; guarded by mu
	shown   map[string]int    // message events by sender; guarded by mu
	bodies  map[string]string // what a device shows, by key; guarded by mu
	code    string            // of the last error frame; guarded by mu
	close   int               // close code; guarded by mu
	ended   chan struct{}     // closed when the connection has ended
}

// dialOptions change a handshake.
type dialOptions struct {
	origin string   // "": that of our page
	from   []string // lines of X-Forwarded-For
}

// dial opens a WebSocket and sends nothing. The error is an error of the network. A handshake that is refused returns
// nil and its status.
func (w *world) dial(ctx context.Context, o dialOptions) (*websocket.Conn, int, error) {
	if o.origin == "" {
		o.origin = w.stack.URL
	}
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: 10 * time.Second,
		ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10}
	url := "ws" + strings.TrimPrefix(w.stack.Instances[0].URL, "http") + "/ws"
	conn, resp, err := d.DialContext(ctx, url, http.Header{"Origin": {o.origin}, "X-Forwarded-For": o.from})
	switch {
	case err == nil:
		return conn, resp.StatusCode, nil
	case resp != nil:
		resp.Body.Close()
		return nil, resp.StatusCode, nil
	}
	return nil, 0, err
}

// open opens a socket and says hello. It returns when the socket is caught up.
func (p *person) open(ctx context.Context) (*socket, error) { return p.openWith(ctx, false) }

// connected adds a user and opens a socket of theirs, as person and open do.
func (w *world) connected(ctx context.Context) (*person, *socket, error) {
	p, err := w.person(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := p.open(ctx)
	return p, s, err
}

// connectedWith adds a user and opens a socket that acknowledges every event.
func (w *world) connectedWith(ctx context.Context) (*person, *socket, error) {
	p, err := w.person(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := p.openWith(ctx, true)
	return p, s, err
}

// openWith is like open. With acks, the socket acknowledges every event.
func (p *person) openWith(ctx context.Context, acks bool) (*socket, error) {
	conn, status, err := p.w.dial(ctx, dialOptions{from: []string{p.from}})
	if err != nil {
		return nil, err
	}
	if conn == nil {
		return nil, fmt.Errorf("the handshake was answered %d", status)
	}
	s := &socket{who: p, conn: conn, acks: acks, answers: map[string]string{}, counts: map[string]int{},
		told: map[string]bool{}, states: map[string]bool{}, shown: map[string]int{}, bodies: map[string]string{},
		ended: make(chan struct{})}
	go s.read()
	s.frame(wire.ClientFrame{Type: wire.TypeHello, Token: p.token, Device: "attack"})
	if !eventually(ctx, 10*time.Second, func() bool { return s.count(wire.TypeCaughtUp) > 0 || s.isEnded() }) ||
		s.isEnded() {
		s.conn.Close()
		return nil, fmt.Errorf("the socket did not catch up: %q, close code %d", s.errorCode(), s.closeCode())
	}
	return s, nil
}

// read reads frames until the connection ends.
func (s *socket) read() {
	defer close(s.ended)
	for {
		_, data, err := s.conn.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			if errors.As(err, &closed) {
				s.mu.Lock()
				s.close = closed.Code
				s.mu.Unlock()
			}
			return
		}
		var f struct {
			Type   string `json:"type"`
			ID     string `json:"id"`
			Code   string `json:"code"`
			User   string `json:"user"`
			Online bool   `json:"online"`
			Seen   int64  `json:"last_seen"`
			Cursor string `json:"cursor"`
			Event  struct {
				Type string `json:"type"`
				chat.Message
			} `json:"event"`
		}
		if json.Unmarshal(data, &f) != nil {
			continue
		}
		s.mu.Lock()
		s.counts[f.Type]++
		switch f.Type {
		case wire.TypeSent:
			s.answers[f.ID] = "sent"
		case wire.TypeError:
			s.code = f.Code
			s.counts["error "+f.Code]++
			if f.ID != "" {
				s.answers[f.ID] = f.Code
			}
		case wire.TypePresence:
			if f.Online || f.Seen > 0 {
				s.told[f.User] = true
			}
			s.states[f.User] = true
		case wire.TypeEvent:
			s.counts["event "+f.Event.Type]++
			_, known := s.bodies[f.Event.Key()]
			switch f.Event.Type {
			case wire.EventMessage:
				s.shown[f.Event.From]++
				if !known {
					s.bodies[f.Event.Key()] = f.Event.Body
				}
			case wire.EventCorrected:
				s.bodies[f.Event.Key()] = f.Event.Body
			}
		}
		s.mu.Unlock()
		if s.acks && f.Type == wire.TypeEvent {
			s.frame(wire.ClientFrame{Type: wire.TypeAck, Cursor: f.Cursor})
		}
	}
}

// frame sends a frame. After the end of the socket it does nothing.
func (s *socket) frame(f wire.ClientFrame) {
	if data, err := json.Marshal(f); err == nil {
		s.text(data)
	}
}

// text sends a text message. It reports whether the connection took it within 5 s.
func (s *socket) text(data []byte) bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	return s.conn.WriteMessage(websocket.TextMessage, data) == nil
}

// send sends a message and returns its id.
func (s *socket) send(to, body string) string {
	id := uuid.Must(uuid.NewV7()).String()
	s.sendAs(id, to, body)
	return id
}

// sendAll sends each of the bodies to each of the people, and waits until all are answered, the socket has ended, or
// no answer arrives for 2 s. It returns how many were sent, and the answers by message.
func (s *socket) sendAll(ctx context.Context, people []string, bodies ...string) (tried int, sent map[string]int) {
	to := map[string]string{}
	for _, uid := range people {
		for _, body := range bodies {
			to[s.send(uid, body)] = uid
		}
	}
	last, since := -1, time.Now()
	for time.Since(since) < 2*time.Second && !s.isEnded() && ctx.Err() == nil {
		n := 0
		s.mu.Lock()
		for id := range to {
			if s.answers[id] != "" {
				n++
			}
		}
		s.mu.Unlock()
		if n == len(to) {
			break
		}
		if n != last {
			last, since = n, time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
	sent = map[string]int{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, uid := range to {
		if s.answers[id] == "sent" {
			sent[uid]++
		}
	}
	return len(to), sent
}

// total adds up counts.
func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// sendAs sends a message with an id.
func (s *socket) sendAs(id, to, body string) {
	s.mu.Lock()
	delete(s.answers, id)
	s.mu.Unlock()
	s.frame(wire.ClientFrame{Type: wire.TypeSend, ID: id, To: to, Body: body, At: chat.MicrosOf(time.Now())})
}

// body returns what a device shows under the key of a message, or "".
func (s *socket) body(id, from string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies[chat.KeyOf(id, from)]
}

// answerTo waits for the answer to a message: "sent", the code of the refusal, or "" after 3 s.
func (s *socket) answerTo(ctx context.Context, id string) (answer string) {
	eventually(ctx, 3*time.Second, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		answer = s.answers[id]
		return answer != "" || s.isEnded()
	})
	return answer
}

// count returns how many frames of a type have arrived, "event <type>" for events, and "error <code>" for errors.
func (s *socket) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[what]
}

// presences returns the people of whom the socket was sent a state.
func (s *socket) presences() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.states))
}

// knows reports whether the server has told the socket that a user is online, or when they last were.
func (s *socket) knows(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[uid]
}

// messagesFrom returns how many messages of a user the socket was sent.
func (s *socket) messagesFrom(uid string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown[uid]
}

func (s *socket) errorCode() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.code
}

func (s *socket) closeCode() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close
}

func (s *socket) isEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// end closes the connection and waits for its reader.
func (s *socket) end() {
	s.conn.Close()
	<-s.ended
}

// Opcodes of RFC 6455 for raw frames.
const (
	opContinuation = 0x0
	opText         = 0x1
	opPing         = 0x9
	opPong         = 0xa
	final          = 0x80
)

// rawFrame returns a masked frame. first has the opcode, and final unless more fragments follow. The mask is zero, so
// the payload is unchanged.
func rawFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// flood writes the same bytes over and over until n copies are written, the connection ends, or d has passed. It
// returns how many copies the connection took.
func (s *socket) flood(copies []byte, perWrite, n int, d time.Duration) (written int) {
	s.writing.Lock()
	defer s.writing.Unlock()
	raw := s.conn.NetConn()
	var batch []byte
	for range perWrite {
		batch = append(batch, copies...)
	}
	deadline := time.Now().Add(d)
	for written < n && time.Now().Before(deadline) && !s.isEnded() {
		_ = raw.SetWriteDeadline(deadline)
		if _, err := raw.Write(batch); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			return written
		}
		written += perWrite
	}
	return written
}
