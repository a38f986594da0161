// Package script runs Lua scripts on Redis. Runs of many callers share round trips, and the hash of a script is sent
// instead of its text, except to a server that does not have the script yet.
//
// Scripts are .lua files in the folder of the package that uses them. They have no "#!lua" header, because miniredis
// does not support it, so Redis cannot check their keys. Every key must therefore be passed in KEYS, and all keys of
// one call must share a hash tag. A Runner repeats a call whose connection broke, unless Call.Once forbids it.
package script

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/primary.lua
var primaryText string

//go:embed lua/probe.lua
var probeText string

// Script is a Lua script. It is immutable.
type Script struct {
	text string
	hash any // a string, as an argument of EVALSHA

	// whether the text begins with lua/primary.lua, whose arguments a Runner puts before those of a Call
	primary bool
}

// probe returns the epoch of a primary and its time; see lua/probe.lua.
var probe = newScript(primaryText+probeText, true)

func newScript(text string, primary bool) *Script {
	sum := sha1.Sum([]byte(text))
	return &Script{text: text, hash: hex.EncodeToString(sum[:]), primary: primary}
}

// Hash returns the SHA-1 hash by which Redis knows the script.
func (s *Script) Hash() string { return s.hash.(string) }

// Constants are values that never change from call to call, by name. Scripts have them in their texts, as numbers or
// truth values: Redis spends more on an argument, and on a local variable that functions use, because it creates the
// functions again in each run.
type Constants map[string]any

// With returns all constants of c and of others.
func (c Constants) With(others Constants) Constants {
	all := Constants{}
	maps.Copy(all, c)
	maps.Copy(all, others)
	return all
}

// replaceIn replaces each name in a text by its value.
func (c Constants) replaceIn(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		end := i
		for end < len(text) && isNamePart(text[end]) {
			end++
		}
		if value, ok := c[text[i:end]]; ok {
			fmt.Fprint(&out, value)
		} else {
			end = max(end, i+1)
			out.WriteString(text[i:end])
		}
		i = end
	}
	return out.String()
}

// isNamePart reports whether names in Lua may contain b.
func isNamePart(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// Load returns a script that consists of the named files in the folder lua, in the given order. Earlier parts define
// what later ones use. It panics if a file is missing, which is a programming error.
func Load(files fs.FS, constants Constants, names ...string) *Script {
	return newScript(join(files, constants, names), false)
}

// LoadPrimary is like Load, but the script begins with lua/primary.lua of this package, so that it can tell the epoch
// of the primary that runs it. Its own arguments begin at ARGV[3].
func LoadPrimary(files fs.FS, constants Constants, names ...string) *Script {
	return newScript(primaryText+join(files, constants, names), true)
}

func join(files fs.FS, constants Constants, names []string) string {
	var text strings.Builder
	for _, name := range names {
		b, err := fs.ReadFile(files, "lua/"+name+".lua")
		if err != nil {
			panic(err)
		}
		text.Write(b)
	}
	return constants.replaceIn(text.String())
}

// PrimaryEpoch returns the epoch of the primary that answers; see lua/primary.lua. It takes one round trip.
func PrimaryEpoch(ctx context.Context, c redis.Scripter) (string, error) {
	list, err := c.Eval(ctx, probe.text, nil, "", "0").Slice()
	if err != nil {
		return "", err
	}
	epoch, _, err := readProbe(list)
	return epoch, err
}

// readProbe decodes the result of probe.
func readProbe(list []any) (epoch string, nowMS int64, err error) {
	if len(list) != 2 {
		return "", 0, fmt.Errorf("probe returned %d values, want 2", len(list))
	}
	epoch, _ = list[0].(string)
	text, _ := list[1].(string)
	nowMS, err = strconv.ParseInt(text, 10, 64)
	if epoch == "" && err == nil {
		err = fmt.Errorf("probe returned %v instead of an epoch", list[0])
	}
	return epoch, nowMS, err
}

// Call is one run of a script, or one command.
type Call struct {
	Script  *Script
	Command string   // if there is no script: HSET, for example
	Keys    []string // at least one, all with the same hash tag
	Args    []any

	// After says that the result must not be older than the call that precedes this one in its list. Both have the same
	// hash tag, or Redis is no cluster. If the server does not know the script of that call yet, this one runs twice.
	After bool

	// Once says that the call must not run twice. If its connection breaks, it fails, and may have run.
	Once bool

	// Replicate says that after the call one replica must have what it wrote; see Options.ReplicaWait and
	// Result.Replicas. A script that finds its work done must write something nevertheless, because Redis waits for the
	// writes of a connection only.
	Replicate bool
}

// Result is the result of a Call.
type Result struct {
	Value    any
	Replicas int // number of replicas that have what the call wrote, if it demands that
	Err      error
}

// size returns about how many bytes the call sends.
func (c *Call) size() int {
	n := 100
	for _, k := range c.Keys {
		n += len(k)
	}
	for _, a := range c.Args {
		switch a := a.(type) {
		case string:
			n += len(a)
		case []byte:
			n += len(a)
		default:
			n += 8
		}
	}
	return n
}
