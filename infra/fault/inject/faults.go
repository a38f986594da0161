package inject

import (
	"context"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
)

// Faults are all kinds of faults, in the order of reports.
var Faults = []Fault{
	{Name: "none", What: "nothing breaks"},

	{Name: "instance-killed", What: "kill -9 of a realtime instance", run: withUsersAway(0.3, killInstance)},
	{Name: "rolling-restart", What: "SIGTERM to one instance after the other, during traffic", run: restartInstances},
	{Name: "clocks", What: "the clocks of instances are 2 s apart, while they restart", Clocks: true, run: restartInstances},

	{Name: "redis-killed", What: "Redis is killed and starts again on its append-only file", run: withUsersAway(0.3, killRedis)},
	{Name: "redis-paused", What: "Redis answers nothing for 5 s", run: pauseRedis},
	{Name: "redis-wiped", What: "FLUSHALL", Loses: true, run: withUsersAway(0.3, wipeRedis)},
	{Name: "redis-replaced", What: "Redis is killed and an empty one takes its place", Loses: true, run: withUsersAway(0.3, replaceRedis)},
	{Name: "redis-failover", What: "the replica takes over without the last writes", Replica: true, Loses: true, run: withUsersAway(0.3, failOverRedis)},
	{Name: "killed-publishing", What: "kill -9 of an instance while publishing takes 2 s", run: withFault(publishSlow, publishNormally, killInstance)},
	{Name: "failover-publishing", What: "a failover while publishing takes 2 s: acknowledgements begin before it and end after it", Replica: true, Loses: true, run: withFault(publishSlow, publishNormally, withUsersAway(0.2, failOverRedis))},
	{Name: "redis-lost-senders-gone", What: "Redis is replaced by an empty one, and devices that had just sent never come back (the stated exception)", Loses: true, Exception: true, run: withUsersAway(0.3, withSendersLeaving(0.1, replaceRedis))},
	{Name: "redis-cut", What: "the network to Redis is cut", run: breakLinks(testbed.Cut, time.Second, 4*time.Second)},
	{Name: "redis-slow", What: "the network to Redis is slow", run: breakLinks(testbed.Slow, 2*time.Second, 6*time.Second)},
	{Name: "redis-deaf", What: "connections to Redis are half open", run: breakLinks(testbed.Deaf, 2*time.Second, 8*time.Second)},

	{Name: "publish-fails", What: "publishing to Pub/Sub fails, or its answer is lost", run: failPublishing(testbed.PublishFault{Fail: 0.6, LoseReply: 0.3})},
	{Name: "publish-slow", What: "publishing to Pub/Sub takes 2 s", run: failPublishing(testbed.PublishFault{Slow: 2 * time.Second})},
	{Name: "persist-fails", What: "persist fails, or its answer is lost", run: failPushing(testbed.PushFault{Fail: 0.5, LoseReply: 0.3})},
	{Name: "persist-slow", What: "persist takes 2 s", run: failPushing(testbed.PushFault{Slow: 2 * time.Second})},
	{Name: "persist-twice", What: "persist is called twice at once", run: failPushing(testbed.PushFault{Twice: true})},
	{Name: "persist-shuffled", What: "persist is called out of order", run: failPushing(testbed.PushFault{Shuffle: 3 * time.Second})},
	{Name: "store-down", What: "the store is unavailable, at times after it has saved", run: takeStoreDown},

	{Name: "clients-killed", Clients: true, What: "apps are killed and start again", run: disconnect(0.15, killed, 0, 3*time.Second)},
	{Name: "clients-vanish", Clients: true, What: "devices vanish without closing their connections", run: disconnect(0.15, vanished, 0, 4*time.Second)},
	{Name: "clients-flap", Clients: true, What: "devices lose their connection every few moments", run: flapDevices},
	{Name: "clients-offline", Clients: true, What: "devices are offline for long", run: disconnect(0.2, offline, 8*time.Second, 15*time.Second)},
	{Name: "clients-set-back", Clients: true, What: "devices come back with an old cursor, set back to an older state", run: setBackDevices},
	{Name: "clients-deaf", Clients: true, What: "devices stop reading", run: stopReadingDevices},
	{Name: "clients-ack-late", Clients: true, What: "devices acknowledge seconds late", run: misbehavior(client.Misbehavior{AckDelay: 3 * time.Second})},
	{Name: "clients-ack-ahead", Clients: true, What: "devices acknowledge what they have not been sent", run: misbehavior(client.Misbehavior{AckAhead: time.Minute})},

	{Name: "clients-flood", What: "clients send every kind of frame as fast as they can", run: floodSockets},
	{Name: "client-never-acks", What: "a device acknowledges nothing, and many write to it", run: neverAck},
	{Name: "inbox-poisoned", What: "entries that are no events stand in an inbox", run: poisonInbox},
	{Name: "inbox-full", What: "many write to one who is away, beyond what an inbox holds", run: fillInbox},
	{Name: "recipient-gone", What: "people write to nobody, and to one who is deleted while it waits", run: deleteRecipient},
}

