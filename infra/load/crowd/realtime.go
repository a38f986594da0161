package crowd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// chatV1 is the protocol of realtime (package wire). It finds fields without decoding frames, because the crowd shares
// the machine with the system that it measures. Frames begin with their type. A body cannot imitate a field, because
// JSON escapes its quotes.
type chatV1 struct{ target Target }

func (p chatV1) address(d *device) (string, http.Header) {
	return "ws://" + p.target.Addrs[d.instance()] + "/ws", http.Header{
		"Origin":                 {p.target.Origin},
		"Sec-Websocket-Protocol": {wire.Subprotocol},
		// Each user has another network. Otherwise the limit of sockets from one address without a hello would apply.
		"X-Forwarded-For": {fmt.Sprintf("10.%d.%d.%d", d.user>>8&255, d.user&255, d.index+1)},
	}
}

func (p chatV1) greeting(d *device) ([]byte, error) {
	token, err := p.target.Token(uid(d.user))
	if err != nil {
		return nil, err
	}
	return json.Marshal(wire.ClientFrame{Type: wire.TypeHello, Token: token, Device: fmt.Sprint("d", d.index),
		Cursor: d.cursor})
}

// message makes a frame whose message id, a UUIDv7, ends with n.
func (p chatV1) message(n uint32, _, to string, at time.Time, body []byte) []byte {
	ms := at.UnixMilli()
	f := make([]byte, 0, 200+len(body))
	f = fmt.Appendf(f, `{"type":"send","id":"%08x-%04x-7000-8000-0000%08x","to":"%s","at":%d,"body":"`,
		uint32(ms>>16), uint16(ms), n, to, at.UnixMicro())
	f = append(f, body...)
	return append(f, `"}`...)
}

// number returns the number of the message with this id.
func number(id []byte) (uint32, bool) {
	if len(id) != 36 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(id[28:]), 16, 32)
	return uint32(n), err == nil
}

// field returns the text between prefix and the next quote, and what follows it.
func field(data []byte, prefix string) (value, rest []byte) {
	_, after, ok := bytes.Cut(data, []byte(prefix))
	if !ok {
		return nil, nil
	}
	value, rest, _ = bytes.Cut(after, []byte(`"`))
	return value, rest
}

func (p chatV1) frame(d *device, data []byte) (up bool) {
	l := d.crowd.ledger
	kind, rest := field(data, `{"type":"`)
	switch string(kind) {
	case wire.TypeEvent:
		cursor, event := field(rest, `"cursor":"`)
		d.cursor = string(cursor)
		p.event(d, event)
	case wire.TypeSent:
		id, _ := field(rest, `"id":"`)
		if n, ok := number(id); ok {
			l.learn(n, accepted)
		}
	case wire.TypeCaughtUp:
		cursor, _ := field(rest, `"cursor":"`)
		d.cursor = string(cursor)
		d.resend()
		return true
	case wire.TypeWelcome, wire.TypeTyping, wire.TypePresence, wire.TypeProfile, wire.TypePong:
	default:
		p.refusal(d, data)
	}
	return false
}

// event handles an event. data begins within the frame, before the event.
func (p chatV1) event(d *device, data []byte) {
	l := d.crowd.ledger
	kind, rest := field(data, `"event":{"type":"`)
	fact := uint32(received)
	switch string(kind) {
	case wire.EventMessage:
		d.acknowledge()
		d.crowd.marks.noteMessage(d, data)
	case wire.EventSent:
		if d.index == sendingDevice {
			return // a server need not tell the device that sent
		}
		fact = echoed
	case wire.EventDelivered:
		for {
			var id []byte
			if id, rest = field(rest, `"id":"`); id == nil {
				return
			}
			if n, ok := number(id); ok {
				d.delivered(n)
				l.learn(n, receipt<<d.index)
			}
		}
	case wire.EventRead:
		d.crowd.marks.noteRead(d, data)
		return
	default:
		l.bad.Add(1)
		return
	}
	id, _ := field(rest, `"id":"`)
	n, ok := number(id)
	if !ok {
		l.bad.Add(1)
		return
	}
	l.learn(n, fact<<d.index)
}

// refusal handles an error frame or a goaway.
func (p chatV1) refusal(d *device, data []byte) {
	l := d.crowd.ledger
	f, err := wire.DecodeServer(data)
	if e, ok := f.(wire.ErrorFrame); ok && err == nil && e.RetryAfterMS > 0 {
		if n, ok := number([]byte(e.ID)); ok {
			l.refused.Add(1)
			d.sendAgain(n, time.Duration(e.RetryAfterMS)*time.Millisecond)
			return
		}
	}
	if l.bad.Add(1) <= 5 {
		slog.Warn("unexpected frame", "user", uid(d.user), "frame", fmt.Sprintf("%.300s", data))
	}
}

// typing returns a typing frame.
func (chatV1) typing(to string) []byte { return []byte(`{"type":"typing","to":"` + to + `"}`) }

// read returns a frame with a read mark.
func (chatV1) read(conversation string, at chat.Micros) []byte {
	return fmt.Appendf(nil, `{"type":"read","conversation":"%s","at":%d}`, conversation, int64(at))
}
