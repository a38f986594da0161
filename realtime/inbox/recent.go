package inbox

import (
	"sync"
)

// recent remembers the values that were used last: at least most of them, and at most twice that number.
type recent[K comparable, V any] struct {
	most int

	// guarded by mu
	mu          sync.Mutex
	now, before map[K]V // before: the generation before now
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{most: most, now: map[K]V{}}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(k)
}

func (r *recent[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(k, v)
}

func (r *recent[K, V]) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now, r.before = map[K]V{}, nil
}

// empty reports whether nothing is remembered.
func (r *recent[K, V]) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.now)+len(r.before) == 0
}

// take forgets everything, and returns the keys in no particular order.
func (r *recent[K, V]) take() []K {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]K, 0, len(r.now)+len(r.before))
	for k := range r.now {
		keys = append(keys, k)
	}
	for k := range r.before {
		if _, ok := r.now[k]; !ok {
			keys = append(keys, k)
		}
	}
	r.now, r.before = map[K]V{}, nil
	return keys
}

// remove forgets the value of k.
func (r *recent[K, V]) remove(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, k)
	delete(r.before, k)
}

// getOrAdd returns the value of k, or sets it to what add returns.
func (r *recent[K, V]) getOrAdd(k K, add func() V) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.find(k)
	if !ok {
		v = add()
		r.set(k, v)
	}
	return v
}

// find returns the value of k, and keeps it for another generation. mu is held.
func (r *recent[K, V]) find(k K) (v V, ok bool) {
	if v, ok = r.now[k]; ok {
		return v, true
	}
	if v, ok = r.before[k]; ok {
		r.set(k, v)
	}
	return v, ok
}

// set sets the value of k, and starts another generation if this one is full. mu is held.
func (r *recent[K, V]) set(k K, v V) {
	if _, ok := r.now[k]; !ok && len(r.now) >= r.most {
		r.now, r.before = map[K]V{}, r.now
	}
	r.now[k] = v
}
