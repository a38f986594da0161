package inbox

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// outboxFull reports whether the messages of a sender that wait in all inboxes leave no room for another one. Before it
// reports that, it reads the totals from Redis, and takes out the messages that do not wait.
func (boxes *Inboxes) outboxFull(ctx context.Context, s *sender, uid string, size int) (bool, error) {
	l, t := boxes.opts.Limits, boxes.opts.tuning
	if !s.over(l, size) {
		return false, nil
	}
	if s.due(&s.refreshed, t.Refresh) {
		if err := boxes.refreshTotals(ctx, s, uid); err != nil {
			return false, err
		}
	}
	if s.over(l, size) && s.due(&s.healed, t.Heal) {
		if err := boxes.healTotals(ctx, s, uid); err != nil {
			return false, err
		}
	}
	return s.over(l, size), nil
}

// setTotals records totals as Redis has them.
func (u *sender) setTotals(messages, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.messages, u.bytes = messages, bytes
}

func (boxes *Inboxes) refreshTotals(ctx context.Context, s *sender, uid string) error {
	key := []string{outKey(uid)}
	r := boxes.run(ctx, script.Call{Command: "HLEN", Keys: key},
		script.Call{Command: "HGET", Keys: key, Args: []any{bytesField}})
	for _, one := range r {
		if one.Err != nil {
			return one.Err
		}
	}
	fields, _ := r[0].Value.(int64)
	text, _ := r[1].Value.(string)
	bytes, _ := strconv.ParseInt(text, 10, 64) // 0 if there is none
	s.setTotals(max(fields-1, 0), bytes)
	return nil
}

// Outgoing is a message that waits, or has waited lately, as its sender's totals have it.
type Outgoing struct {
	To, MessageID string
	Value         string // as in Redis
}

// Outgoing returns the messages of a sender that wait, and possibly some that have ceased to. It may miss messages if a
// node of Redis lost its last writes.
func (boxes *Inboxes) Outgoing(ctx context.Context, from string) ([]Outgoing, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all, err := boxes.rdb.HGetAll(ctx, outKey(from)).Result()
	if err != nil {
		return nil, boxes.classifyError(err)
	}
	list := make([]Outgoing, 0, len(all))
	for field, value := range all {
		if to, id, ok := strings.Cut(field, "/"); ok {
			list = append(list, Outgoing{to, id, value})
		}
	}
	return list, nil
}

// healTotals takes the messages that do not wait out of a sender's totals. Such a message was delivered before its
// "sent" event was appended, or Redis lost the receipt in a failover.
func (boxes *Inboxes) healTotals(ctx context.Context, s *sender, uid string) error {
	list, err := boxes.Outgoing(ctx, uid)
	if err != nil {
		return err
	}
	ended, err := boxes.notWaiting(ctx, uid, list)
	if err != nil {
		return err
	}
	for len(ended) > 0 {
		n := min(fieldsPerQuery, len(ended))
		args := make([]any, 0, 2*n)
		for _, o := range ended[:n] {
			args = append(args, o.To+"/"+o.MessageID, o.Value)
		}
		ended = ended[n:]
		v, err := boxes.runScript(ctx, script.Call{Script: boxes.scripts.heal, Keys: []string{outKey(uid)}, Args: args})
		if err != nil {
			return err
		}
		r := newReply(v, 2)
		s.setTotals(r.int(0), r.int(1))
		if r.err != nil {
			return r.failure()
		}
		boxes.counters.Healed.Add(int64(n))
	}
	return nil
}

// notWaiting returns the messages of a sender that have no record in the inboxes of their recipients. It takes one
// round trip for about 500 messages.
func (boxes *Inboxes) notWaiting(ctx context.Context, from string, list []Outgoing) ([]Outgoing, error) {
	byRecipient := map[string][]Outgoing{}
	for _, o := range list {
		byRecipient[o.To] = append(byRecipient[o.To], o)
	}
	var ended []Outgoing
	pipe := boxes.rdb.Pipeline()
	type question struct {
		list  []Outgoing
		reply *redis.SliceCmd
	}
	var questions []question
	asked := 0
	ask := func() error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if _, err := pipe.Exec(ctx); err != nil {
			return boxes.classifyError(err)
		}
		for _, q := range questions {
			for i, v := range q.reply.Val() {
				if v == nil {
					ended = append(ended, q.list[i])
				}
			}
		}
		pipe, questions, asked = boxes.rdb.Pipeline(), nil, 0
		return nil
	}
	for _, to := range slices.Sorted(maps.Keys(byRecipient)) {
		all := byRecipient[to]
		for len(all) > 0 {
			n := min(fieldsPerQuery, len(all))
			fields := make([]string, n)
			for i, o := range all[:n] {
				fields[i] = from + "/" + o.MessageID
			}
			questions = append(questions, question{all[:n], pipe.HMGet(ctx, pendingKey(to), fields...)})
			all = all[n:]
			if asked += n; asked >= fieldsPerQuery {
				if err := ask(); err != nil {
					return nil, err
				}
			}
		}
	}
	if asked > 0 {
		if err := ask(); err != nil {
			return nil, err
		}
	}
	return ended, nil
}
