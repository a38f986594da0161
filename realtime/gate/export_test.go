package gate

// Tuning holds the limits that tests change.
type Tuning = tuning

// Tuned returns Options with other limits.
func Tuned(t Tuning) Options { return Options{tuning: t} }
