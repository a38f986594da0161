package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	infraclient "github.com/phoenixchat/phoenixchat/infra/client"
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
		time.Sleep(300 * time.Millisecond) // marks and lists have queues of their own
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

// parkedMemory fills the queues of many sockets with large messages that the rate limit holds back. The memory includes
// that of the attacker's ends of the sockets, because both are in this process.
func parkedMemory(ctx context.Context, w *world) (result, error) {
	const perSocket = 1536 << 10 // without a limit of bytes it is more than 2.5 MiB
	owners, err := w.persons(ctx, w.size(30, 3))
	if err != nil {
		return result{}, err
	}
	stranger, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	var sockets []*socket
	for _, p := range owners {
		for range 10 {
			s, err := p.open(ctx)
			if err != nil {
				return result{}, err
			}
			defer s.end()
			sockets = append(sockets, s)
		}
	}
	body := strings.Repeat("\U0001F525", chat.MaxBody) // 32 KB
	frame := rawFrame(final|opText, fmt.Appendf(nil, `{"type":"send","id":"%s","to":"%s","body":"%s","at":%d}`,
		uuid.Must(uuid.NewV7()), stranger.uid, body, chat.MicrosOf(time.Now())))
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // the second one empties the pools
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, parked := heap(), int64(math.MaxInt64)
	var written sync.WaitGroup
	counts := make([]int, len(sockets))
	for i, s := range sockets {
		written.Go(func() { counts[i] = s.flood(frame, 1, 140, 3*time.Second) })
	}
	for range 5 { // what is in use at each of these times is parked
		time.Sleep(500 * time.Millisecond)
		parked = min(parked, heap()-before)
	}
	written.Wait()
	r := result{}
	for _, n := range counts {
		r.tried += n
	}
	each := parked / int64(len(sockets))
	r.through = beyond(int(each), perSocket) * len(sockets) / len(frame)
	r.note = fmt.Sprintf("%d KB per socket", each>>10)
	return r, nil
}

// manySockets opens more sockets than a user may have.
func manySockets(ctx context.Context, w *world) (result, error) {
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	var sockets []*socket
	for range w.size(40, 15) {
		s, err := me.open(ctx)
		if err != nil {
			return result{}, err
		}
		defer s.end()
		sockets = append(sockets, s)
	}
	open := func() (n int) {
		for _, s := range sockets {
			if !s.isEnded() {
				n++
			}
		}
		return n
	}
	eventually(ctx, 3*time.Second, func() bool { return open() <= 10 })
	r := result{tried: len(sockets), through: beyond(open(), 10), note: fmt.Sprintf("%d are open", open())}
	switch {
	case sockets[len(sockets)-1].isEnded():
		return r, errors.New("the newest socket was closed")
	case r.through == 0 && sockets[0].closeCode() != 4409:
		return r, fmt.Errorf("the oldest socket was closed with %d, want 4409", sockets[0].closeCode())
	}
	return r, nil
}

// evictionLoop runs more devices of one user than may be connected, which follow the rules of a client.
func evictionLoop(ctx context.Context, w *world) (result, error) {
	me, err := w.person(ctx)
	if err != nil {
		return result{}, err
	}
	var mu sync.Mutex
	dials := 0
	const devices = 12
	for i := range devices {
		c := infraclient.New(infraclient.NewStore(me.uid, fmt.Sprint("device-", i)), infraclient.Options{
			Dial: func(ctx context.Context) (infraclient.Conn, error) {
				mu.Lock()
				dials++
				mu.Unlock()
				conn, status, err := w.dial(ctx, dialOptions{from: []string{me.from}})
				if err == nil && conn == nil {
					err = fmt.Errorf("the handshake was answered %d", status)
				}
				if err != nil {
					return nil, err
				}
				return conn, nil
			},
			Token: func(context.Context) (string, time.Time, error) { return me.token, time.Now().Add(time.Hour), nil },
			History: &infraclient.HTTPHistory{Base: w.stack.URL + "/api",
				Token: func(context.Context) (string, error) { return me.token, nil }},
		})
		defer c.Kill()
		eventually(ctx, 5*time.Second, c.Up)
	}
	time.Sleep(time.Duration(w.size(20, 3)) * time.Second) // a client that loops reconnects after 5 s at most
	mu.Lock()
	defer mu.Unlock()
	return result{tried: dials, through: beyond(dials, devices), note: fmt.Sprintf("%d dials", dials)}, nil
}
