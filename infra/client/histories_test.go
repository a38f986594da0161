package client

import (
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// The table in web/src/model/histories.test.ts lists the histories of which users of chats complain, and where each is
// tested.

// The process is frozen with an open socket. When it runs again, the connection is gone and nobody has said so.
func TestAsleepForHours(t *testing.T) {
	w, old := connected(t)
	w.serve(old, event("e:2-0", incoming(0, at(w))))
	w.advance(time.Second, nil)
	w.ponging = false
	w.now = w.now.Add(6 * time.Hour)
	n, err := w.accept(true, 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if hello := w.framesOfType(n, wire.TypeHello); len(hello) != 1 || hello[0]["cursor"] != "e:2-0" {
		t.Errorf("hello %v", hello)
	}
	w.serve(n, welcome(w, true))
	for i := 1; i <= 6; i++ { // one an hour
		m := incoming(i, at(w)-chat.Micros((6-time.Duration(i))*time.Hour/time.Microsecond)-1)
		w.serve(n, event(fmt.Sprintf("e:%d-0", 2+i), m))
	}
	w.serve(n, caughtUp("e:8-0"))
	w.m.write(w.now, other, "good morning", "")
	w.advance(time.Second, nil)
	sends := w.framesOfType(n, wire.TypeSend)
	if len(sends) != 1 || number(sends[0]["at"]) < int64(at(w))-2_000_000 {
		t.Errorf("sent %v, want one message with the time of the server", sends)
	}
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("incoming %d waiting", i))
	}
	equal(t, "shown", w.states(), append(want, "good morning waiting"))
	if w.loads > 0 {
		t.Errorf("%d loads of history, want none", w.loads)
	}
}

// 10,000 messages in 1,000 known conversations wait for a device. The server sends at most what its window allows.
func TestAwayFor29Days(t *testing.T) {
	const writers, each, window = 1_000, 10, 256
	w, n := connected(t)
	sent := 1
	message := func(writer, round int) wire.MessageEvent {
		from := fmt.Sprintf("writerUid%04d", writer)
		return wire.MessageEvent{Type: wire.EventMessage, Message: chat.Message{
			ID: fmt.Sprintf("0199f3a2-7c1e-7abc-8def-%06d%06d", writer, round), From: from, To: me,
			Conversation: chat.ConversationID(from, me), Body: fmt.Sprint("round ", round),
			At: at(w) + chat.Micros(writer), AcceptedAt: at(w)}}
	}
	serve := func(n, writer, round int) {
		sent++
		w.serve(n, event(fmt.Sprintf("e:%d-0", sent), message(writer, round)))
	}
	for i := range writers {
		serve(n, i, 0)
	}
	w.advance(time.Minute, nil)
	w.now = w.now.Add(29 * 24 * time.Hour) // the process does not run
	w.restart()
	n, err := w.accept(true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	w.serve(n, welcome(w, true))
	first, acked, acks := sent, sent, 0
	readAcks := func() {
		all := w.framesOfType(n, wire.TypeAck)
		if acks = len(all); acks == 0 {
			return
		}
		if _, err := fmt.Sscanf(all[acks-1]["cursor"].(string), "e:%d-0", &acked); err != nil {
			t.Fatal(err)
		}
	}
	for round := 1; round <= each; round++ {
		for i := range writers {
			if sent-acked >= window && !w.advance(time.Second, func() bool { readAcks(); return sent-acked <= window/2 }) {
				t.Fatalf("the device acknowledged %d of %d messages", acked-first, sent-first)
			}
			serve(n, i, round)
		}
	}
	w.serve(n, caughtUp(fmt.Sprintf("e:%d-0", sent)))
	w.advance(20*time.Minute, nil)
	if readAcks(); acked != sent {
		t.Errorf("acknowledged %d of %d messages", acked-first, sent-first)
	}
	if limit := 2 * writers * each / (window / 2); acks > limit {
		t.Errorf("%d acks, want at most %d", acks, limit)
	}
	if w.loads > 0 {
		t.Errorf("%d loads of history, want none", w.loads)
	}
	if n := w.count(NoteShown); n != writers*(1+each) {
		t.Errorf("showed %d messages, want %d", n, writers*(1+each))
	}
	for i := 0; i < writers; i += writers / 20 {
		conversation := chat.ConversationID(fmt.Sprintf("writerUid%04d", i), me)
		lines := w.store.Conversation(conversation)
		if len(lines) != 1+each || lines[each].Body != fmt.Sprint("round ", each) {
			t.Fatalf("%s shows %d messages, want %d", conversation, len(lines), 1+each)
		}
	}
}

// Redis is empty and the archive is older. The device keeps what it has, and sends again only what is not delivered.
func TestServerRestoredFromABackup(t *testing.T) {
	w, n := connected(t)
	w.serve(n, event("e:2-0", incoming(1, at(w))))
	one := w.m.write(w.now, other, "mine, delivered", "")
	w.settle()
	saved := w.framesOfType(n, wire.TypeSend)
	if len(saved) != 1 {
		t.Fatalf("sent %v", saved)
	}
	w.serve(n, frame{"type": "sent", "id": one, "accepted_at": at(w)})
	w.serve(n, event("e:3-0", delivered(wire.MessageRef{ID: one, At: chat.Micros(number(saved[0]["at"]))})))
	w.arch.messages = append(w.arch.messages, incoming(1, at(w)).Message) // the backup
	w.advance(time.Minute, nil)
	w.serve(n, event("e:4-0", incoming(2, at(w))))
	two := w.m.write(w.now, other, "mine, waiting", "")
	w.settle()
	w.serve(n, frame{"type": "sent", "id": two, "accepted_at": at(w)})
	w.advance(time.Second, nil)
	want := w.states()

	w.end(n, 1006)
	n = w.up("other:1-0", false)
	w.advance(time.Minute, nil)
	equal(t, "sent again", w.bodies(n), []string{"mine, waiting"})
	equal(t, "shown", w.states(), want)
	if w.loads == 0 {
		t.Error("the device did not load history after the gap")
	}
}
