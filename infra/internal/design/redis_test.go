package design

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// redisKey is a row of the key table.
type redisKey struct {
	kind   string // "stream", "hash", "sorted set", "string" or "channel"
	fields map[string]field
	holds  string
}

// redisTable returns the key table by name without the hash tag: "inbox" of `inbox:{uid}`.
func redisTable(t *testing.T) map[string]redisKey {
	t.Helper()
	all := map[string]redisKey{}
	for key, row := range pageSection(t, 5).table(t, "key").byFirst(t) {
		kind, _, _ := strings.Cut(row[1], ",")
		all[strings.TrimSuffix(key, ":{uid}")] = redisKey{kind: kind, fields: fields(row[2]), holds: row[2]}
	}
	return all
}

var (
	keyStart = regexp.MustCompile(`^([a-z_]+):\{$`)
	keyConst = regexp.MustCompile(`(?i)(key|channel)$`)
)

// TestRedisKeys compares the key table with the names that Go builds: literals such as "inbox:{", and constants
// ...Key or ...channel of the packages that use Redis.
func TestRedisKeys(t *testing.T) {
	page := map[string]bool{}
	for key := range pageSection(t, 5).table(t, "key").byFirst(t) {
		page[key] = true
	}
	have := map[string]bool{}
	for _, dir := range packages(t, "realtime") {
		s := parse(t, dir)
		if !s.imports("/go-redis/v9") && !s.imports("/realtime/script") {
			continue
		}
		for name, e := range s.consts {
			if v, ok := s.text(t, e); ok && keyConst.MatchString(name) {
				have[v] = true
			}
		}
		for _, f := range s.files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if v, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
						if m := keyStart.FindStringSubmatch(v); m != nil {
							have[m[1]+":{uid}"] = true
						}
					}
				case *ast.CallExpr: // rdb.Get(ctx, "name")
					if len(n.Args) < 2 || !slices.Contains(goCommands, method(n)) {
						break
					}
					if ctx, ok := n.Args[0].(*ast.Ident); !ok || ctx.Name != "ctx" {
						break
					}
					if lit, ok := n.Args[1].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						have[strings.Trim(lit.Value, "\"`")] = true
					}
				}
				return true
			})
		}
	}
	same(t, "Redis keys and channels", page, have)
}

// goCommands are methods of go-redis that take the name of a key or channel.
var goCommands = []string{"Get", "Set", "SetNX", "SetEx", "Del", "Exists", "Expire", "Incr", "HGet", "HSet", "HMGet",
	"HGetAll", "HDel", "XAdd", "XRange", "XLen", "ZAdd", "ZCard", "ZRange", "SAdd", "SMembers", "LPush", "RPush",
	"Publish", "Subscribe"}

// luaFile is one script.
type luaFile struct {
	dir, name string
	changed   []string          // fields of meta that the script writes at its end
	calls     [][]string        // arguments of redis.call, the command first
	locals    map[string]string // the first expression of each local
}

var (
	luaLocal  = regexp.MustCompile(`(?m)^\s*local ([a-z_]+)\s*= (.*)$`)
	luaPlain  = regexp.MustCompile(`^'([^']*)'$`)
	luaPrefix = regexp.MustCompile(`^'([^']*)' \.\. .`)

	// The table changed of package inbox holds the fields of meta that a script will write.
	luaChanged = regexp.MustCompile(`\bchanged(?:\.([a-z_]+)|\['([a-z]+:)' \.\.)`)
)

