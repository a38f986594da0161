// Package simulation plays whole systems in one process under a fake clock: real
// realtime instances and real client twins over pipes, miniredis, persist, the
// HTTP functions and the embedded store, judged by the same record and verdict
// as the runs of infra/fault. Its tests keep the histories that broke earlier
// drafts of the rules, and play many random ones in no time.
package simulation
