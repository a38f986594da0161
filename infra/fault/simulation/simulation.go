// Package simulation tests whole systems in one process under a fake clock. Real realtime instances and real client
// twins talk over pipes to miniredis, persist, the HTTP functions and the embedded store. The record and the verdict
// are those of infra/fault. The tests keep the histories that broke earlier drafts of the rules, and play many random
// histories in little time.
package simulation
