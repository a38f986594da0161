package load

import (
	"context"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// recordHistory returns h, and records each page that a device reads from it.
func (c *Crowd) recordHistory(device string, h client.History) client.History {
	return &recordedHistory{History: h, crowd: c, device: device}
}

type recordedHistory struct {
	client.History
	crowd  *Crowd
	device string
}

// Messages implements client.History. A request that fails has no second entry.
func (h *recordedHistory) Messages(
	ctx context.Context, conversation, before string, limit int,
) (client.Page, error) {
	e := record.Entry{
		Kind: record.Asked, Device: h.device, Conversation: conversation, Name: before, Call: h.crowd.calls.Add(1),
	}
	h.crowd.log.Add(e)
	page, err := h.History.Messages(ctx, conversation, before, limit)
	if err != nil {
		return page, err
	}
	e.Kind, e.More = record.Page, page.Before != ""
	for _, m := range page.Messages {
		e.Lines = append(e.Lines, lineOf(m))
	}
	h.crowd.log.Add(e)
	return page, nil
}

// lineOf returns a message as a line of a record.
func lineOf(m chat.Message) record.Line {
	return record.Line{ID: m.Key(), At: m.At, Sum: record.SumOf(m), Text: record.TextOf(m)}
}
