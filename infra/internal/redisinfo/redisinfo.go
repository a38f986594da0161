// Package redisinfo reads statistics of a redis-server, which cost it nothing.
package redisinfo

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Stats has the statistics of a server since it started.
type Stats struct {
	calls  map[string]float64 // by command, without subcommand
	fields map[string]string  // of INFO stats
}

// Read reads the statistics of the server of c.
func Read(ctx context.Context, c redis.UniversalClient) (Stats, error) {
	text, err := c.Info(ctx, "stats", "commandstats").Result()
	if err != nil {
		return Stats{}, fmt.Errorf("read the statistics of redis: %w", err)
	}
	return parse(text), nil
}

// parse parses the lines "name:value" of INFO.
func parse(text string) Stats {
	s := Stats{calls: map[string]float64{}, fields: map[string]string{}}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		command, ok := strings.CutPrefix(name, "cmdstat_")
		if !ok {
			s.fields[name] = value
			continue
		}
		command, _, _ = strings.Cut(command, "|")
		for part := range strings.SplitSeq(value, ",") {
			if n, ok := strings.CutPrefix(part, "calls="); ok {
				calls, _ := strconv.ParseFloat(n, 64) // Redis writes numbers
				s.calls[command] += calls
			}
		}
	}
	return s
}

// Scripts returns how many scripts were run.
func (s Stats) Scripts() float64 { return s.calls["eval"] + s.calls["evalsha"] + s.calls["fcall"] }

// outside lists the commands that no script calls.
var outside = []string{"eval", "evalsha", "fcall", "script", "subscribe", "unsubscribe", "ssubscribe", "sunsubscribe",
	"ping", "wait", "hello", "client", "auth", "info", "config", "flushall"}

// Inside returns how many commands were called that a script may call. Most of them are called by scripts: a client
// calls few of them itself, such as the HMGET of a gate, and the PUBLISH of a hint.
func (s Stats) Inside() (n float64) {
	for _, calls := range s.calls {
		n += calls
	}
	for _, command := range outside {
		n -= s.calls[command]
	}
	return n
}

// Number returns a number of INFO stats.
func (s Stats) Number(field string) (float64, error) {
	n, err := strconv.ParseFloat(s.fields[field], 64)
	if err != nil {
		return 0, fmt.Errorf("statistics of redis: %s: %w", field, err)
	}
	return n, nil
}
