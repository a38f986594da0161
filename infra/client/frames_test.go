package client

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

type golden struct {
	Name    string
	Frame   json.RawMessage
	Valid   bool
	Code    string
	Ignored bool
}

func goldens(t *testing.T, file string) []golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(wireData, "frames", file))
	if err != nil {
		t.Fatal(err)
	}
	var g []golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if len(g) == 0 {
		t.Fatal("no golden frames")
	}
	return g
}

// text returns the frame as sent on the wire.
func (g golden) text() []byte {
	var s string
	if json.Unmarshal(g.Frame, &s) == nil {
		return []byte(s)
	}
	return g.Frame
}

// A frame that can be decoded leaves the socket open. Another one ends it, since skipping it could lose an event.
func TestGoldenServerFrames(t *testing.T) {
	for _, g := range goldens(t, "server.json") {
		t.Run(g.Name, func(t *testing.T) {
			w := newWorld(t, me)
			n, err := w.accept(true, 0)
			if err != nil {
				t.Fatal(err)
			}
			w.m.frame(w.now, n, g.text())
			if w.openRequest[n] != g.Valid {
				t.Errorf("socket open: %v, want %v", w.openRequest[n], g.Valid)
			}
		})
	}
}

// A server can decode what this client writes, and each frame type that it writes is among the golden frames.
func TestServersDecodeWhatTheClientWrites(t *testing.T) {
	id := "0199f3a2-7c1e-7abc-8def-0123456789ab"
	written := map[string][]byte{
		wire.TypeHello: encodeHello("token", "device1", "", true, false),
		wire.TypeSend: encodeSend(chat.Message{ID: id, To: other, Body: "hello", At: 1795348800000000,
			ReplyTo: chat.KeyOf(id, other)}),
		wire.TypeAck:   encodeAck("e:1-0"),
		wire.TypeRead:  encodeRead(conv, 1795348800000000),
		wire.TypeToken: encodeToken("token"),
		wire.TypePing:  encodePing(),
	}
	for name, b := range written {
		f, err := wire.DecodeClient(b)
		if err != nil || f.Type != name {
			t.Errorf("%s: decoded as %+v, %v", b, f, err)
		}
	}
	for _, g := range goldens(t, "client.json") {
		var head struct{ Type string }
		if !g.Valid || g.Ignored || json.Unmarshal(g.text(), &head) != nil {
			continue
		}
		delete(written, head.Type)
	}
	if len(written) > 0 {
		t.Errorf("no valid golden frame has a type of %v", written)
	}
}
