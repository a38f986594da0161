package script

// Tuning holds the limits that tests change.
type Tuning = tuning

// WithTuning returns o with other limits.
func (o Options) WithTuning(t Tuning) Options {
	o.tuning = t
	return o
}

// Queued returns how many calls wait, for all nodes.
func (r *Runner) Queued() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, node := range r.nodes {
		node.mu.Lock()
		n += len(node.queue)
		node.mu.Unlock()
	}
	return n
}
