package search

import (
	"math/rand/v2"
	"slices"

	"github.com/phoenixchat/phoenixchat/infra/model/internal/delivery"
)

// Walk takes random walks from the start to a quiescent state. The seed repeats them. Faults are chosen less often than
// steps, so that they spread over a walk instead of gathering at its start.
func Walk(m *delivery.Model, walks int, seed uint64, limits Limits) Result {
	var (
		result Result
		found  = findings{}
		random = rand.New(rand.NewPCG(seed, 0))
		next   []delivery.State
		faults []bool
		path   []int
	)
	copyPath := func() []int { return slices.Clone(path) }
	for range walks {
		if over(limits.States, result.States) || (limits.First && len(found) > 0) {
			break
		}
		s := m.Initial()
		path = path[:0]
		for {
			result.States++
			result.Depth = max(result.Depth, len(path))
			if broken := m.Violations(&s, false); broken != nil {
				found.note(broken, len(path), copyPath)
				break
			}
			next, faults = next[:0], faults[:0]
			m.Successors(&s, func(n *delivery.State, fault bool) {
				next, faults = append(next, *n), append(faults, fault)
			})
			if !slices.Contains(faults, false) {
				result.Quiescent++
				found.note(m.Violations(&s, true), len(path), copyPath)
				break
			}
			i := random.IntN(len(next))
			if faults[i] && random.IntN(4) != 0 {
				i = random.IntN(len(next))
			}
			if next[i] == s {
				break // the step does not fit into the model
			}
			path = append(path, i)
			s = next[i]
		}
	}
	result.Violations = found.list()
	return result
}
