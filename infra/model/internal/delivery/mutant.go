package delivery

import "strings"

// Mutant is a set of rules that a model breaks on purpose. The tests show for each mutant that the model finds a
// violation, so a model without one is known to be able to fail. They also say what each rule is for.
type Mutant uint64

// The mutants. Mutants lists what each of them does.
const (
	MarkBeforePublish Mutant = 1 << iota
	ReportBeforePublish
	PublishBeforeAck
	SentFrameBeforeCopy
	AckNotCumulative
	AckOfAnyEpoch
	CursorOfAnyEpoch
	MarkBeforeReport
	MarkOfAnyEpoch
	MarkFalls
	WithdrawIgnoresMark
	DevicesFromMemory
	TrimWaitingMessages
	ReadIgnoresFloor
	SkipToNewest
	CaughtUpAtLast
	ServerChoosesTime
	SendOnce
	NoAckOfRepeated
	ForgetEarlyReceipt
	GapNotStored
	BackfillOnce
	NoBackfillRetry
	RemoveBeforeRefuse
	RemovalSettles
	ForgetRemoved
	CursorProvesRemoved
	RefusedOverridesDelivered
	SettleLeavesRemoved
	WithdrawRestored
	ClaimForgotten
	KeyWithoutSender
)

// MutantInfo describes one mutant.
type MutantInfo struct {
	Mutant Mutant
	Name   string // of the flag -mutant
	Does   string
}

// Mutants lists all mutants.
var Mutants = []MutantInfo{
	{MarkBeforePublish, "mark-before-publish", "an inbox is marked before its messages are published"},
	{ReportBeforePublish, "report-before-publish", "senders get the delivered event before the messages are published"},
	{PublishBeforeAck, "publish-before-ack", "a message is published for saving when it is queued"},
	{SentFrameBeforeCopy, "sent-before-copy", "the sent frame goes out before the sent event is appended"},
	{AckNotCumulative, "ack-not-cumulative", "an ack covers one event instead of everything up to it"},
	{AckOfAnyEpoch, "ack-of-any-epoch", "an ack of another epoch counts"},
	{CursorOfAnyEpoch, "cursor-of-any-epoch", "a hello with a cursor of another epoch resumes, and counts as an ack"},
	{MarkBeforeReport, "mark-before-report", "an inbox is marked before its messages are reported to their senders"},
	{MarkOfAnyEpoch, "mark-of-any-epoch", "a mark of another epoch counts"},
	{MarkFalls, "mark-falls", "a mark replaces a higher one of the same epoch"},
	{WithdrawIgnoresMark, "withdraw-ignores-mark", "a message that is published can be withdrawn until it is forgotten"},
	{DevicesFromMemory, "devices-from-memory", "the sender's devices are read before the message is queued"},
	{TrimWaitingMessages, "trim-waiting", "trimming removes messages that wait"},
	{ReadIgnoresFloor, "read-ignores-floor", "the floor is compared when a socket attaches, and not when it reads"},
	{SkipToNewest, "skip-to-newest", "a device that cannot resume continues behind the newest event"},
	{CaughtUpAtLast, "caught-up-at-last", "a socket has caught up only at the newest ID, even if that event is trimmed"},
	{ServerChoosesTime, "server-chooses-time", "the instance chooses the sort key instead of the sending device"},
	{SendOnce, "send-once", "a device sends a message only once, even if it was lost"},
	{NoAckOfRepeated, "no-ack-of-repeated", "a device does not acknowledge messages that it gets again"},
	{ForgetEarlyReceipt, "forget-early-receipt", "a delivered event that precedes its message is forgotten"},
	{GapNotStored, "gap-not-stored", "a reload forgets that history must be loaded"},
	{BackfillOnce, "backfill-once", "after a gap, history is loaded once and not again later"},
	{NoBackfillRetry, "no-backfill-retry", "a message that history does not have yet is not looked for again"},
	{RemoveBeforeRefuse, "remove-before-refuse", "a message is removed before its sender gets the refused event"},
	{RemovalSettles, "removal-settles", "a removal raises settled to the removed message"},
	{ForgetRemoved, "forget-removed", "a removed message is not kept for devices that have it already"},
	{CursorProvesRemoved, "cursor-proves-removed", "a cursor above a removed message proves that the device has it"},
	{RefusedOverridesDelivered, "refused-overrides", "a refused event overrides an earlier delivered event"},
	{SettleLeavesRemoved, "settle-leaves-removed", "a message that is removed after it was published is not restored"},
	{WithdrawRestored, "withdraw-restored", "a restored message is withdrawn again"},
	{ClaimForgotten, "claim-forgotten", "a socket that passes a removed message forgets which ones its device has"},
	{KeyWithoutSender, "key-without-sender", "the archive is keyed by id alone, and the reply has the id of its question"},
}

func (m *Model) breaks(rule Mutant) bool { return m.Mutant&rule != 0 }

// String returns the names of the mutants in m.
func (m Mutant) String() string {
	var names []string
	for _, info := range Mutants {
		if m&info.Mutant != 0 {
			names = append(names, info.Name)
		}
	}
	return strings.Join(names, ",")
}
