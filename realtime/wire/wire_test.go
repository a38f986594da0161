package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// golden is one entry of a golden frame file; see the package comment.
type golden struct {
	Name    string          `json:"name"`
	Frame   json.RawMessage `json:"frame"`
	Valid   bool            `json:"valid"`
	Code    string          `json:"code"`
	Ignored bool            `json:"ignored"`
}

// text returns the frame as it is sent.
func (g golden) text(t testing.TB) []byte {
	t.Helper()
	if !bytes.HasPrefix(g.Frame, []byte(`"`)) {
		return g.Frame
	}
	var s string
	if err := json.Unmarshal(g.Frame, &s); err != nil {
		t.Fatal(err)
	}
	return []byte(s)
}

func readGolden(t testing.TB, file string) []golden {
	t.Helper()
	data, err := os.ReadFile("testdata/frames/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, g := range all {
		if names[g.Name] {
			t.Errorf("%s: two entries have the name %q", file, g.Name)
		}
		names[g.Name] = true
	}
	if len(all) < 50 {
		t.Fatalf("%s has only %d frames", file, len(all))
	}
	return all
}

// contentCode returns the code with which the server refuses the content of a valid frame that aliceUid0001 sends at
// the time of the golden frames, or "" if the server accepts it.
func contentCode(f wire.ClientFrame) string {
	const uid = "aliceUid0001"
	var err error
	switch f.Type {
	case wire.TypeSend:
		m := chat.Message{ID: f.ID, Conversation: chat.ConversationID(uid, f.To),
			From: uid, To: f.To, Body: f.Body, At: f.At, ReplyTo: f.ReplyTo}
		err = m.CheckSend(f.At.Time().Add(time.Second))
	case wire.TypeChange:
		c := chat.Change{ID: f.ID, Conversation: chat.ConversationID(uid, f.To), From: uid, To: f.To, At: f.At, Of: f.Of,
			Kind: f.Kind, Body: f.Body, Emoji: f.Emoji}
		err = c.CheckSend(f.At.Time().Add(time.Second))
	case wire.TypeRead:
		_, err = chat.Other(f.Conversation, uid)
	case wire.TypeAck:
		_, err = inbox.ParseCursor(f.Cursor)
	}
	if err == nil {
		return ""
	}
	return problem.Of(err).Code
}

func TestGoldenClientFrames(t *testing.T) {
	for _, g := range readGolden(t, "client.json") {
		t.Run(g.Name, func(t *testing.T) {
			f, err := wire.DecodeClient(g.text(t))
			if (err == nil) != g.Valid {
				t.Fatalf("DecodeClient: %v; want valid = %v", err, g.Valid)
			}
			if err != nil {
				if code := problem.Of(err).Code; code != g.Code {
					t.Errorf("code %q, want %q", code, g.Code)
				}
				if errors.Unwrap(err) == nil {
					t.Error("the error has no cause")
				}
				return
			}
			if f.Known() == g.Ignored {
				t.Errorf("Known() = %v for a frame with ignored = %v", f.Known(), g.Ignored)
			}
			if code := contentCode(f); code != g.Code {
				t.Errorf("the content is refused with %q, want %q", code, g.Code)
			}
			again, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			if g.Ignored {
				return
			}
			f2, err := wire.DecodeClient(again)
			if len(f.Users) == 0 { // an empty list is the same as none
				f.Users = nil
			}
			if err != nil || !reflect.DeepEqual(f2, f) {
				t.Errorf("encoded and decoded again: %+v, %v; want %+v", f2, err, f)
			}
		})
	}
}

