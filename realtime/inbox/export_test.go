package inbox

import (
	"context"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Timeout is the limit of one operation.
const Timeout = timeout

// Tuning holds the limits that tests change.
type Tuning = tuning

// WithTuning returns o with other limits.
func (o Options) WithTuning(t Tuning) Options {
	o.tuning = t
	return o
}

// Tuned returns Options with other limits.
func Tuned(t Tuning) Options { return Options{tuning: t} }

// Heal heals the totals of a sender at once.
func (boxes *Inboxes) Heal(ctx context.Context, uid string) error {
	return boxes.healTotals(ctx, boxes.senders.of(uid), uid)
}

// Learn makes this instance remember that from has written to to.
func (boxes *Inboxes) Learn(from, to string) { boxes.senders.learn(from, to) }

// ScriptHash returns the hash of a script.
func (boxes *Inboxes) ScriptHash(name string) string {
	s := &boxes.scripts
	return map[string]*script.Script{"enqueue": s.enqueue, "append": s.append, "attach": s.attach, "read": s.read,
		"unsettled": s.unsettled, "settle": s.settle, "peek": s.peek, "waiting": s.waiting, "remove": s.remove,
		"withdraw": s.withdraw, "acquaint": s.acquaint, "reach": s.reach, "heal": s.heal, "claim": s.claim}[name].Hash()
}

// RunPurges works off the purges that are due.
func (boxes *Inboxes) RunPurges(ctx context.Context) error { return boxes.runPurges(ctx) }

// Peek runs the script peek on the inbox of uid, and RunWaiting the script waiting.
func (boxes *Inboxes) Peek(ctx context.Context, uid string) error {
	_, err := boxes.runScript(ctx, boxes.call(boxes.scripts.peek, uid))
	return err
}

func (boxes *Inboxes) RunWaiting(ctx context.Context, uid string) error {
	_, err := boxes.runScript(ctx, boxes.call(boxes.scripts.waiting, uid))
	return err
}

// CompareInTurns is compareInTurns.
var CompareInTurns = compareInTurns

// CompareTurn is compareTurn.
var CompareTurn = compareTurn

// WaitCalls waits for the calls to Redis that run in the background.
func (boxes *Inboxes) WaitCalls(ctx context.Context) { boxes.runner.Wait(ctx) }
