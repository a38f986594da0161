package settle

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// BenchmarkSettle measures the time from the ack of a message until its inbox has dropped it, for 100 users with one
// message each in one flush.
func BenchmarkSettle(b *testing.B) {
	pub := newTopic()
	x := start(b, redistest.Single(b), pub, Options{gather: time.Hour, maxMessages: 100})
	b.ReportAllocs()
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
			d.ack() // the last one fills the flush
		}
		for _, d := range devices {
			d.close() // returns after the acks are settled
		}
		done += len(devices)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(done), "µs/message")
}

// BenchmarkWindow measures the bookkeeping for one message, without I/O.
func BenchmarkWindow(b *testing.B) {
	x := start(b, redistest.Mini(b), newTopic(),
		Options{gather: time.Hour, maxMessages: 1 << 30, maxBytes: 1 << 40})
	w := x.Open("ben", inbox.Attachment{Epoch: "e"})
	data := []byte(`{"type":"message","id":"x","body":"How are you today?"}`)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		w.Sent(inbox.Cursor{Epoch: "e"}, inbox.Event{ID: inbox.ID{Ms: n}, Type: "message", Data: data})
		w.Ack(inbox.Cursor{Epoch: "e", ID: inbox.ID{Ms: n}})
	}
}
