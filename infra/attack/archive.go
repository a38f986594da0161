package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// archived is how long a message may take from the acknowledgment to the history.
const archived = 10 * time.Second

// history returns the newest messages of the person's conversation with another.
func (p *person) history(ctx context.Context, with string) ([]delivery.Delivered, error) {
	a, err := p.call(ctx, "GET", "/messages?limit=100&conversation="+chat.ConversationID(p.uid, with), nil)
	if err != nil {
		return nil, err
	}
	var page struct{ Messages []delivery.Delivered }
	if err := json.Unmarshal(a.body, &page); a.status != 200 || err != nil {
		return nil, fmt.Errorf("history: %d %s %w", a.status, a.body, err)
	}
	return page.Messages, nil
}

// theirsFirst keeps what somebody wrote out of the archive. The attacker receives messages, does not acknowledge them,
// and sends messages of their own with the same ids, which are saved first. Only then they acknowledge. One of the ids
// was also used by a third person in another conversation.
func theirsFirst(ctx context.Context, w *world) (result, error) {
	victim, theirs, err := w.connectedWith(ctx)
	if err != nil {
		return result{}, err
	}
	defer theirs.end()
	third, other, err := w.connectedWith(ctx)
	if err != nil {
		return result{}, err
	}
	defer other.end()
	me, mine, err := w.connected(ctx)
	if err != nil {
		return result{}, err
	}
	defer mine.end()
	var ids []string
	for i := range 3 {
		id := theirs.send(me.uid, fmt.Sprintf("message %d of the victim", i))
		if got := theirs.answerTo(ctx, id); got != "sent" {
			return result{}, fmt.Errorf("the victim cannot write: %q", got)
		}
		ids = append(ids, id)
	}
	other.sendAs(ids[0], victim.uid, "from a third person")
	eventually(ctx, archived, func() bool { return mine.messagesFrom(victim.uid) == len(ids) })
	for i, id := range ids {
		mine.sendAs(id, victim.uid, fmt.Sprintf("message %d of the attacker", i))
	}
	saved := func(p *person, with string, n int) bool {
		return eventually(ctx, archived, func() bool {
			list, err := p.history(ctx, with)
			return err == nil && len(list) >= n
		})
	}
	if !saved(victim, me.uid, len(ids)) || !saved(victim, third.uid, 1) {
		return result{}, fmt.Errorf("what the attacker sent is not saved within %v", archived)
	}
	acking, err := me.openWith(ctx, true)
	if err != nil {
		return result{}, err
	}
	defer acking.end()
	eventually(ctx, archived, func() bool { return theirs.count("event "+wire.EventDelivered) > 0 })
	saved(victim, me.uid, 2*len(ids))
	r := result{tried: len(ids)}
	list, err := victim.history(ctx, me.uid)
	for i, id := range ids {
		if !slices.ContainsFunc(list, func(d delivery.Delivered) bool {
			return d.ID == id && d.From == victim.uid && d.Body == fmt.Sprintf("message %d of the victim", i)
		}) {
			r.through++
		}
	}
	r.note = fmt.Sprintf("%d of %d messages are in the history", len(list), 2*len(ids))
	return r, err
}

// otherContent makes a device show what the archive does not have: the attacker uses ids again, with other content, as
// soon as the first messages are saved. The second device of the recipient begins in between, so that it has only the
// other content until it is corrected.
func otherContent(ctx context.Context, w *world) (result, error) {
	const messages = 5
	me, mine, err := w.connectedWith(ctx)
	if err != nil {
		return result{}, err
	}
	defer mine.end()
	victim, first, err := w.connectedWith(ctx)
	if err != nil {
		return result{}, err
	}
	defer first.end()
	var ids []string
	for i := range messages {
		ids = append(ids, mine.send(victim.uid, fmt.Sprintf("original %d", i)))
	}
	saved := func() (list []delivery.Delivered) {
		eventually(ctx, archived, func() bool {
			list, err = victim.history(ctx, me.uid)
			return err == nil && len(list) == messages
		})
		return list
	}
	if list := saved(); len(list) != messages {
		return result{}, fmt.Errorf("%d of %d messages are saved within %v", len(list), messages, archived)
	}
	second, err := victim.openWith(ctx, true)
	if err != nil {
		return result{}, err
	}
	defer second.end()
	second.mu.Lock()
	clear(second.bodies) // as if the first messages had been trimmed before
	second.mu.Unlock()
	r := result{tried: messages}
	again := 0
	for i, id := range ids {
		mine.sendAs(id, victim.uid, fmt.Sprintf("changed %d", i))
		if mine.answerTo(ctx, id) == "sent" {
			again++
		}
	}
	list := saved()
	agrees := func() (n int) {
		for _, d := range list {
			if first.body(d.ID, d.From) == d.Body && (again < messages || second.body(d.ID, d.From) == d.Body) {
				n++
			}
		}
		return n
	}
	eventually(ctx, archived, func() bool { return agrees() == messages })
	r.through = messages - agrees()
	r.note = fmt.Sprintf("%d accepted again; the devices agree with the history on %d of %d", again, agrees(), messages)
	return r, err
}
