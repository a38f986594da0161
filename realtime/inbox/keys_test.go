package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// allKeys returns the keys of all nodes, sorted, without `epoch`, which belongs to no user.
func allKeys(t testing.TB, s *setup, b *redistest.Redis) []string {
	t.Helper()
	var all []string
	b.Nodes(t, func(c *redis.Client) {
		keys, err := c.Keys(t.Context(), "*{*}").Result()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, keys...)
	})
	slices.Sort(all)
	return all
}

// ran is a redis.Hook that notes the hashes and texts of the scripts that were run.
type ran struct {
	mu      sync.Mutex
	scripts map[string]bool
}

func (r *ran) note(cmds ...redis.Cmder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range cmds {
		if strings.HasPrefix(c.Name(), "eval") {
			r.scripts[fmt.Sprint(redistest.Args(c)[1])] = true
		}
	}
}

func (r *ran) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *ran) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.note(cmd)
		return next(ctx, cmd)
	}
}

func (r *ran) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.note(cmds...)
		return next(ctx, cmds)
	}
}

// gates is an inbox.Gates that knows some users. Of all others it says, for 30 s, that they do not exist, like package
// gate.
type gates struct {
	rdb   redis.UniversalClient
	known map[string]map[string]any
}

func (g gates) Fill(ctx context.Context, uid string) error {
	key := "gate:{" + uid + "}"
	fields, ok := g.known[uid]
	if !ok {
		fields = map[string]any{"exists": "0"}
	}
	if err := g.rdb.HSet(ctx, key, fields).Err(); err != nil {
		return err
	}
	return g.rdb.Expire(ctx, key, 30*time.Second).Err()
}

// A refused send creates no key, whatever the reason, but the gate of the recipient.
func TestRefusedSendsLeaveNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		rdb := b.Client(t, nil)
		known := func(more ...any) map[string]any {
			fields := map[string]any{"exists": "1", "disabled": "0", "blocked": "[]"}
			for i := 0; i < len(more); i += 2 {
				fields[more[i].(string)] = more[i+1]
			}
			return fields
		}
		people := map[string]map[string]any{"ben": known(), "new": known(), "full": known(), "other": known(),
			"off": known("disabled", "1"), "blocks": known("blocked", `["zoe","ann"]`)}
		limits := inbox.Limits{PairMessages: 2, SenderMessages: 2, StrangerMessages: 3, NewPeople: 2, SendsPerMinute: 1 << 30}
		s := openWith(t, rdb, inbox.Options{Gates: gates{rdb, people}, Limits: limits, Archive: &archive{}})
		// reader has nothing that waits, new people left, and totals; full and busy are at a limit.
		s.send(t, "bulk", "full", "1")
		s.send(t, "bulk", "full", "2")
		s.send(t, "busy", "ben", "1")
		s.send(t, "busy", "other", "2")
		s.deliver(t, "other")
		waiting := s.send(t, "strange", "ben", "1")
		reused := waiting
		reused.Body = "another"
		for _, c := range []struct {
			m    chat.Message
			want error
		}{
			{message("ann", "nobody", "x"), inbox.ErrRecipientUnknown},
			{message("nobody1", "nobody2", "x"), inbox.ErrRecipientUnknown},
			{message("ann", "off", "x"), inbox.ErrRecipientUnavailable},
			{message("ann", "blocks", "x"), inbox.ErrRecipientUnavailable},
			{message("bulk", "full", "x"), inbox.ErrOutboxFull},
			{message("bulk", "new", "x"), inbox.ErrOutboxFull},
			{message("bulk", "nobody3", "x"), inbox.ErrRecipientUnknown},
			{message("busy", "new", "x"), inbox.ErrTooManyNewPeople},
			{message("busy", "nobody4", "x"), inbox.ErrRecipientUnknown},
			{reused, inbox.ErrIDReused},
		} {
			before := allKeys(t, s, b)
			if _, err := s.Enqueue(t.Context(), c.m); !errors.Is(err, c.want) {
				t.Errorf("from %s to %s: %v, want %v", c.m.From, c.m.To, err, c.want)
			}
			after := slices.DeleteFunc(allKeys(t, s, b), func(key string) bool { return key == "gate:{"+c.m.To+"}" })
			before = slices.DeleteFunc(before, func(key string) bool { return key == "gate:{"+c.m.To+"}" })
			same(t, fmt.Sprintf("keys after %v", c.want), after, before)
		}
		// The other refusals of the script, each of a recipient who has no key yet.
		for name, c := range map[string]struct {
			limits inbox.Limits
			want   error
		}{
			"full":     {inbox.Limits{Messages: -1}, inbox.ErrInboxFull},
			"pair":     {inbox.Limits{PairMessages: -1}, inbox.ErrInboxFull},
			"stranger": {inbox.Limits{StrangerMessages: -1}, inbox.ErrAnswerAwaited},
		} {
			other := open(t, b, inbox.Options{Limits: c.limits, Archive: &archive{}})
			before := allKeys(t, s, b)
			if _, err := other.Enqueue(t.Context(), message("ann", "fresh", "x")); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
			same(t, "keys after "+name, allKeys(t, s, b), before)
		}
	})
}

