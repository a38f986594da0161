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
	var devices []*device
	for i := range 100 {
		devices = append(devices, x.attach(b, fmt.Sprint("user", i), ""))
	}
	done := int64(0)
	for b.Loop() {
		b.StopTimer()
		for _, d := range devices {
			m := message("ann", d.uid, "How are you today?")
			if _, err := x.in.Enqueue(context.Background(), m); err != nil {
				b.Fatal(err)
			}
			d.receive()
		}
		b.StartTimer()
		for _, d := range devices {
			d.ack() // the last one makes the flush full
		}
		done += 100
		for x.Settler.Snapshot().Messages < done {
			time.Sleep(50 * time.Microsecond)
		}
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
