package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// change sends a change of a message and returns its id. Content is the body of an edit, or the emoji of a reaction.
func (s *socket) change(to string, of chat.Target, kind chat.ChangeKind, content string, at chat.Micros) string {
	f := wire.ClientFrame{Type: wire.TypeChange, ID: uuid.Must(uuid.NewV7()).String(), To: to, At: at, Of: of, Kind: kind}
	if kind == chat.KindReact {
		f.Emoji = content
	} else {
		f.Body = content
	}
	s.frame(f)
	return f.ID
}

// talking returns the attacker, a victim and a message that the victim has written to the attacker, and that is saved.
func talking(ctx context.Context, w *world) (me, victim *person, mine *socket, of chat.Target, end func(), err error) {
	victim, theirs, err := w.connectedWith(ctx)
	if err != nil {
		return nil, nil, nil, of, nil, err
	}
	me, mine, err = w.connectedWith(ctx)
	if err != nil {
		theirs.end()
		return nil, nil, nil, of, nil, err
	}
	end = func() { mine.end(); theirs.end() }
	id := theirs.send(me.uid, "of the victim")
	list, err := victim.historyOf(ctx, me.uid, 1)
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("the victim's message is not saved within %v", archived)
	}
	if err != nil {
		end()
		return nil, nil, nil, of, nil, err
	}
	return me, victim, mine, chat.Target{ID: id, From: victim.uid, At: list[0].At}, end, nil
}

// changesOfOthers changes what the attacker may not change, and messages that do not exist. The server refuses the
// former. It cannot see the archive and accepts the latter, but the history must not show them.
func changesOfOthers(ctx context.Context, w *world) (result, error) {
	me, victim, mine, of, end, err := talking(ctx, w)
	if err != nil {
		return result{}, err
	}
	defer end()
	now := func() chat.Micros { return chat.MicrosOf(time.Now()) }
	ofNobody := chat.Target{ID: of.ID, From: "nobodyUid0001", At: of.At}
	forbidden := []string{
		mine.change(victim.uid, of, chat.KindEdit, "of the attacker", now()),
		mine.change(victim.uid, of, chat.KindDelete, "", now()),
		mine.change(victim.uid, ofNobody, chat.KindReact, "👍", now()),
		mine.change(victim.uid, of, chat.KindReact, "👍", of.At),
		mine.change(victim.uid, of, "pin", "", now()),
		mine.change(victim.uid, of, chat.KindReact, "not an emoji", now()),
	}
	r := result{}
	for _, id := range forbidden {
		r.tried++
		switch mine.answerTo(ctx, id) {
		case "sent":
			r.through++
		case "":
			return r, fmt.Errorf("a change that is not allowed was not answered")
		}
	}
	for range w.size(50, 10) {
		made := chat.Target{ID: uuid.Must(uuid.NewV7()).String(), From: me.uid, At: now() - 1}
		id := mine.change(victim.uid, made, chat.KindEdit, "of no message", now())
		if got := mine.answerTo(ctx, id); got != "sent" {
			return r, fmt.Errorf("the change of a message that does not exist was refused: %q", got)
		}
		r.tried++
	}
	mine.send(victim.uid, "the last one")
	list, err := victim.historyOf(ctx, me.uid, 2)
	if err != nil || len(list) < 2 {
		return r, fmt.Errorf("%d of 2 messages are saved within %v (error: %v)", len(list), archived, err)
	}
	r.through += len(list) - 2
	for _, d := range list {
		if d.ID == of.ID && (d.Body != "of the victim" || !d.Changes.Empty()) {
			r.through++
		}
	}
	r.note = fmt.Sprintf("%d messages in the history", len(list))
	return r, nil
}

// reactions reacts to one message again and again. Each reaction that is accepted is paid for like a message.
func reactions(ctx context.Context, w *world) (result, error) {
	_, victim, mine, of, end, err := talking(ctx, w)
	if err != nil {
		return result{}, err
	}
	defer end()
	const tried = 40
	var ids []string
	began := time.Now()
	for i := range tried {
		emoji := []string{"👍", ""}[i%2]
		ids = append(ids, mine.change(victim.uid, of, chat.KindReact, emoji, chat.MicrosOf(time.Now())))
	}
	sent := 0
	for _, id := range ids {
		switch got := mine.answerTo(ctx, id); got {
		case "sent":
			sent++
		case "rate_limited":
		default:
			return result{}, fmt.Errorf("a reaction was answered with %q", got)
		}
	}
	limit := 12 + 1 + int(time.Since(began)/(10*time.Second)) // session.Limits.Reactions
	return result{tried: tried, through: beyond(sent, limit), note: fmt.Sprintf("%d accepted", sent)}, nil
}
