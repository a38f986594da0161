package inject

import (
	"context"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
)

// Faults lists all faults, in the order of reports.
var Faults = slices.Concat([]Fault{
	{
		Name:    "none",
		Summary: "nothing breaks",
	},
	{
		Name:    "instance-killed",
		Summary: "kill -9 of a realtime instance",
		run:     withUsersAway(0.3, killInstance),
	},
	{
		Name:    "rolling-restart",
		Summary: "SIGTERM to one instance after the other",
		run:     restartInstances,
	},
	{
		Name: "clocks", Clocks: true,
		Summary: "the clocks of instances differ by 2 s, and the instances restart",
		run:     restartInstances,
	},
	{
		Name:    "redis-killed",
		Summary: "Redis is killed and restarts with its append-only file",
		run:     withUsersAway(0.3, killRedis),
	},
	{
		Name:    "redis-paused",
		Summary: "Redis does not answer for 5 s",
		run:     pauseRedis,
	},
	{
		Name: "redis-wiped", Loses: true,
		Summary: "FLUSHALL",
		run:     withUsersAway(0.3, wipeRedis),
	},
	{
		Name: "redis-replaced", Loses: true,
		Summary: "Redis is killed and replaced by an empty one",
		run:     withUsersAway(0.3, replaceRedis),
	},
	{
		Name: "redis-failover", Replica: true, Loses: true,
		Summary: "the replica takes over without the last writes",
		run:     withUsersAway(0.3, failOverRedis),
	},
	{
		Name:    "killed-publishing",
		Summary: "kill -9 of an instance while publishing takes 2 s",
		run:     withFault(publishSlow, publishNormally, killInstance),
	},
	{
		Name: "failover-publishing", Replica: true, Loses: true,
		Summary: "a failover while publishing takes 2 s: acks begin before it and end after it",
		run:     withFault(publishSlow, publishNormally, withUsersAway(0.2, failOverRedis)),
	},
	{
		Name: "redis-lost-senders-gone", Loses: true, Exception: true,
		Summary: "Redis is replaced by an empty one, and devices that have just sent never return (the stated exception)",
		run:     withUsersAway(0.3, withSendersLeaving(0.1, replaceRedis)),
	},
	{
		Name:    "redis-cut",
		Summary: "the network to Redis is cut",
		run:     breakLinks(testbed.Cut, time.Second, 4*time.Second),
	},
	{
		Name:    "redis-slow",
		Summary: "the network to Redis is slow",
		run:     breakLinks(testbed.Slow, 2*time.Second, 6*time.Second),
	},
	{
		Name:    "redis-deaf",
		Summary: "connections to Redis are half open",
		run:     breakLinks(testbed.Deaf, 2*time.Second, 8*time.Second),
	},
	{
		Name:    "publish-fails",
		Summary: "publishing to Pub/Sub fails, or its answer is lost",
		run:     failPublishing(testbed.PublishFault{Fail: 0.6, LoseReply: 0.3}),
	},
	{
		Name:    "publish-slow",
		Summary: "publishing to Pub/Sub takes 2 s",
		run:     failPublishing(testbed.PublishFault{Slow: 2 * time.Second}),
	},
	{
		Name: "notify-down", Pushes: true,
		Summary: "the function notify fails for 5 s, so that devices that sleep are not woken",
		run:     stopNotify,
	},
	{
		Name:    "persist-fails",
		Summary: "persist fails, or its answer is lost",
		run:     failPushing(testbed.PushFault{Fail: 0.5, LoseReply: 0.3}),
	},
	{
		Name:    "persist-slow",
		Summary: "persist takes 2 s",
		run:     failPushing(testbed.PushFault{Slow: 2 * time.Second}),
	},
	{
		Name:    "persist-twice",
		Summary: "persist is called twice at once",
		run:     failPushing(testbed.PushFault{Twice: true}),
	},
	{
		Name:    "persist-shuffled",
		Summary: "persist is called out of order",
		run:     failPushing(testbed.PushFault{Shuffle: 3 * time.Second}),
	},
	{
		Name:    "store-down",
		Summary: "the store is unavailable, in some cases only after it has saved",
		run:     takeStoreDown,
	},
	{
		Name: "clients-killed", Clients: true,
		Summary: "apps are killed and start again",
		run:     disconnect(0.15, killed, 0, 3*time.Second),
	},
	{
		Name: "clients-vanish", Clients: true,
		Summary: "devices vanish without closing their connections",
		run:     disconnect(0.15, vanished, 0, 4*time.Second),
	},
	{
		Name: "clients-flap", Clients: true,
		Summary: "devices lose their connection again and again",
		run:     flapDevices,
	},
	{
		Name: "clients-offline", Clients: true,
		Summary: "devices are offline for 8 to 15 s",
		run:     disconnect(0.2, offline, 8*time.Second, 15*time.Second),
	},
	{
		Name: "clients-set-back", Clients: true,
		Summary: "devices are set back to an older state, with an old cursor",
		run:     withBystanders("set back", setBackDevices),
	},
	{
		Name: "clients-deaf", Clients: true,
		Summary: "devices stop reading",
		run:     withBystanders("deaf", stopReadingDevices),
	},
	{
		Name: "clients-ack-late", Clients: true,
		Summary: "devices acknowledge seconds late",
		run:     misbehave(client.Misbehavior{AckDelay: 3 * time.Second}),
	},
	{
		Name: "clients-ack-ahead", Clients: true,
		Summary: "devices acknowledge messages that they were not sent",
		run:     misbehave(client.Misbehavior{AckAhead: time.Minute}),
	},
	{
		Name: "clients-flood", Guests: true,
		Summary: "clients send every kind of frame as fast as they can",
		run:     floodSockets,
	},
	{
		Name: "client-never-acks", Guests: true,
		Summary: "a device acknowledges nothing, and many users write to it",
		run:     neverAck,
	},
	{
		Name: "inbox-poisoned", Guests: true,
		Summary: "an inbox has entries that are not events",
		run:     poisonInbox,
	},
	{
		Name: "inbox-full", Guests: true,
		Summary: "many users write to a user who is away, until the inbox is full",
		run:     fillInbox,
	},
	{
		Name: "recipient-gone", Guests: true,
		Summary: "users write to a user who does not exist, and to one who is deleted meanwhile",
		run:     deleteRecipient,
	},
	{
		Name: "sender-disabled", Guests: true,
		Summary: "a user is disabled while their messages wait, and enabled again later",
		run:     disableSender,
	},
	{
		Name: "recipient-blocks", Guests: true,
		Summary: "users block one whose messages wait for them",
		run:     blockSender,
	},
	{
		Name: "users-block", Guests: true,
		Summary: "users of the crowd block others that they write with, and unblock them",
		run:     blockPartners,
	},
	{
		Name: "accounts-deleted", Guests: true,
		Summary: "accounts of the crowd are deleted while others write to them",
		run:     deleteAccount,
	},
	{
		Name: "ids-reused", Guests: true,
		Summary: "a client sends other content with its own ids, after the first messages were saved",
		run:     reuseIDs,
	},
}, redisFaults)

