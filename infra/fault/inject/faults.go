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

	{Name: "instance-killed", What: "kill -9 of a realtime instance", run: whileAway(0.3, instanceKilled)},
	{Name: "rolling-restart", What: "SIGTERM to one instance after the other, during traffic", run: rollingRestart},
	{Name: "clocks", What: "the clocks of instances are 2 s apart, while they restart", Clocks: true, run: rollingRestart},

	{Name: "redis-killed", What: "Redis is killed and starts again on its append-only file", run: whileAway(0.3, redisKilled)},
	{Name: "redis-paused", What: "Redis answers nothing for 5 s", run: redisPaused},
	{Name: "redis-wiped", What: "FLUSHALL", Loses: true, run: whileAway(0.3, redisWiped)},
	{Name: "redis-replaced", What: "Redis is killed and an empty one takes its place", Loses: true, run: whileAway(0.3, redisReplaced)},
	{Name: "redis-failover", What: "the replica takes over without the last writes", Replica: true, Loses: true, run: whileAway(0.3, redisFailover)},
	{Name: "killed-publishing", What: "kill -9 of an instance while publishing takes 2 s", run: while(publishSlow, publishWell, instanceKilled)},
	{Name: "failover-publishing", What: "a failover while publishing takes 2 s: acknowledgements begin before it and end after it", Replica: true, Loses: true, run: while(publishSlow, publishWell, whileAway(0.2, redisFailover))},
	{Name: "redis-lost-senders-gone", What: "Redis is replaced by an empty one, and devices that had just sent never come back (the stated exception)", Loses: true, Exception: true, run: whileAway(0.3, leave(0.1, redisReplaced))},
	{Name: "redis-cut", What: "the network to Redis is cut", run: broken(testbed.Cut, time.Second, 4*time.Second)},
	{Name: "redis-slow", What: "the network to Redis is slow", run: broken(testbed.Slow, 2*time.Second, 6*time.Second)},
	{Name: "redis-deaf", What: "connections to Redis are half open", run: broken(testbed.Deaf, 2*time.Second, 8*time.Second)},

	{Name: "publish-fails", What: "publishing to Pub/Sub fails, or its answer is lost", run: publishing(testbed.PublishFault{Fail: 0.6, LoseReply: 0.3})},
	{Name: "publish-slow", What: "publishing to Pub/Sub takes 2 s", run: publishing(testbed.PublishFault{Slow: 2 * time.Second})},
	{Name: "persist-fails", What: "persist fails, or its answer is lost", run: pushing(testbed.PushFault{Fail: 0.5, LoseReply: 0.3})},
	{Name: "persist-slow", What: "persist takes 2 s", run: pushing(testbed.PushFault{Slow: 2 * time.Second})},
	{Name: "persist-twice", What: "persist is called twice at once", run: pushing(testbed.PushFault{Twice: true})},
	{Name: "persist-shuffled", What: "persist is called out of order", run: pushing(testbed.PushFault{Shuffle: 3 * time.Second})},
	{Name: "store-down", What: "the store is unavailable, at times after it has saved", run: storeDown},

	{Name: "clients-killed", Clients: true, What: "apps are killed and start again", run: away(0.15, killed, 0, 3*time.Second)},
	{Name: "clients-vanish", Clients: true, What: "devices vanish without closing their connections", run: away(0.15, vanished, 0, 4*time.Second)},
	{Name: "clients-flap", Clients: true, What: "devices lose their connection every few moments", run: flapping},
	{Name: "clients-offline", Clients: true, What: "devices are offline for long", run: away(0.2, offline, 8*time.Second, 15*time.Second)},
	{Name: "clients-set-back", Clients: true, What: "devices come back with an old cursor, set back to an older state", run: setBack},
	{Name: "clients-deaf", Clients: true, What: "devices stop reading", run: stopReading},
	{Name: "clients-ack-late", Clients: true, What: "devices acknowledge seconds late", run: odd(client.Odd{AckDelay: 3 * time.Second})},
	{Name: "clients-ack-ahead", Clients: true, What: "devices acknowledge what they have not been sent", run: odd(client.Odd{AckAhead: time.Minute})},

	{Name: "clients-flood", What: "clients send every kind of frame as fast as they can", run: clientsFlood},
	{Name: "client-never-acks", What: "a device acknowledges nothing, and many write to it", run: neverAcks},
	{Name: "inbox-poisoned", What: "entries that are no events stand in an inbox", run: inboxPoisoned},
	{Name: "inbox-full", What: "many write to one who is away, beyond what an inbox holds", run: inboxFull},
	{Name: "recipient-gone", What: "people write to nobody, and to one who is deleted while it waits", run: recipientGone},
}

