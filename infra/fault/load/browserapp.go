package load

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
)

// Limits of the sockets of a browserApp.
const (
	browserDialWithin  = 15 * time.Second
	browserWriteWithin = 5 * time.Second
	browserQueue       = 4096 // frames that wait to be written
)

type browserOptions struct {
	dial        func(context.Context) (client.Conn, error)
	token       func() (token string, ends time.Time, err error)
	note        func(client.Note)
	request     func(url string) (answered func(body []byte) error) // records a request to the HTTP functions
	skew        time.Duration
	seed        *rand.Rand
	misbehavior client.Misbehavior
}

// browserApp is one run of the browser's engine on a browserStore. Its sockets are connections of this process, so that
// they can break as those of other devices do.
type browserApp struct {
	browsers *Browsers
	id       int
	opts     browserOptions

	ctx    context.Context // of dials and requests; ends with the app
	cancel context.CancelFunc
	wg     sync.WaitGroup // dials, readers, writers

	mu      sync.Mutex
	sockets map[int]*browserSocket // guarded by mu
	paused  chan struct{}          // closed when reading goes on; nil while it does; guarded by mu
	offline bool                   // guarded by mu
	up      bool                   // guarded by mu
	ended   bool                   // guarded by mu
}

// browserSocket is one socket of a browserApp.
type browserSocket struct {
	conn   client.Conn // nil until it is dialed
	out    chan []byte // frames to write
	close  func()      // ends the connection or its dial, without a close frame
	silent bool        // the app is not informed of the end, because the device has no network
	code   int         // of the close frame after the last frame; 0: none
	held   string      // the acknowledgment that waits because of client.Misbehavior.AckDelay; "" if there is none
}

// start starts the app on the store. A failure makes the run fail.
func (s *browserStore) start(opts browserOptions) *browserApp {
	b := s.browsers
	a := &browserApp{browsers: b, id: b.nextID(), opts: opts, sockets: map[int]*browserSocket{}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	b.mu.Lock()
	b.apps[a.id] = a
	b.mu.Unlock()
	seed := make([]uint32, 3)
	for i := range seed {
		seed[i] = opts.seed.Uint32()
	}
	s.mustCall(toNode{Do: "start", App: a.id, SkewMS: opts.skew.Milliseconds(), Seed: seed}, nil)
	return a
}

// call makes a call to the app. It fails when the app is killed, which is no fault.
func (a *browserApp) call(line toNode, result any) error {
	line.App = a.id
	return a.browsers.call(a.ctx, line, result)
}

// Write implements App.
func (a *browserApp) Write(to, body, replyTo string) (id string) {
	_ = a.call(toNode{Do: "write", To: to, Body: body, ReplyTo: replyTo}, &id)
	return id
}

// Change implements App.
func (a *browserApp) Change(conversation, key string, kind chat.ChangeKind, content string) {
	_ = a.call(toNode{Do: "change", Conversation: conversation, Key: key, Kind: string(kind), Content: content}, nil)
}

// Seen implements App.
func (a *browserApp) Seen(conversation string, at chat.Micros) {
	_ = a.call(toNode{Do: "seen", Conversation: conversation, At: at}, nil)
}

// openRetry is the time between two attempts to open a conversation.
const openRetry = 300 * time.Millisecond

// Open implements App.
func (a *browserApp) Open(ctx context.Context, conversation string, whole bool) error {
	for {
		err := a.call(toNode{Do: "open", Conversation: conversation, Whole: whole}, nil)
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-time.After(openRetry):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-a.ctx.Done():
			return a.ctx.Err()
		}
	}
}

// Offline implements App. As in a browser, the app learns that there is no network, and its sockets report nothing.
func (a *browserApp) Offline() {
	a.mu.Lock()
	if a.offline || a.ended {
		a.mu.Unlock()
		return
	}
	a.offline = true
	for _, s := range a.sockets {
		s.silent = true
		s.close()
	}
	a.mu.Unlock()
	_ = a.call(toNode{Do: "online", Online: false}, nil)
}

