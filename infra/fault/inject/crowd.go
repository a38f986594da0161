package inject

import (
	"context"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// blockPartners makes users block one of those that they write with, for some seconds.
func blockPartners(ctx context.Context, t *target) error {
	var hit [][2]string
	for _, d := range t.pickDevices(0.1) {
		partners := t.crowd.Partners(d.User())
		hit = append(hit, [2]string{d.User(), partners[t.rnd.IntN(len(partners))]})
	}
	for _, pair := range hit {
		t.log.Add(record.Entry{Kind: record.Blocked, User: pair[0], Name: pair[1]})
		if err := t.testbed.Block(context.WithoutCancel(ctx), pair[0], pair[1]); err != nil {
			return err
		}
	}
	t.wait(ctx, 2*time.Second, 4*time.Second)
	for _, pair := range hit {
		if err := t.testbed.Unblock(context.WithoutCancel(ctx), pair[0], pair[1]); err != nil {
			return err
		}
		t.log.Add(record.Entry{Kind: record.Unblocked, User: pair[0], Name: pair[1]})
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