func killInstance(ctx context.Context, t *target) error {
	n := t.pickInstance()
	t.testbed.KillInstance(n)
	t.wait(ctx, 200*time.Millisecond, 2*time.Second)
	return t.testbed.StartInstance(withoutCancel(ctx), n)
}

// mending outlives the schedule, so that what broke is mended.
func withoutCancel(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func restartInstances(ctx context.Context, t *target) error {
	for n := range t.testbed.Instances() {
		if _, err := t.testbed.Terminate(n); err != nil {
			return err
		}
		if err := t.testbed.StartInstance(withoutCancel(ctx), n); err != nil {
			return err
		}
		t.wait(ctx, 100*time.Millisecond, time.Second)
	}
	return nil
}

func killRedis(ctx context.Context, t *target) error {
	t.testbed.KillRedis()
	t.wait(ctx, 100*time.Millisecond, 3*time.Second)
	return t.testbed.StartRedis(withoutCancel(ctx))
}

func pauseRedis(ctx context.Context, t *target) error {
	if err := t.testbed.PauseRedis(); err != nil {
		return err
	}
	t.wait(ctx, 5*time.Second, 5*time.Second)
	return t.testbed.ResumeRedis()
}

func wipeRedis(ctx context.Context, t *target) error { return t.testbed.WipeRedis(withoutCancel(ctx)) }

func replaceRedis(ctx context.Context, t *target) error {
	return t.testbed.ReplaceRedis(withoutCancel(ctx))
}

func failOverRedis(ctx context.Context, t *target) error {
	if err := t.testbed.SeverReplica(); err != nil {
		return err
	}
	t.wait(ctx, 200*time.Millisecond, 2*time.Second) // what is written now is lost
	return t.testbed.FailOver(withoutCancel(ctx))
}

// while breaks something else, and f while that is so.
func withFault(broken, mended func(*target), f func(context.Context, *target) error) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		broken(t)
		defer mended(t)
		t.wait(ctx, time.Second, 2*time.Second)
		err := f(ctx, t)
		t.wait(ctx, time.Second, 2*time.Second)
		return err
	}
}

func publishSlow(t *target)     { t.testbed.SetPublishFault(testbed.PublishFault{Slow: 2 * time.Second}) }
func publishNormally(t *target) { t.testbed.SetPublishFault(testbed.PublishFault{}) }

// broken breaks the links of one instance, or of all.
func breakLinks(kind string, from, to time.Duration) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		hit := []int{t.pickInstance()}
		if t.rnd.IntN(2) == 0 {
			hit = nil
			for n := range t.testbed.Instances() {
				hit = append(hit, n)
			}
		}
		for _, n := range hit {
			if err := t.testbed.BreakLink(n, kind); err != nil {
				return err
			}
		}
		t.wait(ctx, from, to)
		for _, n := range hit {
			if err := t.testbed.MendLink(n); err != nil {
				return err
			}
		}
		return nil
	}
}

func failPublishing(f testbed.PublishFault) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		t.testbed.SetPublishFault(f)
		t.wait(ctx, 3*time.Second, 8*time.Second)
		t.testbed.SetPublishFault(testbed.PublishFault{})
		return nil
	}
}

func failPushing(f testbed.PushFault) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		t.testbed.SetPushFault(f)
		t.wait(ctx, 3*time.Second, 8*time.Second)
		t.testbed.SetPushFault(testbed.PushFault{})
		return nil
	}
}

func takeStoreDown(ctx context.Context, t *target) error {
	t.testbed.StoreDown(true, t.rnd.IntN(3) == 0)
	t.wait(ctx, 2*time.Second, 6*time.Second)
	t.testbed.StoreDown(false, false)
	return nil
}
