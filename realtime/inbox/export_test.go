package inbox

import "context"

// Tuning holds the limits that tests change.
type Tuning = tuning

// WithTuning returns o with other limits.
func (o Options) WithTuning(t Tuning) Options {
	o.tuning = t
	return o
}

// Tuned returns Options with other limits.
func Tuned(t Tuning) Options { return Options{tuning: t} }

// Heal heals the totals of a sender at once.
func (boxes *Inboxes) Heal(ctx context.Context, uid string) error {
	return boxes.healTotals(ctx, boxes.senders.of(uid), uid)
}
