package bare

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// pipe sends the commands of all sockets over two connections. Commands that are queued at the same time share a round
// trip.
type pipe struct {
	queue chan command
}

// command is a command in the queue of a pipe.
type command struct {
	args []any
	done func(error) // called with the result; may be nil
}

const (
	queued   = 8192 // commands; more of them block their sockets
	maxBatch = 256  // commands in a round trip
	pipes    = 2    // connections
)

// newPipe returns a pipe that works until ctx ends.
func newPipe(ctx context.Context, rdb *redis.Client) *pipe {
	p := &pipe{queue: make(chan command, queued)}
	for range pipes {
		go p.run(ctx, rdb)
	}
	return p
}

// do queues a command.
func (p *pipe) do(done func(error), args ...any) { p.queue <- command{args, done} }

func (p *pipe) run(ctx context.Context, rdb *redis.Client) {
	for {
		var batch []command
		select {
		case c := <-p.queue:
			batch = append(batch, c)
		case <-ctx.Done():
			return
		}
		for len(batch) < maxBatch && len(p.queue) > 0 {
			select {
			case c := <-p.queue:
				batch = append(batch, c)
			default: // another run has received it
			}
		}
		pipeline := rdb.Pipeline()
		results := make([]*redis.Cmd, len(batch))
		for i, c := range batch {
			results[i] = pipeline.Do(ctx, c.args...)
		}
		_, _ = pipeline.Exec(ctx) // each command has its own error
		for i, c := range batch {
			if c.done != nil && ctx.Err() == nil {
				c.done(results[i].Err())
			}
		}
	}
}
