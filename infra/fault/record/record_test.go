package record

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func TestWriteAndRead(t *testing.T) {
	l := New()
	m := chat.Message{ID: "i", Conversation: "a~b", From: "a", To: "b", Body: "hello", At: 1795348800000000}
	l.Add(Entry{Kind: Device, Device: "a1", User: "a"})
	l.Add(Entry{Kind: Shown, Device: "a1", ID: m.ID, At: m.At, Sum: SumOf(m), Text: TextOf(m)})
	lines := []Line{{ID: m.ID, At: m.At, Sum: 1<<64 - 1, State: "sent"}}
	l.Add(Entry{Kind: View, Device: "a1", Conversation: "a~b", Lines: lines})
	var b bytes.Buffer
	if err := Write(&b, l.Entries()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if err != nil || !reflect.DeepEqual(got, l.Entries()) {
		t.Errorf("read %+v, %v\nwrote %+v", got, err, l.Entries())
	}
	if _, err := Read(bytes.NewBufferString(`{"kind":"up"}{`)); err == nil {
		t.Error("a truncated record was read without an error")
	}
}

// Every field that the sender fixes changes the sum. Fields that the server adds do not.
func TestSumOf(t *testing.T) {
	m := chat.Message{ID: "i", Conversation: "a~b", From: "a", To: "b", Body: "x", At: 5, ReplyTo: "r"}
	for name, change := range map[string]func(*chat.Message){
		"body":     func(m *chat.Message) { m.Body = "y" },
		"at":       func(m *chat.Message) { m.At++ },
		"reply_to": func(m *chat.Message) { m.ReplyTo = "" },
		"id":       func(m *chat.Message) { m.ID = "j" },
		"to":       func(m *chat.Message) { m.To = "c" },
	} {
		o := m
		change(&o)
		if SumOf(o) == SumOf(m) {
			t.Errorf("a change of %s does not change the sum", name)
		}
	}
	o := m
	o.AcceptedAt = 9
	if SumOf(o) != SumOf(m) {
		t.Error("accepted_at changes the sum")
	}
}