// Online implements App.
func (a *browserApp) Online() {
	a.mu.Lock()
	was := a.offline
	a.offline = false
	a.mu.Unlock()
	if was {
		_ = a.call(toNode{Do: "online", Online: true}, nil)
	}
}

// setClock sets the wall clock of the device.
func (a *browserApp) setClock(ahead time.Duration) {
	_ = a.call(toNode{Do: "skew", SkewMS: ahead.Milliseconds()}, nil)
}

func (a *browserApp) isOffline() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.offline
}

// Drop implements App.
func (a *browserApp) Drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sockets {
		s.close()
	}
}

// StopReading implements App.
func (a *browserApp) StopReading(stop bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case stop && a.paused == nil:
		a.paused = make(chan struct{})
	case !stop && a.paused != nil:
		close(a.paused)
		a.paused = nil
	}
}

// Up implements App.
func (a *browserApp) Up() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.up && !a.offline && !a.ended
}

// Kill implements App. It returns when everything that the app has committed is in the record.
func (a *browserApp) Kill() {
	a.mu.Lock()
	ended := a.ended
	a.ended = true
	a.mu.Unlock()
	if ended {
		return
	}
	_ = a.browsers.call(context.Background(), toNode{Do: "kill", App: a.id}, nil)
	a.browsers.mu.Lock()
	delete(a.browsers.apps, a.id)
	a.browsers.mu.Unlock()
	a.cancel()
	a.Drop()
	a.wg.Wait()
}

// noteKinds are the notes of the process.
var noteKinds = map[string]client.NoteKind{
	"typed": client.NoteTyped, "frozen": client.NoteFrozen, "shown": client.NoteShown, "state": client.NoteState,
	"read": client.NoteRead, "up": client.NoteUp, "down": client.NoteDown, "moved": client.NoteMoved,
	"not_resumed": client.NoteNotResumed, "corrected": client.NoteCorrected,
	"repeated": client.NoteRepeated, "folded": client.NoteFolded, "retyped": client.NoteRetyped,
	"dropped": client.NoteDropped,
}

// note passes on what the app reports.
func (a *browserApp) note(line fromNode) {
	kind, known := noteKinds[line.Note]
	if !known {
		a.browsers.fail(errors.New("unknown note " + line.Note))
		return
	}
	if kind == client.NoteUp || kind == client.NoteDown {
		a.mu.Lock()
		a.up = kind == client.NoteUp
		a.mu.Unlock()
	}
	a.opts.note(client.Note{
		NoteKind: kind, Message: line.Message, Changes: line.Changes, Change: line.Change,
		State: stateNamed(line.State), From: line.From, Conversation: line.Conversation, At: line.At,
		Refusal: line.Refusal,
	})
}

// socketEvent handles what the app does with a socket.
func (a *browserApp) socketEvent(line fromNode) {
	switch line.Event {
	case "dial":
		a.dial(line.Socket)
	case "send":
		a.send(line.Socket, line.Text)
	case "close":
		a.closeSocket(line.Socket, line.Code)
	}
}

func (a *browserApp) dial(n int) {
	ctx, cancel := context.WithTimeout(a.ctx, browserDialWithin)
	s := &browserSocket{out: make(chan []byte, browserQueue), close: cancel}
	a.mu.Lock()
	a.sockets[n] = s
	if a.offline {
		cancel()
	}
	a.mu.Unlock()
	a.wg.Go(func() {
		defer cancel()
		conn, err := a.opts.dial(ctx)
		if err == nil && !a.opened(n, s, conn) {
			conn.Close()
			return
		}
		code := websocket.CloseAbnormalClosure
		if err == nil {
			a.browsers.write(toNode{App: a.id, Socket: n, Event: "opened"})
			a.wg.Go(func() { a.writeFrames(s, conn) })
			code = a.readFrames(n, conn)
			conn.Close()
		}
		a.mu.Lock()
		open := a.sockets[n] == s
		delete(a.sockets, n)
		silent := s.silent
		a.mu.Unlock()
		if open {
			close(s.out)
			if !silent {
				a.browsers.write(toNode{App: a.id, Socket: n, Event: "closed", Code: code})
			}
		}
	})
}

