package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/stack"
)

// world is the system under attack, and the bystanders.
type world struct {
	stack      *stack.Stack
	redis      *redis.Client
	server     *emulators.Server // redis-server
	short      bool
	bystanders *bystanders

	people atomic.Int64 // created so far

	mu    sync.Mutex
	mails []authstub.Mail // sent so far; guarded by mu
}

// newWorld starts the system and the bystanders. close ends them.
func newWorld(ctx context.Context, s settings) (w *world, err error) {
	w = &world{short: s.short}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.server, err = emulators.Redis(ctx); err != nil {
		return nil, err
	}
	var log io.Writer = io.Discard
	if s.verbose {
		log = os.Stderr
	}
	w.stack, err = stack.Start(ctx, stack.Options{
		Redis: w.server.Addr, Proxies: 1, Log: slog.New(slog.NewTextHandler(log, nil)),
		Mail: func(m authstub.Mail) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.mails = append(w.mails, m)
		},
	})
	if err != nil {
		return nil, err
	}
	w.redis = redis.NewClient(&redis.Options{Protocol: 2, Addr: w.server.Addr})
	w.bystanders, err = newBystanders(ctx, w)
	return w, err
}

func (w *world) close() error {
	var errs []error
	if w.bystanders != nil {
		w.bystanders.close()
	}
	if w.redis != nil {
		errs = append(errs, w.redis.Close())
	}
	if w.stack != nil {
		errs = append(errs, w.stack.Close())
	}
	if w.server != nil {
		w.server.Stop()
	}
	return errors.Join(errs...)
}

// size returns how often to try something: full, or less of it in a short run.
func (w *world) size(full, short int) int {
	if w.short {
		return short
	}
	return full
}

// mailTo returns the newest mail to an address.
func (w *world) mailTo(email string) (authstub.Mail, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.mails) - 1; i >= 0; i-- {
		if w.mails[i].To == email {
			return w.mails[i], nil
		}
	}
	return authstub.Mail{}, fmt.Errorf("no mail was sent to %s", email)
}

// eventually polls until ok returns true, for up to within. It reports whether ok did.
func eventually(ctx context.Context, within time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// usedMemory returns the bytes that the data in Redis use.
func (w *world) usedMemory(ctx context.Context) (int64, error) {
	info, err := w.redis.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	var n int64
	_, err = fmt.Sscan(info["Memory"]["used_memory_dataset"], &n)
	return n, err
}

// keys returns the keys in Redis that match a pattern.
func (w *world) keys(ctx context.Context, pattern string) ([]string, error) {
	var all []string
	scan := w.redis.Scan(ctx, 0, pattern, 1000).Iterator()
	for scan.Next(ctx) {
		all = append(all, scan.Val())
	}
	return all, scan.Err()
}

// eternalKeys returns the keys without an expiry that contain one of the uids.
func (w *world) eternalKeys(ctx context.Context, uids []string) (eternal []string, err error) {
	for _, uid := range uids {
		keys, err := w.keys(ctx, "*{"+uid+"}*")
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			ttl, err := w.redis.PTTL(ctx, key).Result()
			if err != nil {
				return nil, err
			}
			if ttl == -1 { // it exists and has no expiry
				eternal = append(eternal, key)
			}
		}
	}
	return eternal, nil
}

// waitingOf returns how many messages of sender wait in the inboxes of the people.
func (w *world) waitingOf(ctx context.Context, sender *person, people []*person) (n int, err error) {
	for _, p := range people {
		fields, err := w.redis.HKeys(ctx, "pending:{"+p.uid+"}").Result()
		if err != nil {
			return 0, err
		}
		for _, f := range fields {
			if strings.HasPrefix(f, sender.uid+"/") {
				n++
			}
		}
	}
	return n, nil
}
