package session

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"
)

// Limits of one message on the wire. Browsers send a message as one frame, other clients in fragments of their buffer's
// size.
const (
	maxFragments  = 64               // continuation frames
	fairFragment  = 1 << 10          // bytes of a fragment that carries enough not to be overhead
	messageWithin = 15 * time.Second // from the first fragment of a message to its last
)

// readAfterFlood is the number of bytes that are read after a flood, so that a client that stops receives the reason.
const readAfterFlood = 48 << 10

// Metered returns w for websocket.Upgrader.Upgrade. The connection of the resulting socket then counts what the client
// sends, which Sessions.Serve and Sessions.Refuse require. It counts below the WebSocket library, because the library
// handles control frames and empty fragments without returning from a read.
func Metered(w http.ResponseWriter) http.ResponseWriter { return meteredWriter{w} }

type meteredWriter struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (w meteredWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &inbound{Conn: conn}, buffers, nil
}

// inbound is the connection of a socket. It delays reading according to the limits of bytes, and counts the frames
// that are overhead: control frames and small fragments. The session sets its fields before the first read, and
// writes to the net.Conn in it. Only the reader uses the rest, except for flooded, which the timer may call.
type inbound struct {
	net.Conn
	overheadLimit Rate

	bytes     *rate.Limiter
	userBytes *rate.Limiter // of all sockets of the user; nil before the hello
	overhead  *rate.Limiter // nil: no such frame so far
	flooded   func(error)   // ends the socket; may be called more than once
	over      bool          // flooded was called by count
	afterOver int           // bytes read since

	// Place in the stream of frames (RFC 6455, section 5.2).
	header  [14]byte // of the frame that begins next
	have    int      // bytes in header
	payload uint64   // bytes of the present frame that have not arrived

	fragments int         // of the present message, besides its first
	late      *time.Timer // ends the socket; nil if no fragmented message has begun
}

// inboundOf returns the connection below conn.
func inboundOf(conn *websocket.Conn) *inbound {
	in, ok := conn.NetConn().(*inbound)
	if !ok {
		panic("session: the handshake did not use Metered")
	}
	return in
}

// Read implements net.Conn. It returns later than the data arrives if the client sends more than its share. The network
// then slows the client down, because nobody empties the receive buffer.
func (in *inbound) Read(b []byte) (int, error) {
	if in.afterOver > readAfterFlood {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := in.Conn.Read(b)
	if in.over {
		in.afterOver += n
	}
	if n > 0 {
		in.count(b[:n])
		if wait := in.reserve(n); wait > 0 {
			time.Sleep(wait)
		}
	}
	return n, err
}

// reserve counts n bytes and returns how long to wait before the next read.
func (in *inbound) reserve(n int) (wait time.Duration) {
	now := time.Now()
	for _, l := range [...]*rate.Limiter{in.bytes, in.userBytes} {
		if l != nil {
			wait = max(wait, reserve(l, now, min(n, l.Burst())))
		}
	}
	return min(wait, maxReadDelay)
}

// maxReadDelay bounds one delay, so that the end of a socket is not noticed much later. A delay that is cut off is
// added to the next one, since the limiter has counted the bytes.
const maxReadDelay = time.Second

// count follows the headers of the frames in b.
func (in *inbound) count(b []byte) {
	for len(b) > 0 && !in.over {
		if in.payload > 0 {
			n := min(uint64(len(b)), in.payload)
			b, in.payload = b[n:], in.payload-n
			continue
		}
		in.header[in.have] = b[0]
		in.have++
		b = b[1:]
		if in.have < 2 {
			continue
		}
		if length, extended := in.headerLength(); in.have == length {
			in.payload = in.payloadLength(extended)
			in.have = 0
			in.countFrame(in.header[0], in.payload)
		}
	}
}

// headerLength returns the length of the present header, and how many bytes of it extend the payload length.
func (in *inbound) headerLength() (length, extended int) {
	length = 2
	switch in.header[1] & 0x7f {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	if in.header[1]&0x80 != 0 {
		length += 4 // the mask
	}
	return length + extended, extended
}

func (in *inbound) payloadLength(extended int) uint64 {
	switch extended {
	case 2:
		return uint64(binary.BigEndian.Uint16(in.header[2:]))
	case 8:
		return binary.BigEndian.Uint64(in.header[2:])
	}
	return uint64(in.header[1] & 0x7f)
}

// countFrame counts a frame by the first byte of its header and the length of its payload. The WebSocket library
// reports what the protocol forbids.
func (in *inbound) countFrame(first byte, payload uint64) {
	final, opcode := first&0x80 != 0, first&0x0f
	if opcode >= 8 {
		in.countOverhead("control frames")
		return
	}
	if opcode == 0 {
		if !final && payload < fairFragment {
			in.countOverhead("small fragments")
		}
		if in.fragments++; in.fragments > maxFragments {
			in.flood(fmt.Errorf("a message of more than %d fragments", maxFragments))
		}
	} else {
		in.fragments = 0
	}
	switch {
	case final:
		in.stopTimer()
	case in.late == nil:
		in.late = time.AfterFunc(messageWithin, func() {
			in.flooded(fmt.Errorf("a fragmented message was not complete after %v", messageWithin))
		})
	}
}

func (in *inbound) countOverhead(what string) {
	if in.overhead == nil {
		in.overhead = in.overheadLimit.limiter()
	}
	if !in.overhead.Allow() {
		in.flood(errors.New("too many " + what))
	}
}

func (in *inbound) flood(why error) {
	in.over = true
	in.flooded(why)
}

// stopTimer ends the time limit of a fragmented message.
func (in *inbound) stopTimer() {
	if in.late != nil {
		in.late.Stop()
		in.late = nil
	}
}

// pause suspends the time limit of a fragmented message, because the server itself does not read for a while. resume
// restarts it.
func (in *inbound) pause() {
	if in.late != nil {
		in.late.Stop()
	}
}

func (in *inbound) resume() {
	if in.late != nil {
		in.late.Reset(messageWithin)
	}
}
