package search

// table is a set of state hashes with open addressing. It grows as needed. A search that prints traces also keeps how
// each state was first reached.
type table struct {
	hashes  []uint64
	origins []origin // nil if no traces are wanted
	count   int
}

// origin is the transition by which a state was first reached.
type origin struct {
	parent uint64 // hash of the state before
	index  uint16 // of the transition in Successors' order
}

func newTable(traces bool) *table {
	t := &table{hashes: make([]uint64, 1<<12)}
	if traces {
		t.origins = make([]origin, len(t.hashes))
	}
	return t
}

func (t *table) slot(hash uint64) int {
	i := int(hash & uint64(len(t.hashes)-1))
	for t.hashes[i] != 0 && t.hashes[i] != hash {
		i = (i + 1) & (len(t.hashes) - 1)
	}
	return i
}

// add reports whether hash is new.
func (t *table) add(hash uint64, from origin) bool {
	i := t.slot(hash)
	if t.hashes[i] != 0 {
		return false
	}
	t.put(i, hash, from)
	if t.count++; t.count > len(t.hashes)/10*7 {
		t.grow()
	}
	return true
}

func (t *table) put(i int, hash uint64, from origin) {
	t.hashes[i] = hash
	if t.origins != nil {
		t.origins[i] = from
	}
}

func (t *table) grow() {
	old := *t
	t.hashes = make([]uint64, 2*len(old.hashes))
	if old.origins != nil {
		t.origins = make([]origin, len(t.hashes))
	}
	for i, h := range old.hashes {
		if h == 0 {
			continue
		}
		var from origin
		if old.origins != nil {
			from = old.origins[i]
		}
		t.put(t.slot(h), h, from)
	}
}

// path returns the transitions that lead from the state with hash first to the one with hash last.
func (t *table) path(first, last uint64) []int {
	var path []int
	for h := last; h != first; {
		o := t.origins[t.slot(h)]
		path = append(path, int(o.index))
		h = o.parent
	}
	for i, j := 0, len(path)-1; i < j; i, j = i+1, j-1 {
		path[i], path[j] = path[j], path[i]
	}
	return path
}
