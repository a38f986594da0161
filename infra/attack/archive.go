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

// archived is how long a message may take from the acknowledgment to the history. It takes less than a second, except
// on a busy machine.
const archived = time.Minute

// history returns the newest messages of the person's conversation with another.
func (p *person) history(ctx context.Context, with string) ([]delivery.Delivered, error) {
	a, err := p.call(ctx, "GET", "/messages?limit=100&conversation="+chat.ConversationID(p.uid, with), nil)
	if err != nil {
		return nil, err
	}
	var page struct{ Messages []delivery.Delivered }
	if err := json.Unmarshal(a.body, &page); a.status != 200 || err != nil {
		return nil, fmt.Errorf("history: %d %s", a.status, a.body)
	}
	return page.Messages, nil
}

// historyOf waits until n messages of the person's conversation with another are saved, and returns what is. It asks
// rarely, because reading has a budget.
func (p *person) historyOf(ctx context.Context, with string, n int) (list []delivery.Delivered, err error) {
	for end := time.Now().Add(archived); ctx.Err() == nil; time.Sleep(250 * time.Millisecond) {
		list, err = p.history(ctx, with)
		if err != nil || len(list) >= n || time.Now().After(end) {
			break
		}
	}
	return list, err
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
	for with, n := range map[string]int{me.uid: len(ids), third.uid: 1} {
		if list, err := victim.historyOf(ctx, with, n); err != nil || len(list) < n {
			return result{}, fmt.Errorf("%d of %d messages are saved within %v (error: %v)", len(list), n, archived, err)
		}
	}
	acking, err := me.openWith(ctx, true)
	if err != nil {
		return result{}, err
	}
	defer acking.end()
	eventually(ctx, archived, func() bool { return theirs.count("event "+wire.EventDelivered) > 0 })
	r := result{tried: len(ids)}
	list, err := victim.historyOf(ctx, me.uid, 2*len(ids))
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
	list, err := victim.historyOf(ctx, me.uid, messages)
	if err != nil || len(list) != messages {
		return result{}, fmt.Errorf("%d of %d messages are saved within %v (error: %v)", len(list), messages, archived, err)
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
	for i, id := range ids { // it is id_reused until the first message is settled
		if !eventually(ctx, archived, func() bool {
			mine.sendAs(id, victim.uid, fmt.Sprintf("changed %d", i))
			return mine.answerTo(ctx, id) == "sent"
		}) {
			return r, fmt.Errorf("the id of a settled message is refused: %q", mine.answerTo(ctx, id))
		}
	}
	eventually(ctx, archived, func() bool { return second.messagesFrom(me.uid) >= 2*messages })
	agrees := func() (n int) {
		for _, d := range list {
			if first.body(d.ID, d.From) == d.Body && second.body(d.ID, d.From) == d.Body {
				n++
			}
		}
		return n
	}
	eventually(ctx, archived, func() bool { return agrees() == messages })
	r.through = messages - agrees()
	r.note = fmt.Sprintf("the devices agree with the history on %d of %d", agrees(), messages)
	return r, nil
}
