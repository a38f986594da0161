package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// The strict decoder accepts every frame that the decoder for flat frames accepts, with the same result. So the strict
// rules of fields (each at most once, with the right type and in the right case) hold for both.
func FuzzFlatFrames(f *testing.F) {
	for _, frame := range []string{
		`{"type":"ping"}`,
		`{"type":"ack","cursor":"0.abc:1700000000000-0"}`,
		`{"type":"send","id":"0191e0a0","to":"bobUid0002","body":"a \"b\" \\ \n\t/\/ é 🙂","at":1700000000000000}`,
		`{"type":"read","conversation":"a~b","at":1}`,
		`{"type":"hello","token":"x.y.z","device":"d","cursor":""}`,
		`{"type":"typing","to":"b","to":"c"}`,
		`{"type":"send","at":1,"at":2}`,
		`{"Type":"ping","type":"ack"}`,
		`{"type":"send","id":"x","at":01}`,
		`{"type":"send","id":"x","at":1e3}`,
		`{"type":"send","id":"x","at":-1}`,
		`{"type":"send","id":"x","at":999999999999999999999}`,
		`{"type":"send","body":"\ud83d\ude42","body2":1}`,
		`{"type":"send","body":"` + "\x01" + `"}`,
		`{"type":"watch","users":["a"]}`,
		`{"type":"ping",}`, `{"type":"ping"}}`, `{}`, `{"type":null}`, ` {"type" : "ping"}`, `{"type":"ping"`, `{"type":"\`,
	} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) {
			return
		}
		got, ok := decodeFlat(data)
		if !ok {
			return
		}
		want, err := decodeFields(data)
		if err != nil {
			t.Fatalf("%q is accepted, although: %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\n got %+v\nwant %+v", data, got, want)
		}
		if err := checkSurrogates(data); err != nil {
			t.Fatalf("%q is accepted, although: %v", data, err)
		}
	})
}

// The usual frames are decoded without the strict decoder, which is slow. Others are left to it.
func TestFlatFrames(t *testing.T) {
	for frame, want := range map[string]bool{
		`{"type":"ping"}`:                 true,
		`{"type":"ack","cursor":"e:1-0"}`: true,
		`{"type":"read","at":1700000000000000,"conversation":"a~b"}`:                            true,
		`{"type":"send","id":"i","to":"b","body":"\"quoted\"\nline","at":5,"reply_to":"i.a"}`:   true,
		`{"type":"hello","token":"` + strings.Repeat("x", 1000) + `","device":"d","cursor":""}`: true,

		`{"type":"watch","users":["a"]}`:           false,
		`{"type":"ping","new":"field"}`:            false,
		`{"type":"ping", "id":"x"}`:                false,
		`{"type":"send","body":"\u00e9"}`:          false,
		`{"type":"send","to":"a","to":"a"}`:        false,
		`{"type":"send","at":"5"}`:                 false,
		`{"type":"send","at":05}`:                  false,
		`{"type":"send","at":5.0}`:                 false,
		`{"type":"send","at":1234567890123456789}`: false,
		`{"type":"send","body":"` + "\n" + `"}`:    false,
		`{"type":"ping"} `:                         false,
		`{"type":"ping"`:                           false,
		`{}`:                                       false,
		``:                                         false,
	} {
		if _, ok := decodeFlat([]byte(frame)); ok != want {
			t.Errorf("%s: decoded without the strict decoder: %v, want %v", frame, ok, want)
		}
	}
}

// The usual events of messages are decoded without encoding/json. Everything else is decoded as it would decode it.
func TestFlatMessages(t *testing.T) {
	m := chat.Message{ID: "i", Conversation: "a~b", From: "a", To: "b", Body: "\"é\"\n<&>", At: 5, AcceptedAt: 6}
	usual, _, err := MarshalMessage(m)
	if err != nil {
		t.Fatal(err)
	}
	m.ReplyTo = "i.b"
	reply, _, err := MarshalMessage(m)
	if err != nil {
		t.Fatal(err)
	}
	for event, want := range map[string]bool{
		string(usual):                                true,
		string(reply):                                true,
		`{"type":"message","id":"i","id":"j"}`:       false,
		`{"type":"message","id":"i","new":"j"}`:      false,
		`{"type":"message","id":"i","ID":"j"}`:       false,
		`{"type":"message","body":"\u2028"}`:         false,
		`{"type":"message","at":"5"}`:                false,
		`{"type":"message","id":"i"} `:               false,
		`{"type":"message","body":"` + "\xff" + `"}`: true,
	} {
		if _, ok := decodeFlatMessage([]byte(event)); ok != want {
			t.Errorf("%s: decoded without encoding/json: %v, want %v", event, ok, want)
		}
		checkMessage(t, []byte(event))
	}
}

// checkMessage compares DecodeMessage with encoding/json.
func checkMessage(t *testing.T, event []byte) {
	t.Helper()
	var want chat.Message
	wantErr := json.Unmarshal(event, &want)
	got, err := DecodeMessage(event)
	if (err == nil) != (wantErr == nil) || err == nil && got != want {
		t.Fatalf("%q\n got %+v, %v\nwant %+v, %v", event, got, err, want, wantErr)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, event := range []string{
		`{"type":"message","id":"i","conversation":"a~b","from":"a","to":"b","body":"\"é\" \/\t","at":5,"accepted_at":6}`,
		`{"type":"sent","id":"i","reply_to":"i.b","at":0}`, `{"At":5,"at":6}`, `{"id":null}`, `{"at":01}`, `[]`,
		`{"accepted_at":999999999999999999999}`, `{"body":"\ud83d"}`, "{\"body\":\"\xff\"}",
	} {
		f.Add([]byte(event))
	}
	f.Fuzz(checkMessage)
}

// The frames that are encoded without encoding/json are encoded as it would encode them.
func TestAppend(t *testing.T) {
	for _, s := range []string{"", "0.abc:17-0", `a"b\c`, "é\u2028", "<&>", "\x01\x7f", "a\xffb"} {
		for _, f := range []ServerFrame{
			Sent{ID: s, AcceptedAt: 1700000000000000}, Sent{ID: s},
			EventFrame{Cursor: s, Event: []byte(`{"type":"read","at":1}`)},
		} {
			got, err := Append([]byte("before "), f)
			if err != nil {
				t.Fatal(err)
			}
			body, err := chat.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			if want := `before {"type":"` + f.frameType() + `",` + string(body[1:]); string(got) != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		}
	}
}
