package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// device is one device of a user, with at most one socket.
type device struct {
	crowd *Crowd
	user  int
	index int // among the devices of the user

	cursor string // of the newest event; only the reader uses it, and a dial when there is no reader

	mu     sync.Mutex
	conn   *websocket.Conn // nil: no socket; guarded by mu
	reader chan struct{}   // closed when the reader of conn has ended; guarded by mu
	outbox map[uint32][]byte
	ack    acker // guarded by mu
}

// protocol is what a device says to one kind of server.
type protocol interface {
	// address returns the URL of the socket and the headers of its request.
	address(d *device) (string, http.Header)
	// greeting returns the first frame, or nil.
	greeting(d *device) ([]byte, error)
	// frame handles a received frame, which is only valid during the call. It reports whether the device is up: it has
	// received everything that waited.
	frame(d *device, data []byte) (up bool)
	// message returns the frame with message n.
	message(n uint32, from, to string, at time.Time, body []byte) []byte
}

// dial opens the device's socket, and returns when the device is up.
func (d *device) dial(ctx context.Context) error {
	url, header := d.crowd.protocol.address(d)
	conn, resp, err := d.crowd.dialer.DialContext(ctx, url, header)
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("%w: %s", err, resp.Status)
		}
		return err
	}
	greeting, err := d.crowd.protocol.greeting(d)
	if err == nil && greeting != nil {
		err = conn.WriteMessage(websocket.TextMessage, greeting)
	}
	if err != nil {
		conn.Close()
		return err
	}
	up, ended := make(chan struct{}), make(chan struct{})
	d.mu.Lock()
	d.conn, d.reader = conn, ended
	d.mu.Unlock()
	go func() {
		defer close(ended)
		d.read(conn, up)
	}()
	select {
	case <-up:
		return nil
	case <-ended:
		return errors.New("the socket ended before the device was up")
	case <-ctx.Done():
		d.hangUp()
		return context.Cause(ctx)
	}
}

// read handles frames until the socket ends.
func (d *device) read(conn *websocket.Conn, up chan struct{}) {
	defer conn.Close()
	var buf []byte
	for {
		_, r, err := conn.NextReader()
		if err == nil {
			buf, err = readInto(buf[:0], r)
		}
		if err != nil {
			d.mu.Lock()
			if d.conn == conn { // nobody has hung up
				d.conn = nil
				d.crowd.ledger.broken.Add(1)
			}
			d.mu.Unlock()
			return
		}
		if d.crowd.protocol.frame(d, buf) && up != nil {
			close(up)
			up = nil
		}
	}
}

// readInto reads r to its end into buf.
func readInto(buf []byte, r io.Reader) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// hangUp closes the socket without a close frame, as a lost network does, and waits for the reader.
func (d *device) hangUp() {
	d.mu.Lock()
	conn, reader := d.conn, d.reader
	d.conn = nil
	d.ack.reset()
	d.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	if reader != nil {
		<-reader
	}
}

// write sends a frame. It reports whether there was a socket that took it.
func (d *device) write(frame []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writeLocked(frame)
}

func (d *device) writeLocked(frame []byte) bool {
	return d.conn != nil && d.conn.WriteMessage(websocket.TextMessage, frame) == nil
}

// send sends a message, and keeps its frame until it is delivered.
func (d *device) send(n uint32, frame []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outbox != nil {
		d.outbox[n] = frame
	}
	return d.writeLocked(frame)
}

// sendAgain sends a message again after a pause, unless it is delivered by then.
func (d *device) sendAgain(n uint32, pause time.Duration) {
	time.AfterFunc(pause, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if frame := d.outbox[n]; frame != nil {
			d.writeLocked(frame)
		}
	})
}

// delivered removes a message from the outbox.
func (d *device) delivered(n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.outbox, n)
}

// resend sends everything in the outbox again, as a device does that was disconnected.
func (d *device) resend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, frame := range d.outbox {
		d.writeLocked(frame)
	}
}

// acker decides when a device acknowledges: a message at once, and those that follow cumulatively every 50 ms
// (DESIGN §4).
type acker struct {
	due   string // cursor to acknowledge; "": none
	timer *time.Timer
}

const ackEvery = 50 * time.Millisecond

// acknowledge acknowledges the device's cursor, now or soon.
func (d *device) acknowledge() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ack.due = d.cursor
	if d.ack.timer == nil {
		d.flushAck()
	}
}

// flushAck sends the ack that is due, and waits before the next. d.mu is held.
func (d *device) flushAck() {
	if d.ack.due == "" {
		d.ack.timer = nil
		return
	}
	d.writeLocked([]byte(`{"type":"ack","cursor":"` + d.ack.due + `"}`))
	d.ack.due = ""
	var timer *time.Timer
	timer = time.AfterFunc(ackEvery, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.ack.timer == timer {
			d.flushAck()
		}
	})
	d.ack.timer = timer
}

// reset forgets what was due: the next hello acknowledges it.
func (a *acker) reset() {
	if a.timer != nil {
		a.timer.Stop()
	}
	*a = acker{}
}
