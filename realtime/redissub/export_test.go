package redissub

import "time"

// WithPing returns o with another limit of silence.
func (o Options) WithPing(d time.Duration) Options {
	o.ping = d
	return o
}
