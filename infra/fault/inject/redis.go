package inject

import (
	"context"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// redisFaults lists the faults in which Redis loses only its last seconds, as after the failure of a machine, and not
// everything that it has.
var redisFaults = []Fault{
	{
		Name: "redis-aof-cut", Loses: true,
		Summary: "Redis is killed, and its append-only file lacks the last seconds",
		run:     withUsersAway(0.3, loseLastSeconds(cutAppendOnlyFile, 0)),
	},
	{
		Name: "redis-aof-cut-senders-gone", Loses: true, Exception: true,
		Summary: "the same, and devices that have just sent never return (the stated exception)",
		run:     withUsersAway(0.3, loseLastSeconds(cutAppendOnlyFile, 0.1)),
	},
	{
		Name: "redis-lagging-senders-gone", Replica: true, Loses: true, Exception: true,
		Summary: "a replica that lags takes over, and devices that have just sent never return (the stated exception)",
		run:     withUsersAway(0.3, loseLastSeconds(promoteLaggingReplica, 0.1)),
	},
	{
		Name: "redis-waits-senders-gone", Replica: true, Waits: true, Loses: true,
		Summary: "the same with REPLICA_WAIT: nothing that was accepted is lost",
		run:     withUsersAway(0.3, loseLastSeconds(promoteLaggingReplica, 0.1)),
	},
}

// A loss is how Redis loses what was written between two moments. begin marks the first moment, and end loses what was
// written since, and brings Redis back.
type loss struct {
	begin func(context.Context, *target) error
	end   func(context.Context, *target) error
}

var cutAppendOnlyFile = loss{
	begin: func(_ context.Context, t *target) error { return t.testbed.MarkAppendOnlyFile() },
	end:   func(ctx context.Context, t *target) error { return t.testbed.CutAppendOnlyFile(ctx) },
}

var promoteLaggingReplica = loss{
	begin: func(ctx context.Context, t *target) error {
		if err := t.testbed.AwaitReplica(ctx); err != nil {
			return err
		}
		return t.testbed.SeverReplica()
	},
	end: func(ctx context.Context, t *target) error { return t.testbed.FailOver(ctx) },
}

// loseLastSeconds makes Redis lose the writes of one to two seconds. Before it does, a share of the devices leave
// forever. Every user keeps a device that receives messages.
func loseLastSeconds(l loss, leaving float64) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		t.log.Add(record.Entry{Kind: record.Kept}) // what was accepted up to here must survive
		if err := l.begin(ctx, t); err != nil {
			return err
		}
		t.wait(ctx, time.Second, 2*time.Second)
		if leaving > 0 {
			for _, d := range t.pickDevices(leaving) {
				left := slices.DeleteFunc(slices.Clone(t.crowd.DevicesOf(d.User())), (*load.Device).HasLeft)
				if len(left) > 1 {
					d.Leave()
				}
			}
		}
		return l.end(context.WithoutCancel(ctx), t)
	}
}
