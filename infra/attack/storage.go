package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// uidsOf returns the uids of people.
func uidsOf(people []*person) (uids []string) {
	for _, p := range people {
		uids = append(uids, p.uid)
	}
	return uids
}

// madeUp returns n valid uids that nobody has.
func madeUp(n int) (uids []string) {
	for range n {
		uids = append(uids, strings.ReplaceAll(uuid.NewString(), "-", "")[:28])
	}
	return uids
}

// fillRedis fills Redis with bodies that JSON encoders like to escape, sent to many people who are offline.
func fillRedis(ctx context.Context, w *world) (result, error) {
	const newPeople, messages, redisBytes = 20, 5, 12 << 20
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	offline, err := w.persons(ctx, w.size(400, 40))
	if err != nil {
		return result{}, err
	}
	before, err := w.usedMemory(ctx)
	if err != nil {
		return result{}, err
	}
	body := strings.Repeat("<", chat.MaxBody)
	var sockets []*socket
	for range w.size(8, 4) {
		s, err := me.open(ctx)
		if err != nil {
			return result{}, err
		}
		defer s.end()
		sockets = append(sockets, s)
	}
	var mu sync.Mutex
	accepted, r := map[string]int{}, result{}
	var all sync.WaitGroup
	for i, s := range sockets {
		all.Go(func() {
			share := len(offline) / len(sockets)
			tried, sent := s.sendAll(ctx, uidsOf(offline[i*share:(i+1)*share]), body, body, body)
			mu.Lock()
			defer mu.Unlock()
			r.tried += tried
			for uid, n := range sent {
				accepted[uid] += n
			}
		})
	}
	all.Wait()
	after, err := w.usedMemory(ctx)
	if err != nil {
		return r, err
	}
	r.through = beyond(len(accepted), newPeople)
	for _, n := range accepted {
		r.through += beyond(n, messages)
	}
	if grown := after - before; grown > redisBytes {
		r.through += int((grown - redisBytes) / chat.MaxBody)
	}
	r.note = fmt.Sprintf("%d messages to %d people use %d KB of Redis", total(accepted), len(accepted), (after-before)>>10)
	return r, nil
}

