package verdict

import (
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// strand makes m3 reach a device of its recipient before Redis is lost.
func strand(h history) history {
	i := slices.IndexFunc(h, func(e record.Entry) bool { return e.Kind == record.Wiped })
	return slices.Insert(h, i, entryOf(record.Shown, "bob1", newMessage(3, "ann", "bob")))
}

// A message that was on a screen when Redis and its sender were lost stays there, and is counted apart.
func TestStranded(t *testing.T) {
	keep := func(h history) history { // on bob1, to the end
		m := newMessage(3, "ann", "bob")
		for i := range h {
			if h[i].Kind == record.View && h[i].Device == "bob1" {
				h[i].Lines = append(slices.Clone(h[i].Lines), lineOf(m))
			}
		}
		return h
	}
	if r := Judge(keep(strand(exceptedHistory()))); !r.Clean() || r.Stranded != 1 || r.Excepted != 0 {
		t.Errorf("%d stranded, %d excepted: %+v", r.Stranded, r.Excepted, r.Findings)
	}
	without := map[string]record.Kind{"Redis lost nothing": record.Wiped, "its sender came back": record.Left}
	for name, kind := range without {
		h := slices.DeleteFunc(keep(strand(exceptedHistory())), func(e record.Entry) bool { return e.Kind == kind })
		if r := Judge(h); r.Counts[Lost] == 0 || r.Stranded != 0 {
			t.Errorf("%s: %d lost, %d stranded", name, r.Counts[Lost], r.Stranded)
		}
	}
}

// A message to a user who does not exist must be refused for good, and its sender must know.
func TestRecipientDoesNotExist(t *testing.T) {
	toDeletedUser := func(end string) *Report {
		h := cleanHistory()
		m := newMessage(4, "ann", "eve")
		m.Conversation = "ann~eve"
		h.add(typedEntry("ann1", m))
		h.add(entryOf(record.Frozen, "ann1", m))
		h.state("ann1", m, "sent")
		h.add(record.Entry{Kind: record.Erased, User: "eve"})
		if end != "" {
			h.refused("ann1", m, end)
		}
		return Judge(h)
	}
	if r := toDeletedUser("recipient_unknown"); !r.Clean() || r.Undeliverable != 1 {
		t.Errorf("refused: %+v", r)
	}
	if r := toDeletedUser(""); r.Counts[Lost] != 1 || r.Undeliverable != 0 {
		t.Errorf("not refused: %+v", r.Counts)
	}
	if r := toDeletedUser("withdrawn"); r.Counts[Refused] != 1 || r.Undeliverable != 0 {
		t.Errorf("refused for another reason: %+v", r.Counts)
	}
	h := cleanHistory()
	h.refused("ann1", newMessage(3, "ann", "bob"), "recipient_unknown")
	if r := Judge(h); r.Counts[Refused]+r.Counts[Backwards] == 0 {
		t.Error("a refusal of a message to an existing user was not found")
	}
}

// The waiting messages of a user are withdrawn. Each may be refused, unless a device of the recipient has it.
func TestWithdrawnMessages(t *testing.T) {
	withdrawn := func(stored bool) *Report {
		h := cleanHistory()
		m := newMessage(4, "ann", "bob")
		h.add(typedEntry("ann1", m))
		h.add(entryOf(record.Frozen, "ann1", m))
		h.state("ann1", m, "sent")
		if stored {
			h.add(entryOf(record.Shown, "bob1", m))
		}
		h.add(record.Entry{Kind: record.Withdrawn, User: "ann"})
		h.refused("ann1", m, "withdrawn")
		return Judge(h)
	}
	if r := withdrawn(false); r.Counts[Refused]+r.Counts[Lost] != 0 || r.Withdrawn != 1 {
		t.Errorf("nobody has it: %+v", r)
	}
	if r := withdrawn(true); r.Counts[Refused] != 1 || r.Withdrawn != 0 {
		t.Errorf("a device has it: %+v", r)
	}
}

// The report has the checks of faults, and counts those that failed.
func TestChecks(t *testing.T) {
	h := cleanHistory()
	h.add(record.Entry{Kind: record.Checked, Name: "flood: named", Detail: "rate_limited"})
	if r := Judge(h); !r.Clean() || len(r.Checks) != 1 {
		t.Errorf("%+v", r)
	}
	h.add(record.Entry{Kind: record.Checked, Name: "flood: bounded", Detail: "unbounded", Broken: true})
	if r := Judge(h); r.Clean() || r.Counts[BadInput] != 1 || len(r.Checks) != 2 {
		t.Errorf("%+v", r)
	}
}

// In a run that ended while messages still arrived, a missing message is backlog and not loss, unless nobody would
// send it again.
func TestBacklogIsNotLoss(t *testing.T) {
	cut := func(state string, unfinished bool) *Report {
		h := cleanHistory()
		m := newMessage(4, "ann", "bob")
		h.add(typedEntry("ann1", m))
		h.add(entryOf(record.Frozen, "ann1", m))
		if state != "" {
			h.state("ann1", m, state)
		}
		if unfinished {
			h.add(record.Entry{Kind: record.Unfinished})
		}
		return Judge(h)
	}
	for _, state := range []string{"", "sent"} {
		if r := cut(state, true); r.Clean() || r.Counts[Backlog] != 1 || r.Counts[Lost]+r.Counts[Unsent] != 0 {
			t.Errorf("cut short with state %q: %v", state, r.Counts)
		}
		if r := cut(state, false); r.Counts[Backlog] != 0 || r.Counts[Lost]+r.Counts[Unsent] != 1 {
			t.Errorf("stuck with state %q: %v", state, r.Counts)
		}
	}
	if r := cut("delivered", true); r.Counts[Lost] != 1 || r.Counts[Backlog] != 0 {
		t.Errorf("shown as delivered, and not shown to the recipient: %v", r.Counts)
	}
}

// A message of a user who was disabled or blocked may be refused, unless a device of the recipient has it.
func TestWithdrawn(t *testing.T) {
	judged := func(withdrawn, shown bool) *Report {
		h := cleanHistory()
		m := newMessage(4, "ann", "bob")
		h.add(typedEntry("ann1", m))
		h.add(entryOf(record.Frozen, "ann1", m))
		h.state("ann1", m, "sent")
		if withdrawn {
			h.add(record.Entry{Kind: record.Withdrawn, User: "ann"})
		}
		if shown {
			h.shown("bob1", "event", m)
		}
		h.refused("ann1", m, "withdrawn")
		return Judge(h)
	}
	if r := judged(true, false); r.Counts[Refused] != 0 || r.Withdrawn != 1 {
		t.Errorf("withdrawn: %v, %d withdrawn", r.Counts, r.Withdrawn)
	}
	if r := judged(true, true); r.Counts[Refused] != 1 {
		t.Errorf("withdrawn, but shown: %v", r.Counts)
	}
	if r := judged(false, false); r.Counts[Refused] != 1 {
		t.Errorf("refused without a reason: %v", r.Counts)
	}
}
