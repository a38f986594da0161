package settle

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// An entry that is spliced from an event is decoded like one that was encoded. So is one whose event something else has
// encoded.
func TestSplicedEntries(t *testing.T) {
	m := message("ann", "ben", "\"é\" <&>\u2028\n")
	m.AcceptedAt = m.At + 1
	for _, reply := range []string{"", m.ID + ".ben"} {
		m.ReplyTo = reply
		event, _, err := wire.MarshalMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		want := delivery.Delivered{Message: m, DeliveredAt: m.At + 2}
		for _, data := range []string{string(event), "{\"id\":1}", ""} {
			entry := encodeDelivered([]byte(data), delivered{inbox.OfMessage(m), want.DeliveredAt})
			pub := delivery.Raw{Delivered: []json.RawMessage{entry}}
			raw, err := delivery.Decode(pub.Encode())
			if err != nil {
				t.Fatal(err)
			}
			got, err := delivery.DecodeDelivered(raw.Delivered[0])
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("from the event %q: %+v, %v, want %+v", data, got, err, want)
			}
		}
	}
}

func TestSplicedChanges(t *testing.T) {
	m := message("ann", "ben", "x")
	c := chat.Change{ID: m.ID, Conversation: m.Conversation, From: "ann", To: "ben", At: m.At + 1, AcceptedAt: m.At + 2,
		Of: chat.Target{ID: m.ID, From: "ann", At: m.At}, Kind: chat.KindEdit, Body: "\"é\" <&>\u2028\n"}
	event, _, err := wire.MarshalChange(c)
	if err != nil {
		t.Fatal(err)
	}
	want := delivery.Changed{Change: c, DeliveredAt: m.At + 3}
	for _, data := range []string{string(event), "{\"id\":1}", ""} {
		entry := encodeDelivered([]byte(data), delivered{inbox.OfChange(c), want.DeliveredAt})
		raw, err := delivery.Decode(delivery.Raw{Changed: []json.RawMessage{entry}}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := delivery.DecodeChanged(raw.Changed[0])
		if err != nil || got != want {
			t.Errorf("from the event %q: %+v, %v, want %+v", data, got, err, want)
		}
	}
}
