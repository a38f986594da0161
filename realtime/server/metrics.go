package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

// reportEvery is the time between two reports. Cloud Monitoring has one point a minute.
const reportEvery = time.Minute

// onTimeShare is the share of the live messages of a minute that must be on time, in percent, for the minute to be
// good.
const onTimeShare = 99

// report logs the counters every minute, and once more when ctx ends. Cloud Logging makes metrics of these lines
// (infra/terraform/metrics.tf), so that they cost neither a call of an API nor a library: an instance writes about one
// KB a minute, whatever its traffic is.
//
// A line has what was counted since the line before. Without traffic, Cloud Run takes the CPU away, and the next line
// covers a longer time. Counters that did not change are left out, and so is a whole line without any.
func (s *Server) report(ctx context.Context) error {
	metrics := counter.Walk(s.Counters())
	last := make([]int64, len(metrics))
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.logCounters(metrics, last)
			return nil
		case <-tick.C:
			s.logCounters(metrics, last)
		}
	}
}

// logCounters logs how the metrics differ from last, which it updates, and the gauges.
func (s *Server) logCounters(metrics []counter.Metric, last []int64) {
	counts, changed := map[string]map[string]int64{}, false
	for i, m := range metrics {
		now := m.Load()
		n := now
		if !m.Gauge {
			n, last[i] = now-last[i], now
		}
		if n == 0 {
			continue
		}
		if counts[m.Part] == nil {
			counts[m.Part] = map[string]int64{}
		}
		counts[m.Part][m.Name] = n
		changed = true
	}
	if !changed {
		return
	}
	attrs := []slog.Attr{slog.Any("counters", counts)}
	if live := counts["session"]["Live"]; live > 0 {
		attrs = append(attrs, slog.String("step", "live"),
			slog.String("outcome", outcome(counts["session"]["LiveLate"], live)))
	}
	s.log.LogAttrs(logging.Always(context.Background()), slog.LevelInfo, "counters", attrs...)
}

// outcome returns "good" if few enough of all messages were late, and "bad" otherwise.
func outcome(late, all int64) string {
	if late*100 <= all*(100-onTimeShare) {
		return "good"
	}
	return "bad"
}
