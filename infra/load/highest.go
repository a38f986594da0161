package main

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/infra/load/crowd"
)

// Steps of the search for the highest rate that is held.
const (
	growth    = 1.6  // from one rate to the next until one is not held
	precision = 1.12 // of the result
)

// search finds the highest rate that is held. try returns the figures at a rate, and whether it is held. A rate that is
// not held is tried once more, because the machine does other things too.
func search(start float64, maxSteps int, try func(rate float64) (figures, bool, error)) (
	rate float64, best figures, err error) {

	low, high := 0.0, 0.0 // the highest that was held, and the lowest that was not
	next, again := start, false
	for range maxSteps {
		f, held, err := try(next)
		if err != nil {
			return 0, nil, err
		}
		switch {
		case held:
			low, best, again = next, f, false
		case !again:
			again = true
			continue
		default:
			high, again = next, false
		}
		switch {
		case high == 0:
			next *= growth
		case low == 0:
			next /= 2
		case high/low < precision:
			return low, best, nil
		default:
			next = (low + high) / 2
		}
	}
	if best == nil {
		return 0, nil, errors.New("no rate is held")
	}
	return low, best, nil
}

// highest measures the highest rate that is held.
func highest(ctx context.Context, o options, s *system) (figures, error) {
	rate, f, err := search(o.start, o.maxSteps, func(rate float64) (figures, bool, error) {
		if n, have := max(2*o.pairs, crowd.UsersFor(rate)), s.crowd.Users(); n > have {
			if err := s.enter(ctx, n, crowd.Pairs(have, n)); err != nil {
				return nil, false, err
			}
		}
		f, err := s.step(ctx, crowd.Steady{Rate: rate, Body: o.body}, o.stepWarmUp, o.stepTime)
		if err != nil {
			return nil, false, err
		}
		held := f["event p99"] <= o.maxP99 && f["delivered/s"] >= o.minShare*rate
		return f, held, s.settle(ctx)
	})
	if err != nil {
		return nil, err
	}
	f["highest rate"] = rate
	return f, nil
}
