package inbox

// Tuning holds the limits that tests change.
type Tuning = tuning

// WithTuning returns o with other limits.
func (o Options) WithTuning(t Tuning) Options {
	o.tuning = t
	return o
}

// Tuned returns Options with other limits.
func Tuned(t Tuning) Options { return Options{tuning: t} }
