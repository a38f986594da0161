package presence

// Tuning holds the times that tests change.
type Tuning = tuning

// Tuned returns Options with other times.
func Tuned(t Tuning) Options { return Options{tuning: t} }
