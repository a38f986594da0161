package settle_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// BenchmarkSettle is the way of a message from the ack to the cleared inbox,
// for 100 users with one message each in one flush.
func BenchmarkSettle(b *testing.B) {
	pub := newTopic()
	x := start(b, redistest.Single(b), pub, settle.Options{Gather: time.Hour, MaxMessages: 100})
	cursors := make([]string, 100)
	done := 0
	for b.Loop() {
		b.StopTimer()
		var devices []*device
		for i, cursor := range cursors {
			d := x.attach(b, fmt.Sprint("user", i), cursor)
			if _, err := x.in.Enqueue(context.Background(), message("ann", d.uid, "How are you today?")); err != nil {
				b.Fatal(err)
			}
			d.receive()
			devices, cursors[i] = append(devices, d), d.pos.Cursor.String()
		}
		b.StartTimer()
		for _, d := range devices {
			d.ack() // the last one makes the flush full
		}
		for _, d := range devices {
			d.close() // returns when what it acknowledged is settled
		}
		done += len(devices)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(done), "µs/message")
}

// BenchmarkAccount is what the bookkeeping of one message costs an instance.
func BenchmarkAccount(b *testing.B) {
	x := start(b, redistest.Mini(b), newTopic(), settle.Options{Gather: time.Hour, MaxMessages: 1 << 30, MaxBytes: 1 << 40})
	acc := x.Open("ben", inbox.Attachment{Epoch: "e"})
	data := []byte(`{"type":"message","id":"x","body":"How are you today?"}`)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		acc.Sent("e", inbox.Event{ID: inbox.ID{Ms: n}, Type: "message", Data: data})
		acc.Ack(inbox.Cursor{Epoch: "e", ID: inbox.ID{Ms: n}})
	}
}