func TestGoldenServerFrames(t *testing.T) {
	for _, g := range readGolden(t, "server.json") {
		t.Run(g.Name, func(t *testing.T) {
			text := g.text(t)
			f, err := wire.DecodeServer(text)
			if (err == nil) != g.Valid {
				t.Fatalf("DecodeServer: %v; want valid = %v", err, g.Valid)
			}
			if err != nil {
				return
			}
			ignored := false
			switch f := f.(type) {
			case wire.Unknown:
				ignored = true
			case wire.EventFrame:
				e, err := wire.DecodeEvent(f.Event)
				if err != nil {
					t.Fatal(err)
				}
				_, ignored = e.(wire.UnknownEvent)
			}
			if ignored != g.Ignored {
				t.Errorf("ignored = %v, want %v", ignored, g.Ignored)
			}
			if _, unknown := f.(wire.Unknown); unknown || strings.Contains(g.Name, "field of a later version") {
				return
			}
			again, err := wire.Encode(f)
			if err != nil {
				t.Fatal(err)
			}
			if !sameJSON(t, again, text) {
				t.Errorf("Encode gives %s\nwant %s", again, text)
			}
			if !bytes.HasPrefix(again, []byte(`{"type":"`)) {
				t.Errorf("the type is not the first field: %s", again)
			}
		})
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var va, vb any
	if err := errors.Join(json.Unmarshal(a, &va), json.Unmarshal(b, &vb)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(va, vb)
}

// Both files have valid frames of every type of their direction, and invalid ones unless no field can be wrong. A type
// without golden frames would not be tested anywhere.
func TestGoldenFilesAreComplete(t *testing.T) {
	valid, invalid := map[string]bool{}, map[string]bool{}
	for _, file := range []string{"client.json", "server.json"} {
		for _, g := range readGolden(t, file) {
			var head struct {
				Type  any `json:"type"`
				Event struct {
					Type any `json:"type"`
				} `json:"event"`
			}
			_ = json.Unmarshal(g.text(t), &head) // a frame that is not JSON has no type to count
			for _, name := range []any{head.Type, head.Event.Type} {
				if name, ok := name.(string); ok && g.Valid {
					valid[file+" "+name] = true
				} else if ok {
					invalid[file+" "+name] = true
				}
			}
		}
	}
	want := map[string][]string{
		"client.json": {"hello", "send", "ack", "read", "typing", "watch", "token", "ping"},
		"server.json": {"welcome", "event", "caught_up", "sent", "presence", "typing", "goaway", "error", "pong",
			"message", "sent", "delivered", "read", "setting", "refused"},
	}
	for file, types := range want {
		for _, name := range types {
			if !valid[file+" "+name] {
				t.Errorf("%s has no valid %q frame", file, name)
			}
			if name != "pong" && !invalid[file+" "+name] {
				t.Errorf("%s has no invalid %q frame", file, name)
			}
		}
	}
}

func TestDecodeClientRefusesInvalidUTF8(t *testing.T) {
	send := `{"type":"send","id":"019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e","to":"bob","at":1,"body":"`
	for name, body := range map[string]string{
		"an invalid byte":           "\xff",
		"a truncated sequence":      "\xe2\x82",
		"an overlong encoding":      "\xc0\xaf",
		"an encoded surrogate":      "\xed\xa0\x80",
		"above the last code point": "\xf4\x90\x80\x80",
	} {
		if _, err := wire.DecodeClient([]byte(send + body + `"}`)); !errors.Is(err, wire.ErrBadFrame) {
			t.Errorf("%s: %v, want bad_frame", name, err)
		}
	}
}

func TestDecodeClientSizeLimit(t *testing.T) {
	frame := func(size int) []byte {
		const head, tail = `{"type":"ping","pad":"`, `"}`
		return []byte(head + strings.Repeat("x", size-len(head)-len(tail)) + tail)
	}
	if _, err := wire.DecodeClient(frame(chat.MaxFrameSize)); err != nil {
		t.Errorf("a frame at the limit: %v", err)
	}
	if _, err := wire.DecodeClient(frame(chat.MaxFrameSize + 1)); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("a frame one byte above the limit: %v, want frame_too_large", err)
	}
}

// The longest body fits into a frame in every encoding that a client may choose, except the longest one: \u escapes of
// surrogate pairs, with 12 bytes per code point.
func TestLongestBodyFitsAFrame(t *testing.T) {
	f := wire.ClientFrame{Type: wire.TypeSend, ID: strings.Repeat("0", 36), To: strings.Repeat("u", chat.MaxUID),
		At: 1<<53 - 1, ReplyTo: strings.Repeat("0", chat.MaxKey), Body: strings.Repeat("👋", chat.MaxBody)}
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > chat.MaxFrameSize {
		t.Errorf("the longest message takes %d bytes, more than a frame (%d)", len(data), chat.MaxFrameSize)
	}
}

func TestBadFrameKeepsTypeAndID(t *testing.T) {
	f, err := wire.DecodeClient([]byte(`{"type":"send","to":7,"id":"m1","at":1}`))
	if !errors.Is(err, wire.ErrBadFrame) || f.ID != "m1" || f.Type != "send" {
		t.Errorf("got %+v, %v; want the id and the type with bad_frame", f, err)
	}
}

func TestErrorOfHidesCauses(t *testing.T) {
	err := problem.Wrap(errors.New("dial tcp 10.0.0.3:6379"), problem.Unavailable, "unavailable", "Later.").
		WithRetry(1500 * time.Millisecond)
	data, encErr := wire.Encode(wire.ErrorOf(err, "m1"))
	if encErr != nil {
		t.Fatal(encErr)
	}
	const want = `{"type":"error","code":"unavailable","message":"Later.","id":"m1","retry_after_ms":1500}`
	if string(data) != want {
		t.Errorf("got %s\nwant %s", data, want)
	}
}

// An event is sent byte for byte as it is in the inbox.
func TestEncodeKeepsTheEvent(t *testing.T) {
	event := `{"type":"message","body":"<b>&amp; \u2028"}`
	data, err := wire.Encode(wire.EventFrame{Cursor: "e:1-0", Event: json.RawMessage(event)})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"event","cursor":"e:1-0","event":` + event + `}`; string(data) != want {
		t.Errorf("got %s", data)
	}
}

func FuzzDecodeClient(f *testing.F) {
	for _, g := range readGolden(f, "client.json") {
		f.Add(g.text(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := wire.DecodeClient(data)
		if err != nil {
			if code := problem.Of(err).Code; code != "bad_frame" && code != "frame_too_large" {
				t.Fatalf("code %q is not one of the decoder", code)
			}
			return
		}
		if frame.Type == "" {
			t.Fatal("a frame without a type was accepted")
		}
		if !json.Valid(data) {
			t.Fatal("invalid JSON was accepted")
		}
		if !frame.Known() {
			return
		}
		again, err := json.Marshal(frame)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > chat.MaxFrameSize {
			return // encoding/json escapes characters that the client did not escape
		}
		frame2, err := wire.DecodeClient(again)
		if err != nil {
			t.Fatalf("encoded again it is refused: %v\n%s", err, again)
		}
		if len(frame.Users) == 0 { // an empty list is the same as none
			frame.Users, frame2.Users = nil, nil
		}
		if !reflect.DeepEqual(frame, frame2) {
			t.Fatalf("encoded and decoded again: %+v, want %+v", frame2, frame)
		}
	})
}