// luaFiles returns the scripts of realtime/.
func luaFiles(t *testing.T) []*luaFile {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(inRepo(t, "realtime"), "*", "lua", "*.lua"))
	if err != nil || len(paths) < 10 {
		t.Fatalf("found %d scripts: %v", len(paths), err)
	}
	var all []*luaFile
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		f := &luaFile{dir: filepath.Base(filepath.Dir(filepath.Dir(p))), locals: map[string]string{},
			name: strings.TrimSuffix(filepath.Base(p), ".lua")}
		text := luaCode(string(data))
		for _, m := range luaLocal.FindAllStringSubmatch(text, -1) {
			if _, ok := f.locals[m[1]]; !ok {
				f.locals[m[1]] = strings.TrimSpace(m[2])
			}
		}
		for _, m := range luaChanged.FindAllStringSubmatch(text, -1) {
			name := m[1]
			if m[2] != "" {
				name = m[2] + "<uid>"
			}
			f.changed = append(f.changed, name)
		}
		for _, start := range []string{"redis.call(", "redis.pcall("} {
			for rest := text; ; {
				_, after, ok := strings.Cut(rest, start)
				if !ok {
					break
				}
				f.calls = append(f.calls, luaArgs(after))
				rest = after
			}
		}
		all = append(all, f)
	}
	return all
}

// luaCode returns a script without its comments.
func luaCode(text string) string {
	var out strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\'':
			quoted = !quoted
		case !quoted && strings.HasPrefix(text[i:], "--"):
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				return out.String()
			}
			i += end
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// luaArgs splits the arguments of a call, up to its closing parenthesis.
func luaArgs(text string) (args []string) {
	depth, quoted, start := 0, false, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(' || c == '{':
			depth++
		case c == ',' && depth == 0:
			args = append(args, strings.TrimSpace(text[start:i]))
			start = i + 1
		case c == ')' && depth == 0:
			return append(args, strings.TrimSpace(text[start:i]))
		case c == ')' || c == '}':
			depth--
		}
	}
	return args
}

// luaTypes are the types of the keys that commands work on. A command that is not here works on keys of any type.
var luaTypes = []struct {
	command *regexp.Regexp
	kind    string
}{
	{regexp.MustCompile(`^X[A-Z]+$`), "stream"}, {regexp.MustCompile(`^H[A-Z]+$`), "hash"},
	{regexp.MustCompile(`^Z[A-Z]+$`), "sorted set"}, {regexp.MustCompile(`^(GET|SET|SETNX|INCR)$`), "string"},
}