// befriend makes friends of a person: each of them writes to the person, and the person answers.
func (p *person) befriend(ctx context.Context, friends ...*person) error {
	mine, err := p.openWith(ctx, true)
	if err != nil {
		return err
	}
	defer mine.end()
	failed := make(chan error, len(friends))
	for _, f := range friends {
		go func() { failed <- mine.befriend(ctx, f) }()
	}
	var errs []error
	for range friends {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}

// befriend lets a friend write to the socket's person, and answers.
func (s *socket) befriend(ctx context.Context, f *person) error {
	theirs, err := f.openWith(ctx, true)
	if err != nil {
		return err
	}
	defer theirs.end()
	answer := theirs.answerTo(ctx, theirs.send(s.who.uid, "hello"))
	back := s.answerTo(ctx, s.send(f.uid, "hello yourself"))
	received := eventually(ctx, 5*time.Second, func() bool {
		return theirs.messagesFrom(s.who.uid) > 0 && theirs.count("event "+wire.EventDelivered) > 0 &&
			s.messagesFrom(f.uid) > 0
	})
	if answer != "sent" || back != "sent" || !received {
		return fmt.Errorf("two people cannot become friends: %q, %q", answer, back)
	}
	return nil
}

// fillFriends fills the inboxes of people who have answered and then stay away.
func fillFriends(ctx context.Context, w *world) (result, error) {
	const limit, lag = 4 << 20, 1 << 20 // bytes; the total may lag behind the sends that are in progress
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	friends, err := w.persons(ctx, 14)
	if err != nil {
		return result{}, err
	}
	if err := me.befriend(ctx, friends...); err != nil {
		return result{}, err
	}
	s, err := me.open(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	body := strings.Repeat("\U0001F525", chat.MaxBody) // 32 KB
	var r result
	sent := map[string]int{}
	for range w.size(20, 14) {
		tried, accepted := s.sendAll(ctx, uidsOf(friends), body)
		r.tried += tried
		for uid, n := range accepted {
			sent[uid] += n
		}
		if len(accepted) == 0 {
			break
		}
	}
	r.through = beyond(total(sent), (limit+lag)/len(body))
	r.note = fmt.Sprintf("%d messages of 32 KB wait", total(sent))
	return r, nil
}

// strangerMessages writes to a stranger before and after the answer.
func strangerMessages(ctx context.Context, w *world) (result, error) {
	people, err := w.persons(ctx, 2)
	if err != nil {
		return result{}, err
	}
	me, stranger := people[0], people[1]
	s, err := me.open(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	bodies := make([]string, 20)
	for i := range bodies {
		bodies[i] = fmt.Sprint("answer me ", i)
	}
	tried, sent := s.sendAll(ctx, []string{stranger.uid}, bodies...)
	r := result{tried: tried, through: beyond(total(sent), 5), note: fmt.Sprintf("%d messages wait", total(sent))}
	other, err := stranger.openWith(ctx, true)
	if err != nil {
		return r, err
	}
	defer other.end()
	if got := other.answerTo(ctx, other.send(me.uid, "who are you?")); got != "sent" {
		return r, fmt.Errorf("the stranger's answer was refused: %q", got)
	}
	if _, sent := s.sendAll(ctx, []string{stranger.uid}, bodies...); total(sent) < len(bodies) {
		return r, fmt.Errorf("after the answer only %d of %d messages were accepted", total(sent), len(bodies))
	}
	return r, nil
}

// eternalKeys uses every frame that names a user with uids that nobody has.
func eternalKeys(ctx context.Context, w *world) (result, error) {
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	uids := madeUp(w.size(800, 160))
	r := result{}
	for left := uids; len(left) > 0; {
		s, err := me.open(ctx)
		if err != nil { // the socket was closed for its strikes; another one is not welcome
			break
		}
		n := min(len(left), 160)
		quarter := n / 4
		tried, _ := s.sendAll(ctx, left[:quarter], "to nobody")
		for _, uid := range left[quarter : 2*quarter] {
			s.frame(wire.ClientFrame{Type: wire.TypeRead, Conversation: chat.ConversationID(me.uid, uid),
				At: chat.MicrosOf(time.Now())})
		}
		for _, uid := range left[2*quarter : 3*quarter] {
			s.frame(wire.ClientFrame{Type: wire.TypeTyping, To: uid})
		}
		s.frame(wire.ClientFrame{Type: wire.TypeWatch, Users: left[3*quarter : n]})
		r.tried += tried + 3*quarter
		time.Sleep(300 * time.Millisecond) // the server handles marks and lists in the background
		s.end()
		left = left[n:]
	}
	eternal, err := w.eternalKeys(ctx, uids)
	r.through, r.note = len(eternal), strings.Join(eternal[:min(3, len(eternal))], " ")
	return r, err
}

// sendAfterDeletion keeps a socket open while its user is deleted, and writes to a deleted user.
func sendAfterDeletion(ctx context.Context, w *world) (result, error) {
	people, err := w.persons(ctx, 3)
	if err != nil {
		return result{}, err
	}
	me, gone, friend := people[0], people[1], people[2]
	s, err := me.open(ctx)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	if a, err := gone.call(ctx, http.MethodDelete, "/me", nil); err != nil || a.status/100 != 2 {
		return result{}, fmt.Errorf("DELETE /me: %d %s %w", a.status, a.body, err)
	}
	r := result{}
	for range 20 {
		s.send(gone.uid, "are you there?")
		r.tried++
	}
	deleted := make(chan error, 1)
	go func() {
		_, err := me.call(ctx, http.MethodDelete, "/me", nil)
		deleted <- err
	}()
	for range 20 {
		s.send(friend.uid, "I am leaving")
		r.tried++
		time.Sleep(5 * time.Millisecond)
	}
	if err := <-deleted; err != nil {
		return r, err
	}
	eventually(ctx, 5*time.Second, s.isEnded)
	if !s.isEnded() {
		return r, errors.New("the socket of a deleted user stays open")
	}
	eternal, err := w.eternalKeys(ctx, []string{me.uid, gone.uid})
	r.through, r.note = len(eternal), strings.Join(eternal, " ")
	return r, err
}
