package inject

import (
	"context"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// blockPartners makes users block one of those that they write with, for some seconds.
func blockPartners(ctx context.Context, t *target) error {
	hit := map[string]string{}
	for _, d := range t.pickDevices(0.1) {
		partners := t.crowd.Partners(d.User())
		hit[d.User()] = partners[t.rnd.IntN(len(partners))]
	}
	for uid, other := range hit {
		t.log.Add(record.Entry{Kind: record.Blocked, User: uid, Name: other})
		if err := t.testbed.Block(context.WithoutCancel(ctx), uid, other); err != nil {
			return err
		}
	}
	t.wait(ctx, 2*time.Second, 4*time.Second)
	for uid, other := range hit {
		if err := t.testbed.Unblock(context.WithoutCancel(ctx), uid, other); err != nil {
			return err
		}
		t.log.Add(record.Entry{Kind: record.Unblocked, User: uid, Name: other})
	}
	return nil
}

// deleteAccount deletes the account of one user, as long as most users of the crowd are there.
func deleteAccount(ctx context.Context, t *target) error {
	present := func(uid string) bool {
		for _, d := range t.crowd.DevicesOf(uid) {
			if !d.HasLeft() {
				return true
			}
		}
		return false
	}
	var there []string
	for _, uid := range t.crowd.Users() {
		if present(uid) {
			there = append(there, uid)
		}
	}
	if len(there)*4 < len(t.crowd.Users())*3 {
		return nil
	}
	uid := there[t.rnd.IntN(len(there))]
	for _, d := range t.crowd.DevicesOf(uid) {
		d.Leave()
	}
	for _, other := range t.crowd.Partners(uid) {
		t.crowd.Sever(uid, other)
	}
	t.log.Add(record.Entry{Kind: record.Erased, User: uid})
	return t.testbed.Erase(context.WithoutCancel(ctx), uid)
}