// TestRedisScripts compares the key table with what the scripts do: which keys they use, of which type, with which
// fields, and what they publish.
func TestRedisScripts(t *testing.T) {
	page := redisTable(t)
	files := luaFiles(t)
	common := map[string]map[string]string{} // locals of a folder's common part, which is named after the folder
	for _, f := range files {
		if f.name == f.dir {
			common[f.dir] = f.locals
		}
	}
	used := map[string]map[string]bool{} // fields by key
	for _, f := range files {
		bad := func(call []string, format string, args ...any) {
			t.Errorf("%s/lua/%s.lua: %s: %s", f.dir, f.name, strings.Join(call, ", "), fmt.Sprintf(format, args...))
		}
		local := func(name string) string {
			if e, ok := f.locals[name]; ok {
				return e
			}
			return common[f.dir][name]
		}
		for _, call := range f.calls {
			command := strings.Trim(call[0], "'")
			keys := call[1:]
			switch command {
			case "INFO", "TIME":
				continue
			case "PUBLISH":
				switch of := local(call[1]); { // the argument, or made of the key of the inbox
				case call[1] == "channel" && (strings.HasPrefix(of, "ARGV[") || of == "'wake' .. string.sub(inbox_key, 6)"):
				case call[1] == "seen_channel" && of == "'seen' .. string.sub(inbox_key, 6)":
				default:
					bad(call, "a channel is not the argument named channel, and not one of the user of the inbox")
				}
				if m := luaPlain.FindStringSubmatch(call[2]); m != nil && !slices.Contains(publishes(page), m[1]) {
					bad(call, "%s has no channel that carries this", pagePath)
				}
				continue
			case "DEL", "EXISTS": // of several keys
			default:
				keys = keys[:1]
			}
			for _, k := range keys {
				if !strings.HasPrefix(local(k), "KEYS[") {
					bad(call, "%s is not a key that the script was given", k)
					continue
				}
				name := pageKey(page, strings.TrimSuffix(k, "_key"))
				if name == "" {
					bad(call, "%s has no key for %s", pagePath, k)
					continue
				}
				if used[name] == nil {
					used[name] = map[string]bool{}
				}
				for _, lt := range luaTypes {
					if lt.command.MatchString(command) && page[name].kind != lt.kind {
						bad(call, "%s has %q for %s", pagePath, page[name].kind, name)
					}
				}
				if name == "meta" {
					for _, field := range f.changed {
						used[name][field] = true
					}
				}
				for _, e := range fieldArgs(command, call) {
					if e == "unpack(list)" && name == "meta" {
						continue // of changed
					}
					if !luaPlain.MatchString(e) && !luaPrefix.MatchString(e) {
						e = local(e)
					}
					switch plain, prefix := luaPlain.FindStringSubmatch(e), luaPrefix.FindStringSubmatch(e); {
					case plain != nil:
						used[name][plain[1]] = true
					case prefix != nil:
						used[name][prefix[1]+"<uid>"] = true
					case len(page[name].fields) > 0 && !strings.Contains(page[name].holds, "` → `"): // names that users make
						bad(call, "the name of the field cannot be read from the script")
					}
				}
			}
		}
	}
	for name, key := range page {
		if key.kind == "channel" {
			continue
		}
		same(t, "fields of the key "+name, key.fields, used[name]) // a key that no script uses has none; see TestRedisKeys
	}
	// Gates are also read without a script.
	gates := parse(t, "realtime/gate")
	for _, f := range gates.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == 1 && v.Names[0].Name == "fields" {
				have := map[string]bool{}
				ast.Inspect(v, func(n ast.Node) bool {
					if lit, ok := n.(*ast.BasicLit); ok {
						have[strings.Trim(lit.Value, `"`)] = true
					}
					return true
				})
				same(t, "fields of a gate in Go", page["gate"].fields, have)
			}
			return true
		})
	}
}

// pageKey returns the key that a script's local is named after: the same, or the only one that ends with it.
func pageKey(page map[string]redisKey, name string) string {
	if k, ok := page[name]; ok && k.kind != "channel" {
		return name
	}
	found := ""
	for key, k := range page {
		if k.kind == "channel" || !strings.HasSuffix(key, name) {
			continue
		}
		if found != "" {
			return ""
		}
		found = key
	}
	return found
}

// publishes returns what channels carry, as far as it is fixed.
func publishes(page map[string]redisKey) []string {
	var all []string
	for _, k := range page {
		if k.kind == "channel" {
			all = append(all, words(k.holds)...)
		}
	}
	return all
}

// fieldArgs returns the arguments of a call that name fields. Deleting a field does not make it one.
func fieldArgs(command string, call []string) (names []string) {
	first, step := 2, 0
	switch command {
	case "HSET":
		step = 2
	case "HGET", "HEXISTS", "HINCRBY":
		step = len(call) // only one
	case "HMGET":
		step = 1
	case "XADD":
		first, step = 3, 2
	default:
		return nil
	}
	for i := first; i < len(call); i += step {
		names = append(names, call[i])
	}
	return names
}

// TestRedisScriptList compares the list of scripts with the embedded files.
func TestRedisScriptList(t *testing.T) {
	page, have := map[string]bool{}, map[string]bool{}
	for _, row := range pageSection(t, 5).table(t, "scripts").rows {
		for _, cell := range row {
			for _, w := range words(cell) {
				page[w] = true
			}
		}
	}
	for _, f := range luaFiles(t) {
		if have[f.name] {
			t.Errorf("two scripts are named %s", f.name)
		}
		have[f.name] = true
	}
	same(t, "scripts", page, have)
}
