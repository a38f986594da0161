package sink

import (
	"hash/maphash"
	"testing"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

func TestCounts(t *testing.T) {
	s := &service{seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
	message := func(id string) delivery.Delivered {
		return delivery.Delivered{DeliveredAt: 3, Message: chat.Message{ID: "01981234-0000-7000-8000-00000000000" + id,
			Conversation: chat.ConversationID("a", "b"), From: "a", To: "b", Body: "x", At: 1, AcceptedAt: 2}}
	}
	for _, b := range []delivery.Batch{
		{Delivered: []delivery.Delivered{message("1"), message("2")}},
		{Delivered: []delivery.Delivered{message("2")}, Read: []delivery.Read{{Conversation: "a~b", By: "b", At: 1}}},
		{Delivered: []delivery.Delivered{{}}},
	} {
		data, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		request := &pubsubpb.PublishRequest{Messages: []*pubsubpb.PubsubMessage{{Data: data}}}
		if r, err := s.Publish(t.Context(), request); err != nil || len(r.MessageIds) != 1 {
			t.Errorf("publish: %v, %v", r, err)
		}
	}
	s.count([]byte("not JSON"))
	if want := (Counts{Publishes: 4, Messages: 2, Again: 1, Reads: 1, Bad: 2}); s.counts != want {
		t.Errorf("%+v, want %+v", s.counts, want)
	}
}
