// Package search looks for states that break a promise in the model of package delivery: breadth first, which finds
// the shortest counterexamples, depth first, which needs the least memory, or by random walks, for scenarios with more
// states than fit into memory.
package search

import (
	"maps"
	"slices"

	"github.com/phoenixchat/phoenixchat/infra/model/internal/delivery"
)

// Result is what a search found.
type Result struct {
	States     int  // distinct ones; by random walks, all that were visited
	Quiescent  int  // of them, those in which nothing but a fault can happen
	Depth      int  // longest path that was followed; not known depth first
	Exhaustive bool // every reachable state was visited
	Violations []Violation
}

// Violation is a promise that some states break.
type Violation struct {
	Promise string
	States  int   // that break it
	Path    []int // the shortest path found to such a state, for Model.Replay; nil depth first
}

// Limits bound a search. Zero means no limit.
type Limits struct {
	States int  // distinct states
	First  bool // end at the first violation
}

// findings collects violations by promise.
type findings map[string]*Violation

// note counts a violation and calls path for those that may come with a shorter one.
func (f findings) note(promises []string, length int, path func() []int) {
	for _, p := range promises {
		v := f[p]
		if v == nil {
			v = &Violation{Promise: p}
			f[p] = v
		}
		v.States++
		if path != nil && (v.States == 1 || length < len(v.Path)) {
			v.Path = path()
		}
	}
}

// list returns the violations sorted by promise.
func (f findings) list() []Violation {
	var list []Violation
	for _, p := range slices.Sorted(maps.Keys(f)) {
		list = append(list, *f[p])
	}
	return list
}

// BreadthFirst visits all states in the order of their distance from the start.
func BreadthFirst(m *delivery.Model, limits Limits) Result {
	var (
		result = Result{Exhaustive: true}
		found  = findings{}
		seen   = newTable(true)
		start  = m.Initial()
		first  = start.Hash()
		level  = []delivery.State{start}
	)
	seen.add(first, origin{})
	for ; len(level) > 0; result.Depth++ {
		var next []delivery.State
		for i := range level {
			s := &level[i]
			hash := s.Hash()
			path := func() []int { return seen.path(first, hash) }
			if broken := m.Violations(s, false); broken != nil {
				found.note(broken, result.Depth, path)
				continue
			}
			index, steps := uint16(0), 0
			m.Successors(s, func(n *delivery.State, fault bool) {
				if !fault {
					steps++
				}
				if seen.add(n.Hash(), origin{hash, index}) {
					next = append(next, *n)
				}
				index++
			})
			if steps == 0 {
				result.Quiescent++
				found.note(m.Violations(s, true), result.Depth, path)
			}
		}
		if len(next) > 0 && (over(limits.States, seen.count) || (limits.First && len(found) > 0)) {
			result.Exhaustive = false
			break
		}
		level = next
	}
	result.States, result.Violations = seen.count, found.list()
	return result
}

func over(limit, n int) bool { return limit > 0 && n >= limit }

// DepthFirst visits all states and keeps only their hashes and a short stack.
func DepthFirst(m *delivery.Model, limits Limits) Result {
	var (
		result = Result{Exhaustive: true}
		found  = findings{}
		seen   = newTable(false)
		stack  = []delivery.State{m.Initial()}
	)
	seen.add(stack[0].Hash(), origin{})
	for len(stack) > 0 {
		if over(limits.States, seen.count) || (limits.First && len(found) > 0) {
			result.Exhaustive = false
			break
		}
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if broken := m.Violations(&s, false); broken != nil {
			found.note(broken, 0, nil)
			continue
		}
		steps := 0
		m.Successors(&s, func(n *delivery.State, fault bool) {
			if !fault {
				steps++
			}
			if seen.add(n.Hash(), origin{}) {
				stack = append(stack, *n)
			}
		})
		if steps == 0 {
			result.Quiescent++
			found.note(m.Violations(&s, true), 0, nil)
		}
	}
	result.States, result.Violations = seen.count, found.list()
	return result
}