func instanceKilled(ctx context.Context, t *target) error {
	n := t.instance()
	t.stage.KillInstance(n)
	t.hold(ctx, 200*time.Millisecond, 2*time.Second)
	return t.stage.StartInstance(mending(ctx), n)
}

// mending outlives the schedule, so that what broke is mended.
func mending(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func rollingRestart(ctx context.Context, t *target) error {
	for n := range t.stage.Instances() {
		if _, err := t.stage.Terminate(n); err != nil {
			return err
		}
		if err := t.stage.StartInstance(mending(ctx), n); err != nil {
			return err
		}
		t.hold(ctx, 100*time.Millisecond, time.Second)
	}
	return nil
}

func redisKilled(ctx context.Context, t *target) error {
	t.stage.KillRedis()
	t.hold(ctx, 100*time.Millisecond, 3*time.Second)
	return t.stage.StartRedis(mending(ctx))
}

func redisPaused(ctx context.Context, t *target) error {
	if err := t.stage.PauseRedis(); err != nil {
		return err
	}
	t.hold(ctx, 5*time.Second, 5*time.Second)
	return t.stage.ResumeRedis()
}

func redisWiped(ctx context.Context, t *target) error { return t.stage.WipeRedis(mending(ctx)) }

func redisReplaced(ctx context.Context, t *target) error { return t.stage.ReplaceRedis(mending(ctx)) }

func redisFailover(ctx context.Context, t *target) error {
	if err := t.stage.SeverReplica(); err != nil {
		return err
	}
	t.hold(ctx, 200*time.Millisecond, 2*time.Second) // what is written now is lost
	return t.stage.FailOver(mending(ctx))
}

// while breaks something else, and f while that is so.
func while(broken, mended func(*target), f func(context.Context, *target) error) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		broken(t)
		defer mended(t)
		t.hold(ctx, time.Second, 2*time.Second)
		err := f(ctx, t)
		t.hold(ctx, time.Second, 2*time.Second)
		return err
	}
}

func publishSlow(t *target) { t.stage.Publishing(testbed.PublishFault{Slow: 2 * time.Second}) }
func publishWell(t *target) { t.stage.Publishing(testbed.PublishFault{}) }

// broken breaks the links of one instance, or of all.
func broken(how string, from, to time.Duration) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		hit := []int{t.instance()}
		if t.rnd.IntN(2) == 0 {
			hit = nil
			for n := range t.stage.Instances() {
				hit = append(hit, n)
			}
		}
		for _, n := range hit {
			if err := t.stage.BreakLink(n, how); err != nil {
				return err
			}
		}
		t.hold(ctx, from, to)
		for _, n := range hit {
			if err := t.stage.MendLink(n); err != nil {
				return err
			}
		}
		return nil
	}
}

func publishing(f testbed.PublishFault) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		t.stage.Publishing(f)
		t.hold(ctx, 3*time.Second, 8*time.Second)
		t.stage.Publishing(testbed.PublishFault{})
		return nil
	}
}

func pushing(f testbed.PushFault) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		t.stage.Pushing(f)
		t.hold(ctx, 3*time.Second, 8*time.Second)
		t.stage.Pushing(testbed.PushFault{})
		return nil
	}
}

func storeDown(ctx context.Context, t *target) error {
	t.stage.StoreDown(true, t.rnd.IntN(3) == 0)
	t.hold(ctx, 2*time.Second, 6*time.Second)
	t.stage.StoreDown(false, false)
	return nil
}
