package wire_test

import (
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// BenchmarkDecodeClient decodes the frames that make up most of the traffic.
func BenchmarkDecodeClient(b *testing.B) {
	const id = "019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e"
	for name, frame := range map[string]string{
		"send": `{"type":"send","id":"` + id + `","to":"bobUid0002","at":1795347732123456,"body":"` +
			strings.Repeat("How are you? ", 15) + `"}`,
		"escaped": `{"type":"send","id":"` + id + `","to":"bobUid0002","at":1795347732123456,"body":"` +
			strings.Repeat(`\"Ça va?\"\n`, 15) + `"}`,
		"ack":    `{"type":"ack","cursor":"9f86d081884c7d65.4:1795347732200-0"}`,
		"typing": `{"type":"typing","to":"bobUid0002"}`,
	} {
		b.Run(name, func(b *testing.B) {
			data := []byte(frame)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.DecodeClient(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncode encodes the frames that a server sends for a message.
func BenchmarkEncode(b *testing.B) {
	message, _, err := wire.MarshalMessage(benchMessage)
	if err != nil {
		b.Fatal(err)
	}
	for name, frame := range map[string]wire.ServerFrame{
		"event": wire.EventFrame{Cursor: "9f86d081884c7d65.4:1795347732200-0", Event: message},
		"sent":  wire.Sent{ID: benchMessage.ID, AcceptedAt: benchMessage.AcceptedAt},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.Encode(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMarshalMessage(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := wire.MarshalMessage(benchMessage); err != nil {
			b.Fatal(err)
		}
	}
}

var benchMessage = chat.Message{ID: "019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e", Conversation: "aliceUid0001~bobUid0002",
	From: "aliceUid0001", To: "bobUid0002", Body: strings.Repeat("How are you? ", 15), At: 1795347732123456,
	AcceptedAt: 1795347732204456}

// BenchmarkDecodeMessage decodes the event of a message that was acknowledged.
func BenchmarkDecodeMessage(b *testing.B) {
	event, _, err := wire.MarshalMessage(chat.Message{ID: "019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e",
		Conversation: "annUid0001~bobUid0002", From: "annUid0001", To: "bobUid0002",
		Body: strings.Repeat("How are you? ", 15), At: 1795347732123456, AcceptedAt: 1795347732123457})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeMessage(event); err != nil {
			b.Fatal(err)
		}
	}
}