// Every script, run on users whom Redis does not know, leaves only keys that expire.
func TestScriptsLeaveOnlyKeysThatExpire(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		rdb := b.Client(t, nil)
		all := &ran{scripts: map[string]bool{}}
		redistest.AddHook(t, rdb, all)
		saved := &archive{}
		saved.save("nobody0", "nobody1")
		limits := inbox.Limits{NewPeople: 1, StrangerMessages: 1}
		s := openWith(t, rdb, inbox.Options{Gates: gates{rdb, nil}, Limits: limits, Archive: saved})
		n := 0
		next := func() string { n++; return fmt.Sprint("nobody", n) }
		ctx, epoch := t.Context(), "0.none"
		refs := []wire.MessageRef{{ID: message("a", "b", "x").ID, At: 1}}
		conversation := func(uid string) string { return chat.ConversationID(uid, "someone") }
		check := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			for _, key := range allKeys(t, s, b) {
				if d := rdb.PTTL(ctx, key).Val(); d == -1 {
					t.Errorf("after %s, %s does not expire", what, key)
				}
			}
		}
		_, err := s.Attach(ctx, next(), "", "")
		check("attach", err)
		_, err = s.Read(ctx, next(), inbox.Position{}, 10)
		check("read", err)
		check("unsettled", s.Unsettled(ctx, []inbox.Claim{{UID: next(), To: inbox.ID{Ms: 1 << 50}}}, 10)[0].Err)
		for _, to := range []inbox.ID{{}, {Ms: 5}, {Ms: 1 << 50}} {
			r := s.Settle(ctx, []inbox.Settlement{{UID: next(), Epoch: epoch, To: to}})[0]
			check("settle", r.Err)
		}
		for _, uid := range []string{next(), "nobody1"} {
			_, err = s.Remove(ctx, uid, epoch, inbox.ID{Ms: 1})
			check("remove", err)
		}
		check("peek", s.Peek(ctx, next()))
		check("waiting", s.RunWaiting(ctx, next()))
		for kind, event := range map[string]func(uid string) any{
			wire.EventDelivered: func(uid string) any {
				return wire.DeliveredEvent{Type: wire.EventDelivered, Conversation: conversation(uid), Messages: refs}
			},
			wire.EventRefused: func(uid string) any {
				return wire.RefusedEvent{Type: wire.EventRefused, Conversation: conversation(uid), Messages: refs}
			},
			wire.EventRead: func(uid string) any {
				return wire.ReadEvent{Type: wire.EventRead, Conversation: conversation(uid), By: uid, At: 1}
			},
		} {
			uid := next()
			check("append "+kind, s.Append(ctx, []inbox.Entry{{UID: uid, Type: kind, Event: event(uid)}})[0])
		}
		// A user who was deleted: an inbox with a message that waits is removed, and then gets another receipt.
		open(t, b, inbox.Options{}).send(t, "gone", "ben", "x")
		s.settle(t, "ben", s.end(t, "ben"))
		s.report(t, "ben", wire.EventRefused)
		end := s.end(t, "gone")
		if ok, err := s.Remove(ctx, "gone", end.Epoch, end.ID); !ok || err != nil {
			t.Errorf("remove: %v, %v", ok, err)
		}
		s.report(t, "ben", wire.EventDelivered)
		check("a deleted user", nil)

		for _, pair := range [][2]string{{next(), next()}, {"gone", next()}, {"ben", "gone"}} {
			m := message(pair[0], pair[1], "x")
			if _, err := s.Enqueue(ctx, m); !errors.Is(err, inbox.ErrRecipientUnknown) {
				t.Errorf("enqueue: %v", err)
			}
			check("enqueue", nil)
		}
		_, err = s.HasWritten(ctx, next(), next())
		check("HasWritten", err)
		if wrote, err := s.HasWritten(ctx, "nobody0", "nobody1"); !wrote || err != nil {
			t.Errorf("HasWritten: %v, %v", wrote, err)
		}
		check("acquaint", nil)
		check("heal", s.Heal(ctx, next()))
		rdb.HSet(ctx, "out:{lost}", "x/1", "5 5", "bytes", "5")
		rdb.Expire(ctx, "out:{lost}", time.Hour)
		check("heal", s.Heal(ctx, "lost"))

		open(t, b, inbox.Options{}).send(t, "zed", "ben", "x")
		_, err = s.Withdraw(ctx, inbox.Withdrawal{UID: "ben", From: "zed", Reason: inbox.ErrWithdrawn})
		check("withdraw", err)
		rdb.HSet(ctx, "pending:{lost}", "zed/01890a5d-ac96-774b-bcce-b302099a8057", "1-1 digest 1 10 1")
		_, err = s.Withdraw(ctx, inbox.Withdrawal{UID: "lost", Reason: inbox.ErrWithdrawn})
		rdb.Del(ctx, "pending:{lost}")
		check("withdraw from an inbox that is lost", err)
		_, _, err = s.Purge(ctx, inbox.Purge{From: next(), To: next(), Code: inbox.ErrWithdrawn.Code})
		check("purge", err)
		check("repeat a purge", s.RunPurges(ctx))

		files, err := filepath.Glob("lua/*.lua")
		if err != nil || len(files) < 10 {
			t.Fatalf("found %d scripts: %v", len(files), err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".lua")
			switch name {
			case "inbox", "removed", "page": // common parts
				continue
			}
			if !all.scripts[s.ScriptHash(name)] {
				t.Errorf("this test does not run %s", file)
			}
		}
	})
}
