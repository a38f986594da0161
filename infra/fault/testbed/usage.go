package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// RuntimePath is the route of the instance program that reports its Runtime. The service itself has no such route.
const RuntimePath = "/testbed/runtime"

// Runtime is what the Go runtime of an instance says about its process.
type Runtime struct {
	Goroutines int64 `json:"goroutines"`
	Heap       int64 `json:"heap"` // bytes of reachable objects, just after a garbage collection
}

// Usage is what the instances and Redis use, of all instances together.
type Usage struct {
	Runtime
	RSS       int64 // resident set size of the instances, in bytes; 0 where /proc does not exist
	Redis     int64 // bytes of its data
	RedisKeys int64 // without those that count what a user sends in a minute: two minutes after it, they are gone
}

// Usage measures the instances and Redis. It returns an error while one of them is down or does not answer in time.
func (tb *Testbed) Usage(ctx context.Context) (u Usage, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for _, i := range tb.instances {
		one, err := i.runtime(ctx)
		if err != nil {
			return u, err
		}
		u.Goroutines += one.Goroutines
		u.Heap += one.Heap
		u.RSS += i.residentSize()
	}
	c := tb.redis.client()
	defer c.Close()
	info, err := c.Info(ctx, "memory").Result()
	if err != nil {
		return u, fmt.Errorf("measure redis: %w", err)
	}
	u.Redis = numberAfter(info, "used_memory:")
	keys := c.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		if !strings.HasPrefix(keys.Val(), "sends:") {
			u.RedisKeys++
		}
	}
	if err := keys.Err(); err != nil {
		return u, fmt.Errorf("measure redis: %w", err)
	}
	return u, nil
}

// runtime requests the Runtime of the instance.
func (i *Instance) runtime(ctx context.Context) (out Runtime, err error) {
	if !i.open.Load() {
		return out, errors.New(i.spec.Name + " is down")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.spec.Addr+RuntimePath, nil)
	if err != nil {
		return out, err
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("GET %s: %s", RuntimePath, resp.Status)
	}
	return out, json.NewDecoder(resp.Body).Decode(&out)
}
