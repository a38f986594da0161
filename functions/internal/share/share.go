// Package share lets concurrent callers share one call, such as a transaction in which they would only lock each other
// out of a document.
package share

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/singleflight"
)

// A Group is a kind of call that returns a T. Its methods are safe for concurrent use; the zero value is ready to use.
type Group[T any] struct {
	calls singleflight.Group
}

// Do calls f, and returns its result to all callers with the same key that come before f has returned. The context of f
// has the values of the first caller's ctx and ends after limit, so f goes on if callers leave. A caller whose ctx ends
// gets ctx's error. A panic of f becomes an error: in f's goroutine, nothing else would recover it.
func (g *Group[T]) Do(ctx context.Context, key string, limit time.Duration,
	f func(ctx context.Context) (T, error)) (T, error) {
	ch := g.calls.DoChan(key, func() (_ any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return f(ctx)
	})
	select {
	case r := <-ch:
		v, _ := r.Val.(T) // nil after a panic
		return v, r.Err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
