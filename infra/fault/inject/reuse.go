package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// reusedIDs is how many ids a client uses again.
const reusedIDs = 5

// reuseIDs makes a client send other content with its own ids after the first messages were saved. What is in history
// must win on every device, also on one that was never there before.
func reuseIDs(ctx context.Context, t *target) error {
	_, two, others, err := t.prepare(ctx, 2)
	if err != nil {
		return err
	}
	defer others.halt()
	from, to := two[0], two[1]
	if err := errors.Join(t.connect(two...), t.acquaint(to, from)); err != nil {
		return err
	}
	writeEach(two[:1], to.User(), reusedIDs, "the first content")
	saved := waitUntil(arrivalTimeout, func() bool {
		// Receipts precede the moment from which the ids are free: Redis forgets a message once it has reported it.
		box, err := t.testbed.Inbox(ctx, to.User())
		return err == nil && box.Waiting == 0 && from.Own()[client.Sent]+from.Own()[client.Waiting] == 0 &&
			t.testbed.Waiting() == 0
	})
	accepted, err := t.sendAgain(context.WithoutCancel(ctx), from, to)
	if err != nil {
		return err
	}
	late := t.crowd.AddGuest(to.User()) // with the messages of both in its inbox
	late.Rename(to.User() + ".late")
	if err := t.connect(late); err != nil {
		return err
	}
	all := waitUntil(arrivalTimeout, func() bool { return t.testbed.Waiting() == 0 && late.Shown() == to.Shown() })
	t.recordCheck(saved && all && accepted == reusedIDs, "ids used again: accepted",
		"%d of %d messages with other content were accepted after the first were saved", accepted, reusedIDs)
	t.checkBystanders("ids used again", others)
	return nil
}

// sendAgain sends other content with the ids of the newest messages of a device, on a socket of its own. It returns how
// many of them the server accepted.
func (t *target) sendAgain(ctx context.Context, from, to *load.Device) (accepted int, err error) {
	f := flooder{uid: from.User(), from: "10.254.0.1"}
	conn, _, err := f.connect(ctx, t)
	if err != nil {
		return 0, fmt.Errorf("connect to use ids again: %w", err)
	}
	defer conn.Close()
	lines := from.Shows(chat.ConversationID(from.User(), to.User()))
	for i, l := range lines[len(lines)-reusedIDs:] {
		m := l.Message
		m.Body, m.At, m.AcceptedAt = fmt.Sprintf("other content %d", i), chat.MicrosOf(time.Now()), 0
		m.ReplyTo = "" // as in the frame
		t.log.Add(record.Entry{Kind: record.Reused, ID: m.Key(), Conversation: m.Conversation,
			Sum: record.SumOf(m), Text: record.TextOf(m)})
		b, err := json.Marshal(wire.ClientFrame{Type: wire.TypeSend, ID: m.ID, To: m.To, Body: m.Body, At: m.At})
		if err != nil {
			return 0, fmt.Errorf("encode a message: %w", err)
		}
		if err := conn.WriteMessage(websocket.TextMessage, b); err != nil {
			return 0, fmt.Errorf("send a message with an id that was used: %w", err)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(arrivalTimeout))
	for answered := 0; answered < reusedIDs; {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return accepted, fmt.Errorf("await the answers: %w", err)
		}
		switch frame, _ := wire.DecodeServer(data); frame.(type) {
		case wire.Sent:
			accepted++
			answered++
		case wire.ErrorFrame:
			answered++
		}
	}
	return accepted, nil
}
