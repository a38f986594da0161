package inbox_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// These benchmarks use a redis-server and one client on the same machine. They measure the work of Redis per message,
// not the latency of a network.

// openUnlimited starts an instance whose inboxes never fill up.
func openUnlimited(b *testing.B) *setup {
	return open(b, redistest.Single(b), inbox.Options{Limits: inbox.Generous()})
}

// scriptTime returns the time that Redis has spent in scripts.
func (s *setup) scriptTime(b *testing.B) float64 {
	b.Helper()
	text, err := s.rdb.Info(context.Background(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(text, "cmdstat_evalsha:")
	_, after, _ = strings.Cut(after, "usec=")
	usec, _, _ := strings.Cut(after, ",")
	n, err := strconv.ParseFloat(usec, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func BenchmarkEnqueue(b *testing.B) {
	s := openUnlimited(b)
	s.send(b, "ann", "user0", "the first send loads the scripts")
	b.ReportAllocs()
	before := s.scriptTime(b)
	defer func() { b.ReportMetric((s.scriptTime(b)-before)/float64(b.N), "redis-us/op") }()
	n := 0
	for b.Loop() {
		n++
		m := message("ann", fmt.Sprint("user", n%100), "How are you today?")
		if _, err := s.Enqueue(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnqueueParallel(b *testing.B) {
	s := openUnlimited(b)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			m := message("ann", fmt.Sprint("user", n%100), "How are you today?")
			if _, err := s.Enqueue(context.Background(), m); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkDeliver measures the way of a message from the enqueue until the recipient's feed has it.
func BenchmarkDeliver(b *testing.B) {
	s := openUnlimited(b)
	f, err := s.Subscribe(b.Context(), "ben")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	s.send(b, "ann", "ben", "the first send loads the scripts")
	<-f.Ready()
	f.ReadWakes()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Enqueue(b.Context(), message("ann", "ben", "How are you today?")); err != nil {
			b.Fatal(err)
		}
		for got := 0; got == 0; {
			<-f.Ready()
			wakes, lost := f.ReadWakes()
			if got = len(wakes); lost {
				b.Fatal("the feed lost a wake")
			}
		}
	}
}

// BenchmarkFeed measures what a feed does for one event, without Redis.
func BenchmarkFeed(b *testing.B) {
	s := open(b, redistest.Mini(b), inbox.Options{})
	f, err := s.Subscribe(b.Context(), "ben")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	payload := `E 9f86d081884c7d65.4 1795347732200-0 1795347732100-0 message {"type":"message","id":"` +
		`019abd3e-7c1a-7b52-9d0f-3f2a6b1c4d5e","body":"` + strings.Repeat("How are you? ", 15) + `"}`
	b.ReportAllocs()
	for b.Loop() {
		f.Receive(payload)
		if wakes, _ := f.ReadWakes(); len(wakes) != 1 || wakes[0].Event.Type != "message" {
			b.Fatalf("%d wakes", len(wakes))
		}
	}
}

func BenchmarkReadPage(b *testing.B) {
	s := open(b, redistest.Single(b), inbox.Options{})
	a := s.attach(b, "ben", "")
	for i := range 128 {
		s.send(b, "ann", "ben", fmt.Sprint("message ", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		page, err := s.Read(context.Background(), "ben", a.From, 128)
		if err != nil || len(page.Events) != 128 {
			b.Fatal(len(page.Events), err)
		}
	}
}

func BenchmarkAttach(b *testing.B) {
	s := open(b, redistest.Single(b), inbox.Options{})
	s.send(b, "ann", "ben", "one")
	cursor := s.end(b, "ben").String()
	b.ReportAllocs()
	for b.Loop() {
		if a := s.attach(b, "ben", cursor); !a.Resumed {
			b.Fatal("not resumed")
		}
	}
}

func BenchmarkPeek(b *testing.B) {
	s := open(b, redistest.Single(b), inbox.Options{})
	s.send(b, "ann", "ben", "one")
	claims := []inbox.Claim{{UID: "ben"}}
	b.ReportAllocs()
	for b.Loop() {
		if u := s.Unsettled(context.Background(), claims, 10); u[0].Err != nil {
			b.Fatal(u[0].Err)
		}
	}
}
