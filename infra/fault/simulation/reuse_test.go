package simulation

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// answersWithin is how long a client that uses ids again waits for the answers.
const answersWithin = 20 * time.Second

// saved returns the messages of a user that the store has of a conversation, oldest first.
func (w *world) saved(from, conversation string) (out []chat.Message) {
	page, _, err := w.archive.Store.Messages(w.t.Context(), conversation, store.Position{}, 200)
	if err != nil {
		w.t.Error(err)
	}
	for _, d := range page {
		if d.From == from {
			out = append(out, d.Message)
		}
	}
	return out
}

// reuseRandom sends up to three messages with the ids of saved ones of a random user.
func (w *world) reuseRandom(rnd *rand.Rand) {
	from := w.pick(rnd).User()
	partners := w.crowd.Partners(from)
	saved := w.saved(from, chat.ConversationID(from, partners[rnd.IntN(len(partners))]))
	n, first := 1+rnd.IntN(3), rnd.IntN(1000)
	var again []chat.Message
	for i := range min(n, len(saved)) {
		again = append(again, saved[(first+i)%len(saved)])
	}
	w.queue.Go(func() { w.reuse(again) }) // its end must not move the times of later events
}

// reuse sends messages again with other content, on a socket of its own. It returns how many of them the server
// accepted. It gives up if the socket breaks.
func (w *world) reuse(messages []chat.Message) (accepted int) {
	if len(messages) == 0 {
		return 0
	}
	conn, err := w.Dial(w.t.Context(), "10.254.0.1", func(c net.Conn) net.Conn { return c })
	if err != nil {
		return 0
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(answersWithin))
	token, _, err := w.Token(messages[0].From)
	if err != nil {
		w.t.Error(err)
	}
	send := func(f wire.ClientFrame) error {
		b, err := json.Marshal(f)
		if err != nil { // the frame holds only strings and numbers
			panic(err)
		}
		return conn.WriteMessage(websocket.TextMessage, b)
	}
	if send(wire.ClientFrame{Type: wire.TypeHello, Token: token, Device: "reuses ids"}) != nil {
		return 0
	}
	answered := 0
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return accepted
		}
		f, err := wire.DecodeServer(data)
		if err != nil {
			w.t.Error(err)
		}
		switch f := f.(type) {
		case wire.CaughtUp:
			for i, m := range messages {
				m.Body, m.At = fmt.Sprintf("other content %d of %s", i, m.ID), chat.MicrosOf(time.Now())
				m.ReplyTo = "" // as in the frame
				w.log.Add(record.Entry{Kind: record.Reused, ID: m.Key(), Conversation: m.Conversation,
					Sum: record.SumOf(m), Text: record.TextOf(m)})
				if send(wire.ClientFrame{Type: wire.TypeSend, ID: m.ID, To: m.To, Body: m.Body, At: m.At}) != nil {
					return accepted
				}
			}
			continue
		case wire.Sent:
			accepted++
		case wire.ErrorFrame:
			if f.ID == "" {
				continue
			}
		default:
			continue
		}
		if answered++; answered == len(messages) {
			return accepted
		}
	}
}

// Ann's client sends other content with the id of a message that was settled, while one of ben's devices is away. What
// is saved wins on every device, and on a device whose correction a failover has lost.
func TestIDUsedAgainAfterItsMessageWasSettled(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(5 * time.Second)
		saved := c.saved(c.ann, c.conv)
		happened(t, len(saved) == 1 && c.waiting(c.ben) == 0, "the message is settled")
		c.wipe() // so that the device that is away is sent only the second content
		testwait.Advance(10 * time.Second)
		c.archive.Down(true, false)
		happened(t, c.reuse(saved) == 1, "the server has accepted the id again")
		c.replicate()
		c.benB.Online()
		testwait.Advance(5 * time.Second)
		happened(t, bodyOf(c.benB, c.conv, id) == "other content 0 of "+id, "a device shows the second content")
		c.archive.Down(false, false)
		testwait.Advance(5 * time.Second)
		c.failOver()
		testwait.Advance(30 * time.Second)
		for _, d := range c.crowd.Devices() {
			if body := bodyOf(d, c.conv, id); body != "one" {
				t.Errorf("%s shows %q, want what is saved", d.Name(), body)
			}
		}
	})
}

// bodyOf returns the text that a device shows of a message.
func bodyOf(d *load.Device, conversation, id string) string {
	for _, l := range d.Shows(conversation) {
		if l.ID == id {
			return l.Body
		}
	}
	return ""
}
