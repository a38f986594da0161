package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// accept accepts the request of another user.
func (p *person) accept(ctx context.Context, uid string) (answer, error) {
	return p.call(ctx, http.MethodPut, "/me/setting", chat.Setting{Conversation: chat.ConversationID(p.uid, uid),
		Kind: chat.SettingAccept, Choice: chat.Choice{Value: 1, At: chat.MicrosOf(time.Now()),
			ID: uuid.Must(uuid.NewV7()).String()}})
}

// requestLeaks writes to a stranger, who reads it and types, and looks for any trace of that.
func requestLeaks(ctx context.Context, w *world) (result, error) {
	people, err := w.persons(ctx, 2)
	if err != nil {
		return result{}, err
	}
	me, stranger := people[0], people[1]
	s, err := me.openWith(ctx, true)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	if answer := s.answerTo(ctx, s.send(stranger.uid, "hello")); answer != "sent" {
		return result{}, fmt.Errorf("a message to a stranger was refused: %q", answer)
	}
	s.frame(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{stranger.uid}})
	theirs, err := stranger.openWith(ctx, true)
	if err != nil {
		return result{}, err
	}
	defer theirs.end()
	delivered := func() bool { return s.count("event "+wire.EventDelivered) > 0 }
	if !eventually(ctx, 5*time.Second, delivered) {
		return result{}, fmt.Errorf("a message to a stranger was not delivered")
	}
	conversation := chat.ConversationID(me.uid, stranger.uid)
	act := func() {
		theirs.frame(wire.ClientFrame{Type: wire.TypeTyping, To: me.uid})
		theirs.frame(wire.ClientFrame{Type: wire.TypeRead, Conversation: conversation, At: chat.MicrosOf(time.Now())})
	}
	// traces returns what shows that the stranger is there.
	traces := func() (list []string, err error) {
		for what, found := range map[string]bool{
			"typing": s.count(wire.TypeTyping) > 0, "read": s.count("event "+wire.EventRead) > 0,
			"presence": s.knows(stranger.uid),
		} {
			if found {
				list = append(list, what)
			}
		}
		a, err := me.call(ctx, http.MethodGet, "/conversations", nil)
		if strings.Contains(string(a.body), `"`+stranger.uid+`":`) {
			list = append(list, "read in the list")
		}
		return list, err
	}
	act()
	time.Sleep(3 * time.Second) // marks are published after 2 s, the others at once
	found, err := traces()
	if err != nil {
		return result{}, err
	}
	r := result{tried: 4, through: len(found), note: strings.Join(found, ", ")}
	if a, err := stranger.accept(ctx, me.uid); err != nil || a.status/100 != 2 {
		return r, fmt.Errorf("accept: %d %s %w", a.status, a.body, err)
	}
	shown := eventually(ctx, 10*time.Second, func() bool {
		act()
		found, err = traces()
		return len(found) == 4 || err != nil
	})
	if !shown || err != nil {
		return r, fmt.Errorf("after the request was accepted, its sender notices only %q: %w", found, err)
	}
	return r, nil
}

// acceptStrangers accepts requests of people who have made none, to write to more new people than the limit.
func acceptStrangers(ctx context.Context, w *world) (result, error) {
	me, s, err := w.connected(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	strangers, err := w.persons(ctx, 40)
	if err != nil {
		return result{}, err
	}
	accepted := 0
	for _, p := range strangers {
		a, err := me.accept(ctx, p.uid)
		if err != nil {
			return result{}, err
		}
		if a.status/100 == 2 {
			accepted++
		}
	}
	_, sent := s.sendAll(ctx, uidsOf(strangers), "thank you for your request")
	return result{tried: len(strangers), through: accepted + beyond(len(sent), 20),
		note: fmt.Sprintf("%d accepted, %d messages", accepted, len(sent))}, nil
}