func killInstance(ctx context.Context, t *target) error {
	n := t.pickInstance()
	t.testbed.KillInstance(n)
	t.wait(ctx, 200*time.Millisecond, 2*time.Second)
	return t.testbed.StartInstance(context.WithoutCancel(ctx), n)
}

func restartInstances(ctx context.Context, t *target) error {
	for n := range t.testbed.Instances() {
		if _, err := t.testbed.Terminate(n); err != nil {
			return err
		}
		if err := t.testbed.StartInstance(context.WithoutCancel(ctx), n); err != nil {
			return err
		}
		t.wait(ctx, 100*time.Millisecond, time.Second)
	}
	return nil
}

func killRedis(ctx context.Context, t *target) error {
	t.testbed.KillRedis()
	t.wait(ctx, 100*time.Millisecond, 3*time.Second)
	return t.testbed.StartRedis(context.WithoutCancel(ctx))
}

func pauseRedis(ctx context.Context, t *target) error {
	if err := t.testbed.PauseRedis(); err != nil {
		return err
	}
	t.wait(ctx, 5*time.Second, 5*time.Second)
	return t.testbed.ResumeRedis()
}

func stopNotify(ctx context.Context, t *target) error {
	t.testbed.NotifyDown(true)
	t.wait(ctx, 5*time.Second, 5*time.Second)
	t.testbed.NotifyDown(false)
	return nil
}

func wipeRedis(ctx context.Context, t *target) error {
	return t.testbed.WipeRedis(context.WithoutCancel(ctx))
}

func replaceRedis(ctx context.Context, t *target) error {
	return t.testbed.ReplaceRedis(context.WithoutCancel(ctx))
}

func failOverRedis(ctx context.Context, t *target) error {
	if err := t.testbed.SeverReplica(); err != nil {
		return err
	}
	t.wait(ctx, 200*time.Millisecond, 2*time.Second) // writes during this time are lost
	return t.testbed.FailOver(context.WithoutCancel(ctx))
}

// withFault runs f while another fault is active.
func withFault(begin, end func(*target), f func(context.Context, *target) error) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		begin(t)
		defer end(t)
		t.wait(ctx, time.Second, 2*time.Second)
		err := f(ctx, t)
		t.wait(ctx, time.Second, 2*time.Second)
		return err
	}
}

func publishSlow(t *target)     { t.testbed.SetPublishFault(testbed.PublishFault{Slow: 2 * time.Second}) }
func publishNormally(t *target) { t.testbed.SetPublishFault(testbed.PublishFault{}) }

// breakLinks breaks the links between Redis and one instance, or all of them.
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

// failPublishing makes publishing fail for a while.
func failPublishing(f testbed.PublishFault) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		t.testbed.SetPublishFault(f)
		t.wait(ctx, 3*time.Second, 8*time.Second)
		t.testbed.SetPublishFault(testbed.PublishFault{})
		return nil
	}
}

// failPushing makes pushes to persist fail for a while.
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
