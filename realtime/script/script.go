// Package script runs Lua scripts on Redis: many in one round trip, each by
// its hash, and by its text where a server has not seen it yet.
//
// Scripts live in .lua files beside the package that uses them. They have no
// "#!lua" header, since miniredis knows none, so Redis cannot check their
// keys: every key is given in KEYS, and all of one run share a hash tag.
package script

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Load returns the script that the named files in the folder lua make, one
// after the other; earlier ones define what later ones use. A missing file is
// a programming error and panics.
func Load(files fs.FS, names ...string) *redis.Script {
	var src strings.Builder
	for _, name := range names {
		b, err := fs.ReadFile(files, "lua/"+name+".lua")
		if err != nil {
			panic(err)
		}
		src.Write(b)
	}
	return redis.NewScript(src.String())
}

// Call is one run of a script.
type Call struct {
	Script *redis.Script
	Keys   []string // of one hash tag
	Args   []any
}

// Run runs one script: one round trip, but for the first time on a server.
func (c Call) Run(ctx context.Context, rdb redis.UniversalClient) (any, error) {
	v, err := c.Script.Run(ctx, rdb, c.Keys, c.Args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

// RunAll runs scripts in one pipeline: one round trip (one per node of a
// cluster), but for the first time on a server. Values and errors are in the
// order of calls; a script that fails does not stop the others.
func RunAll(ctx context.Context, rdb redis.UniversalClient, calls []Call) ([]any, []error) {
	values, errs := make([]any, len(calls)), make([]error, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for _, byHash := range []bool{true, false} {
		if len(todo) == 0 {
			break
		}
		pipe := rdb.Pipeline()
		cmds := make([]*redis.Cmd, len(todo))
		for i, n := range todo {
			c := calls[n]
			if byHash {
				cmds[i] = c.Script.EvalSha(ctx, pipe, c.Keys, c.Args...)
			} else {
				cmds[i] = c.Script.Eval(ctx, pipe, c.Keys, c.Args...)
			}
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		var unknown []int
		for i, n := range todo {
			v, err := cmds[i].Result()
			switch {
			case err == nil || errors.Is(err, redis.Nil):
				values[n] = v
			case byHash && redis.HasErrorPrefix(err, "NOSCRIPT"):
				unknown = append(unknown, n)
			default:
				errs[n] = err
			}
		}
		todo = unknown
	}
	return values, errs
}
