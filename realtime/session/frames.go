package session

import (
	"encoding/binary"
	"sync"
)

// Opcodes of the frames that the server writes (RFC 6455, section 5.2).
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

// maxHeader is the largest size of the header of a frame without a mask.
const maxHeader = 10

// appendHeader appends the header of a frame that is a whole message. The WebSocket library would write each frame with
// a system call, so this package puts frames together itself. A server does not mask its frames.
func appendHeader(b []byte, opcode byte, payload int) []byte {
	b = append(b, 0x80|opcode)
	switch {
	case payload <= 125:
		return append(b, byte(payload))
	case payload <= 1<<16-1:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(payload))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(payload))
}

// textFrame turns b, which has maxHeader bytes before a payload, into a text frame, which is a part of b.
func textFrame(b []byte) []byte {
	var header [maxHeader]byte
	h := appendHeader(header[:0], opText, len(b)-maxHeader)
	return b[maxHeader-copy(b[maxHeader-len(h):], h):]
}

// Buffers for frames in both directions come from pools, because an idle socket needs none.
const keepBuffer = 16 << 10 // bytes of a buffer that is used again

type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, 1<<10)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

// free returns the buffer to the pool. Nothing may refer to it.
func (b *buffer) free() {
	if cap(b.b) <= keepBuffer {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}
