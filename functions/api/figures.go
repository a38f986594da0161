package api

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

// Figures are counted when an admin asks for them, not while people chat. These are the times for which a count is
// reused.
const (
	countFresh = 15 * time.Second // of users and of the last two days
	countOld   = time.Hour        // of earlier days, which change only when late messages are saved
	plotDays   = 30               // days in the plot of messages
)

// figures caches the counts of this instance.
type figures struct {
	mu     sync.Mutex
	counts map[string]counted
}

type counted struct {
	n  int64
	at time.Time
}

// get returns the count of key, which is at most as old as fresh. The lock is not held while counting, so two
// concurrent calls may both count.
func (f *figures) get(key string, now time.Time, fresh time.Duration, count func() (int64, error)) (int64, error) {
	f.mu.Lock()
	c, have := f.counts[key]
	f.mu.Unlock()
	if have && now.Sub(c.at) < fresh {
		return c.n, nil
	}
	n, err := count()
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil || len(f.counts) > 4*plotDays {
		f.counts = map[string]counted{}
	}
	f.counts[key] = counted{n, now}
	return n, nil
}

// dayCount is one column of the plot.
type dayCount struct {
	Day   string `json:"day"` // UTC, "2006-01-02"
	Count int64  `json:"count"`
}

// allFigures is what the admin panel shows.
type allFigures struct {
	At          chat.Micros          `json:"at"`
	Users       int64                `json:"people"`
	ActiveToday int64                `json:"active_today"` // since midnight UTC
	DeadLetters int64                `json:"dead_letters"`
	Messages    []dayCount           `json:"messages_per_day"` // saved messages, oldest day first, today last
	Realtime    *internalapi.Figures `json:"realtime"`         // null: the realtime service does not answer
}

// adminFigures returns the figures. If the realtime service does not answer, it returns the others: admins look at
// them when something is down.
func (a *API) adminFigures(ctx context.Context, _ *request) (*response, error) {
	now := a.deps.Now().UTC()
	today := now.Truncate(24 * time.Hour)
	out := allFigures{At: micros(now), Messages: make([]dayCount, plotDays)}
	a.collect(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range plotDays {
		day, fresh := today.AddDate(0, 0, i+1-plotDays), countOld
		if i >= plotDays-2 {
			fresh = countFresh
		}
		key := day.Format(time.DateOnly)
		g.Go(func() (err error) {
			out.Messages[i].Day = key
			out.Messages[i].Count, err = a.figures.get("messages "+key, now, fresh,
				func() (int64, error) { return a.deps.Store.MessagesOn(ctx, key) })
			return err
		})
	}
	g.Go(func() (err error) {
		out.Users, err = a.figures.get("users", now, countFresh, func() (int64, error) {
			all, _, err := a.deps.Store.CountUsers(ctx, micros(today))
			return all, err
		})
		return err
	})
	g.Go(func() (err error) {
		out.ActiveToday, err = a.figures.get("active "+today.Format(time.DateOnly), now, countFresh, func() (int64, error) {
			_, active, err := a.deps.Store.CountUsers(ctx, micros(today))
			return active, err
		})
		return err
	})
	g.Go(func() (err error) {
		out.DeadLetters, err = a.deps.Store.CountDeadLetters(ctx)
		return err
	})
	g.Go(func() error {
		f, err := a.deps.Realtime.Figures(ctx)
		if err != nil {
			a.deps.Log.WarnContext(ctx, "reading the figures of the realtime service failed", "error", err)
			return nil
		}
		if f.Sockets == nil {
			f.Sockets = map[string]int64{}
		}
		out.Realtime = &f
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return ok(out), nil
}
