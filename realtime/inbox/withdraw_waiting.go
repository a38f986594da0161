package inbox

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Share is what waits from one sender, or for one recipient.
type Share struct {
	UID string
	Withdrawn
}

// Waiting says who fills what.
type Waiting struct {
	Withdrawn          // all that waits
	Inboxes    int     // in which messages wait
	Senders    []Share // largest first
	Recipients []Share // largest first
	Complete   bool    // false: there are too many inboxes, or the context ended: only some were counted
}

// maxShares limits the senders that Shares distinguishes. Beyond it, small ones are forgotten.
const maxShares = 100_000

var errEnough = errors.New("enough inboxes")

// Shares adds up what waits in all inboxes, and returns the top senders and recipients by bytes. It scans Redis, so it
// is for operators.
func (boxes *Inboxes) Shares(ctx context.Context, top int) (Waiting, error) {
	out := Waiting{Complete: true}
	senders := map[string]*Share{}
	seen := map[string]bool{}
	err := boxes.eachInbox(ctx, func(uids []string) error {
		for len(uids) > 0 {
			n := min(queuedBatch, len(uids))
			if err := boxes.addShares(ctx, &out, senders, seen, uids[:n]); err != nil {
				return err
			}
			uids = uids[n:]
		}
		if out.Inboxes >= maxScanned {
			return errEnough
		}
		out.Recipients = largest(out.Recipients, top)
		return nil
	})
	switch {
	case errors.Is(err, errEnough), err != nil && ctx.Err() != nil:
		out.Complete = false
	case err != nil:
		return Waiting{}, err
	}
	for _, s := range senders {
		out.Senders = append(out.Senders, *s)
	}
	out.Senders, out.Recipients = largest(out.Senders, top), largest(out.Recipients, top)
	return out, nil
}

// addShares adds what waits in some inboxes.
func (boxes *Inboxes) addShares(ctx context.Context, out *Waiting, senders map[string]*Share, seen map[string]bool,
	uids []string) error {
	forget := make([]script.Call, len(uids)) // what is marked does not wait
	for i, uid := range uids {
		forget[i] = boxes.call(boxes.scripts.waiting, uid)
	}
	for _, r := range boxes.run(ctx, forget...) {
		if r.Err != nil {
			return r.Err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pipe := boxes.rdb.Pipeline()
	metas := make([]*redis.MapStringStringCmd, len(uids))
	for i, uid := range uids {
		metas[i] = pipe.HGetAll(ctx, metaKey(uid))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return boxes.classifyError(err)
	}
	for i, uid := range uids {
		if seen[uid] { // SCAN may return a key twice
			continue
		}
		seen[uid] = true
		box := Share{UID: uid}
		for field, value := range metas[i].Val() {
			from, ok := strings.CutPrefix(field, "from:")
			messages, bytes, both := strings.Cut(value, " ")
			r := reply{list: []any{messages, bytes}}
			share := Withdrawn{r.int(0), r.int(1)}
			if !ok || !both || r.err != nil {
				continue
			}
			box.add(share)
			if senders[from] == nil && len(senders) < maxShares {
				senders[from] = &Share{UID: from}
			}
			if s := senders[from]; s != nil {
				s.add(share)
			} else {
				out.Complete = false
			}
		}
		if box.Messages > 0 {
			out.Inboxes++
			out.add(box.Withdrawn)
			out.Recipients = append(out.Recipients, box)
		}
	}
	return nil
}

// largest sorts shares by bytes, and keeps the first n.
func largest(list []Share, n int) []Share {
	slices.SortFunc(list, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.UID, b.UID))
	})
	return list[:min(n, len(list))]
}
