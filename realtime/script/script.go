// Package script runs Lua scripts on Redis. It can run many scripts in one round trip. It sends the hash of a script,
// and the text only to a server that does not have the script yet.
//
// Scripts are .lua files in the folder of the package that uses them. They have no "#!lua" header, because miniredis
// does not support it, so Redis cannot check their keys. Every key must therefore be passed in KEYS, and all keys of
// one call must share a hash tag.
package script

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Load returns a script that consists of the named files in the folder lua, in the given order. Earlier files define
// what later ones use. Load panics if a file is missing, which is a programming error.
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
	Keys   []string // all with the same hash tag
	Args   []any
}

// Run runs one script. It takes one round trip, except for the first time on a server.
func (c Call) Run(ctx context.Context, rdb redis.UniversalClient) (any, error) {
	v, err := c.Script.Run(ctx, rdb, c.Keys, c.Args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

// attempts limits how often RunAndWait sends a script: once for its hash, once for its text, and once after its keys
// have moved to another node.
const attempts = 3

// RunAndWait runs one script, and then waits on the same connection until one replica of the node has all that the
// script wrote, at most for the given time. replicas is the number of replicas that have it. A script that finds its
// work done must write something nevertheless, because Redis waits for the writes of the connection only. RunAndWait
// takes one round trip more than the replication, except for the first time on a server.
func (c Call) RunAndWait(ctx context.Context, rdb redis.UniversalClient, within time.Duration) (
	v any, replicas int, err error) {

	byHash := true
	for range attempts {
		node := redis.Cmdable(rdb)
		cluster, isCluster := rdb.(*redis.ClusterClient)
		if isCluster {
			if node, err = cluster.MasterForKey(ctx, c.Keys[0]); err != nil {
				return nil, 0, err
			}
		}
		pipe := node.Pipeline() // of one node: its commands share a connection
		var run *redis.Cmd
		if byHash {
			run = c.Script.EvalSha(ctx, pipe, c.Keys, c.Args...)
		} else {
			run = c.Script.Eval(ctx, pipe, c.Keys, c.Args...)
		}
		wait := pipe.Do(ctx, "WAIT", 1, within.Milliseconds())
		_, _ = pipe.Exec(ctx) // each command has its own error
		v, err = run.Result()
		switch {
		case err == nil:
			replicas, err = wait.Int()
			return v, replicas, err
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			byHash = false
		case isCluster && redis.HasErrorPrefix(err, "MOVED"):
			cluster.ReloadState(ctx)
		default:
			return nil, 0, err
		}
	}
	return nil, 0, err
}

// RunAll runs scripts in one pipeline. It takes one round trip (one per node of a cluster), except for the first time
// on a server. Values and errors are in the order of calls. A script that fails does not stop the others.
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
