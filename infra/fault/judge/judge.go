// Package judge checks the record of a fault run with porcupine, a checker of linearizability that others maintain. It
// is a second opinion beside package verdict, and shares no code with it.
//
// The record becomes a history of operations. Each has a beginning and an end, because what it does can take effect at
// any moment between them: a send until its sender shows that it was accepted, a save until the store confirms it, a
// page of history until it is returned, a loss of data in Redis while its fault lasts. Porcupine looks for an order of
// the operations, within these bounds, in which each of them is right by a model that knows no concurrency. If there is
// no such order, the run broke a promise.
//
// Looking for an order takes exponential time in the worst case. The history is therefore partitioned into parts that
// do not depend on each other, and each is checked alone:
//
//   - one message, from the user who types it to what everyone shows in the end (life.go)
//   - the changes of one message in the archive (changes.go)
//   - the order in which one device writes, shows and lists the messages of one conversation (order.go)
//
// A part that takes longer than its limit is unknown. That counts as a failure.
package judge

import (
	"cmp"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// Report is the result of Check.
type Report struct {
	Operations int       `json:"operations"`
	Partitions int       `json:"partitions"`
	Illegal    int       `json:"illegal"`            // partitions that no order explains
	Unknown    int       `json:"unknown"`            // partitions that were not checked to the end
	Excepted   int       `json:"excepted"`           // messages that only the stated exception explains
	Seconds    float64   `json:"seconds"`            // how long Check took
	Longest    float64   `json:"longest"`            // seconds that one partition took, at most
	Findings   []Finding `json:"findings,omitempty"` // at most maxFindings
}

// Finding is a partition that is illegal or unknown.
type Finding struct {
	Partition string                `json:"partition"`
	Result    porcupine.CheckResult `json:"result"`
	Detail    string                `json:"detail"` // the first operation that no order explains
}

// Limits of Check.
const (
	partitionLimit = 5 * time.Second // for each partition
	maxUnknown     = 20              // the partitions after this many unknown ones are unknown, too
	maxFindings    = 20
)

// OK reports whether there are partitions, and all were checked and are legal. A nil report is not OK.
func (r *Report) OK() bool { return r != nil && r.Partitions > 0 && r.Illegal == 0 && r.Unknown == 0 }

// partition is a part of the history that is checked alone.
type partition struct {
	name       string
	model      porcupine.Model
	exception  *porcupine.Model // also admits the stated exception; nil: there is none
	operations []porcupine.Operation
}

// Check judges a record. It uses all processors. Its memory does not grow with the record: it reads a large one several
// times, and each time keeps the operations of a share of the conversations. A record that cannot be read is reported
// by its Err.
func Check(log *record.Log) *Report { return checkShares(log, int(log.Size()/shareBytes)+1) }

// shareBytes is about how much of a record is judged at once. Its operations take up to three times as much memory, and
// a collection doubles that.
const shareBytes = 384 << 20

// checkShares judges a record in so many shares.
func checkShares(log *record.Log, shares int) *Report {
	began := time.Now()
	c := &checker{limit: partitionLimit}
	for number := range shares {
		h := newHistory()
		for n, e := range log.Share(number, shares) {
			h.add(n, &e)
		}
		c.check(h.partitions())
	}
	r := c.result()
	r.Seconds = time.Since(began).Seconds()
	return r
}

// checker checks partitions, each within a limit.
type checker struct {
	limit   time.Duration
	unknown atomic.Int64 // partitions so far

	jobs int // partitions that have begun

	mu     sync.Mutex
	report Report            // guarded by mu
	found  []numberedFinding // guarded by mu
}

type numberedFinding struct {
	n int // of the partition
	Finding
}

// check checks some partitions.
func (c *checker) check(partitions iter.Seq[partition]) {
	type job struct {
		n int
		partition
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				c.checkOne(j.n, &j.partition)
			}
		})
	}
	for p := range partitions {
		jobs <- job{c.jobs, p}
		c.jobs++
	}
	close(jobs)
	workers.Wait()
}

// checkOne checks a partition, which has this number.
func (c *checker) checkOne(n int, p *partition) {
	began := time.Now()
	result := porcupine.Unknown
	if c.unknown.Load() < maxUnknown {
		result = porcupine.CheckOperationsTimeout(p.model, p.operations, c.limit)
	}
	excepted := false
	if result == porcupine.Illegal && p.exception != nil {
		result = porcupine.CheckOperationsTimeout(*p.exception, p.operations, c.limit)
		excepted = result == porcupine.Ok
	}
	if result == porcupine.Unknown {
		c.unknown.Add(1)
	}
	took := time.Since(began).Seconds()
	c.mu.Lock()
	r := &c.report
	r.Partitions++
	r.Operations += len(p.operations)
	r.Longest = max(r.Longest, took)
	switch {
	case excepted:
		r.Excepted++
	case result == porcupine.Illegal:
		r.Illegal++
	case result == porcupine.Unknown:
		r.Unknown++
	}
	describe := result != porcupine.Ok && len(c.found) < maxFindings
	c.mu.Unlock()
	if describe {
		f := numberedFinding{n, Finding{p.name, result, p.explain(result, c.limit)}}
		c.mu.Lock()
		c.found = append(c.found, f)
		c.mu.Unlock()
	}
}

// result returns the report of all partitions.
func (c *checker) result() *Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	slices.SortFunc(c.found, func(a, b numberedFinding) int { return cmp.Compare(a.n, b.n) })
	for _, f := range c.found[:min(len(c.found), maxFindings)] {
		r.Findings = append(r.Findings, f.Finding)
	}
	return &r
}

// explain names the first operation that has no place in the longest order that porcupine has found.
func (p *partition) explain(result porcupine.CheckResult, limit time.Duration) string {
	if result == porcupine.Unknown {
		return fmt.Sprintf("%d operations were not checked within %v", len(p.operations), limit)
	}
	model := p.model
	if p.exception != nil {
		model = *p.exception
	}
	_, info := porcupine.CheckOperationsVerbose(model, p.operations, limit)
	var longest []porcupine.Operation
	for _, order := range info.PartialLinearizationsOperations()[0] {
		if len(order) > len(longest) {
			longest = order
		}
	}
	placed := map[any]bool{}
	for _, o := range longest {
		placed[o.Metadata] = true
	}
	var first *porcupine.Operation
	for i := range p.operations {
		o := &p.operations[i]
		if !placed[o.Metadata] && (first == nil || o.Return < first.Return) {
			first = o
		}
	}
	if first == nil { // the verbose check ended early
		return "no order was found"
	}
	return fmt.Sprintf("entry %d of the record: %s",
		min(first.Return, p.last()), model.DescribeOperation(first.Input, first.Output))
}

// last returns the greatest end of an operation that has ended.
func (p *partition) last() (last int64) {
	for _, o := range p.operations {
		if o.Return != never {
			last = max(last, o.Return)
		}
	}
	return last
}