// opened records the connection of a socket. It returns false if the socket was closed meanwhile.
func (a *browserApp) opened(n int, s *browserSocket, conn client.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sockets[n] != s || a.ended {
		return false
	}
	s.conn = conn
	s.close = func() { conn.Close() }
	return true
}

// readFrames passes frames on to the app until the socket ends, and returns the close code.
func (a *browserApp) readFrames(n int, conn client.Conn) (code int) {
	for {
		a.mu.Lock()
		paused := a.paused
		a.mu.Unlock()
		if paused != nil {
			select {
			case <-paused:
			case <-a.ctx.Done():
			}
		}
		_, data, err := conn.ReadMessage()
		if err != nil {
			if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
				return ce.Code
			}
			return websocket.CloseAbnormalClosure
		}
		a.browsers.write(toNode{App: a.id, Socket: n, Event: "text", Text: string(data)})
	}
}

// writeFrames writes the frames of the app until out is closed, and then closes the connection.
func (a *browserApp) writeFrames(s *browserSocket, conn client.Conn) {
	defer conn.Close()
	write := func(kind int, data []byte) {
		if conn.SetWriteDeadline(time.Now().Add(browserWriteWithin)) != nil || conn.WriteMessage(kind, data) != nil {
			conn.Close()
		}
	}
	for frame := range s.out {
		write(websocket.TextMessage, frame)
	}
	a.mu.Lock()
	code := s.code
	a.mu.Unlock()
	if code != 0 {
		write(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""))
	}
}

// send queues a frame. An acknowledgment is recorded first.
func (a *browserApp) send(n int, text string) {
	var f struct{ Type, Cursor string }
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		a.browsers.fail(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sockets[n]
	if s == nil || s.conn == nil {
		return
	}
	switch {
	case f.Type == "hello" && f.Cursor != "":
		a.opts.note(client.Note{NoteKind: client.NoteAcked, Cursor: f.Cursor})
	case f.Type == "ack" && a.opts.misbehavior.AckDelay > 0:
		if s.held == "" {
			time.AfterFunc(a.opts.misbehavior.AckDelay, func() { a.sendHeld(n, s) })
		}
		s.held = f.Cursor
		return
	case f.Type == "ack":
		a.ack(s, f.Cursor)
		return
	}
	a.queue(s, []byte(text))
}

// sendHeld sends the acknowledgment that a socket has held back. The record then takes it for one of everything that is
// shown by now, which excuses an early save of the newest messages of a device that acknowledges late.
func (a *browserApp) sendHeld(n int, s *browserSocket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sockets[n] == s && !a.ended {
		a.ack(s, s.held)
		s.held = ""
	}
}

// ack queues an acknowledgment and records it. mu is held.
func (a *browserApp) ack(s *browserSocket, cursor string) {
	if a.opts.misbehavior.AckNever {
		return
	}
	if a.opts.misbehavior.AckAhead > 0 {
		if c, err := inbox.ParseCursor(cursor); err == nil {
			c.ID.Ms += uint64(a.opts.misbehavior.AckAhead.Milliseconds())
			cursor = c.String()
		}
	}
	frame, err := json.Marshal(map[string]string{"type": "ack", "cursor": cursor})
	if err != nil {
		panic(err) // strings are always valid
	}
	a.opts.note(client.Note{NoteKind: client.NoteAcked, Cursor: cursor})
	a.queue(s, frame)
}

// queue queues a frame. A socket that takes no more frames ends. mu is held.
func (a *browserApp) queue(s *browserSocket, frame []byte) {
	select {
	case s.out <- frame:
	default:
		s.close()
	}
}

// closeSocket ends a socket because the app has closed it with a code, or because the app was killed (0).
func (a *browserApp) closeSocket(n, code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sockets[n]
	if s == nil {
		return
	}
	delete(a.sockets, n)
	if s.conn == nil {
		s.close()
		return
	}
	s.code = code
	close(s.out)
	if code == 0 {
		s.close()
	}
}
