package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// leaveWaiting makes a person write to people who are offline. It returns the people.
func (p *person) leaveWaiting(ctx context.Context, n, messages int) ([]*person, int, error) {
	offline, err := p.w.persons(ctx, n)
	if err != nil {
		return nil, 0, err
	}
	s, err := p.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer s.end()
	bodies := make([]string, messages)
	for i := range bodies {
		bodies[i] = fmt.Sprint("junk ", i)
	}
	tried, sent := s.sendAll(ctx, uidsOf(offline), bodies...)
	if total(sent) == 0 {
		return nil, 0, errors.New("no message was accepted")
	}
	return offline, tried, nil
}

// noneLeft counts the messages of a sender that still wait after 8 s, or are shown to one of the people who comes back.
func (w *world) noneLeft(ctx context.Context, sender *person, people []*person, tried int) (result, error) {
	r := result{tried: tried}
	var err error
	eventually(ctx, 8*time.Second, func() bool {
		r.through, err = w.waitingOf(ctx, sender, people)
		return err != nil || r.through == 0
	})
	if err != nil {
		return r, err
	}
	back, err := people[0].open(ctx)
	if err != nil {
		return r, err
	}
	defer back.end()
	r.through = max(r.through, back.messagesFrom(sender.uid))
	r.note = fmt.Sprintf("%d messages still wait, and %d were shown", r.through, back.messagesFrom(sender.uid))
	return r, nil
}

func senderDisabled(ctx context.Context, w *world) (result, error) {
	me, err := w.accountHolder(ctx)
	if err != nil {
		return result{}, err
	}
	people, tried, err := me.leaveWaiting(ctx, w.size(20, 6), 5)
	if err != nil {
		return result{}, err
	}
	if _, err := w.stack.Users.SetDisabled(ctx, me.uid, true); err != nil {
		return result{}, err
	}
	return w.noneLeft(ctx, me, people, tried)
}

func senderDeleted(ctx context.Context, w *world) (result, error) {
	me, err := w.accountHolder(ctx)
	if err != nil {
		return result{}, err
	}
	people, tried, err := me.leaveWaiting(ctx, w.size(20, 6), 5)
	if err != nil {
		return result{}, err
	}
	if a, err := me.call(ctx, http.MethodDelete, "/me", nil); err != nil || a.status/100 != 2 {
		return result{}, fmt.Errorf("DELETE /me: %d %s %w", a.status, a.body, err)
	}
	return w.noneLeft(ctx, me, people, tried)
}

func recipientBlocks(ctx context.Context, w *world) (result, error) {
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	people, tried, err := me.leaveWaiting(ctx, 4, 5)
	if err != nil {
		return result{}, err
	}
	for _, p := range people {
		if a, err := p.call(ctx, http.MethodPut, "/me/blocked/"+me.uid, nil); err != nil || a.status/100 != 2 {
			return result{}, fmt.Errorf("block: %d %s %w", a.status, a.body, err)
		}
	}
	return w.noneLeft(ctx, me, people, tried)
}
