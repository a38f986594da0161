package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// againstPrivacy tries every frame and route against somebody who shows nothing, as a friend and as a stranger.
func againstPrivacy(ctx context.Context, w *world) (result, error) {
	people, err := w.persons(ctx, 3)
	if err != nil {
		return result{}, err
	}
	private, friend, stranger := people[0], people[1], people[2]
	if err := private.befriend(ctx, friend); err != nil {
		return result{}, err
	}
	choice := chat.Privacy{LastSeen: chat.Nobody, NoReceipts: true, OnlyKnown: true, ByUsername: true}
	if a, err := private.call(ctx, http.MethodPut, "/me/privacy", choice); err != nil || a.status/100 != 2 {
		return result{}, fmt.Errorf("choose the privacy: %d %s %w", a.status, a.body, err)
	}
	r := result{}
	theirs, err := private.openWith(ctx, true)
	if err != nil {
		return r, err
	}
	defer theirs.end()
	sockets := map[*person]*socket{}
	for _, p := range []*person{friend, stranger} {
		if sockets[p], err = p.openWith(ctx, true); err != nil {
			return r, err
		}
		defer sockets[p].end()
		sockets[p].frame(wire.ClientFrame{Type: wire.TypeWatch, Users: []string{private.uid}})
	}
	if answer := sockets[friend].answerTo(ctx, sockets[friend].send(private.uid, "hello")); answer != "sent" {
		return r, fmt.Errorf("a friend may not write: %q", answer)
	}
	answer := sockets[stranger].answerTo(ctx, sockets[stranger].send(private.uid, "hello"))
	r.attempt("a stranger's message was answered "+answer, answer != "writers_limited")
	arrived := func() bool { return theirs.messagesFrom(friend.uid) > 0 }
	if !eventually(ctx, 5*time.Second, arrived) {
		return r, fmt.Errorf("a friend's message did not arrive")
	}
	before := sockets[friend].count("event " + wire.EventRead)
	conversation := chat.ConversationID(private.uid, friend.uid)
	for _, p := range []*person{friend, stranger} {
		theirs.frame(wire.ClientFrame{Type: wire.TypeTyping, To: p.uid})
	}
	theirs.frame(wire.ClientFrame{Type: wire.TypeRead, Conversation: conversation, At: chat.MicrosOf(time.Now())})
	time.Sleep(3 * time.Second) // marks are published after 2 s, the others at once
	r.attempt("read", sockets[friend].count("event "+wire.EventRead) > before)
	for name, p := range map[string]*person{"friend": friend, "stranger": stranger} {
		r.attempt(name+": typing", sockets[p].count(wire.TypeTyping) > 0)
		r.attempt(name+": presence", sockets[p].knows(private.uid))
		for _, query := range []string{"", "?q=Person", "?q=" + private.username[:len(private.username)-1]} {
			list, err := p.call(ctx, http.MethodGet, "/users"+query, nil)
			if err != nil {
				return r, err
			}
			r.attempt(name+": directory "+query, strings.Contains(string(list.body), private.uid))
		}
		list, err := p.call(ctx, http.MethodGet, "/conversations", nil)
		if err != nil {
			return r, err
		}
		r.attempt(name+": read in the list", strings.Contains(string(list.body), `"`+private.uid+`":`))
	}
	return r, nil
}
