package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// pageRequest is a request of a device for a page of history.
type pageRequest struct {
	crowd *Crowd
	entry record.Entry
}

// asked records that a device begins to request a page of history: the messages before a place, or the newest ones
// if before is "".
func (c *Crowd) asked(device, conversation, before string) *pageRequest {
	e := record.Entry{
		Kind: record.Asked, Device: device, Conversation: conversation, Name: before, Call: c.calls.Add(1),
	}
	c.log.Add(e)
	return &pageRequest{c, e}
}

// got records the page that was returned. A request that fails has no second entry.
func (r *pageRequest) got(messages []delivery.Delivered, more bool) {
	e := r.entry
	e.Kind, e.More = record.Page, more
	for _, m := range messages {
		e.Lines = append(e.Lines, record.LineOf(m.Message, m.Changes))
	}
	r.crowd.log.Add(e)
}

// recordHistory returns h, and records each page that a device reads from it.
func (c *Crowd) recordHistory(device string, h client.History) client.History {
	return &recordedHistory{History: h, crowd: c, device: device}
}

type recordedHistory struct {
	client.History
	crowd  *Crowd
	device string
}

// Messages implements client.History.
func (h *recordedHistory) Messages(
	ctx context.Context, conversation, before string, limit int,
) (client.Page, error) {
	r := h.crowd.asked(h.device, conversation, before)
	page, err := h.History.Messages(ctx, conversation, before, limit)
	if err != nil {
		return page, err
	}
	r.got(page.Messages, page.Before != "")
	return page, nil
}

// answeredPage is a page of history in the answer of a function.
type answeredPage struct {
	Messages []delivery.Delivered `json:"messages"`
	Next     string               `json:"next"`
}

// recordRequest records a request of a device with the browser's engine, if it is one for pages of history, and
// returns the function that records its answer. A look-up of messages by their keys is not a page.
func (c *Crowd) recordRequest(device, target string) func(body []byte) error {
	none := func([]byte) error { return nil }
	u, err := url.Parse(target)
	if err != nil {
		return none
	}
	q := u.Query()
	switch {
	case strings.HasSuffix(u.Path, "/messages/batch"):
		asked := make([]*pageRequest, len(q["page"]))
		for i, page := range q["page"] {
			conversation, before, _ := strings.Cut(page, ",")
			asked[i] = c.asked(device, conversation, before)
		}
		return func(body []byte) error {
			var answer struct {
				Pages []answeredPage `json:"pages"`
			}
			if err := json.Unmarshal(body, &answer); err != nil {
				return err
			}
			if len(answer.Pages) != len(asked) {
				return fmt.Errorf("%d pages of history were returned instead of %d", len(answer.Pages), len(asked))
			}
			for i, page := range answer.Pages {
				asked[i].got(page.Messages, page.Next != "")
			}
			return nil
		}
	case strings.HasSuffix(u.Path, "/messages"):
		r := c.asked(device, q.Get("conversation"), q.Get("before"))
		return func(body []byte) error {
			var page answeredPage
			if err := json.Unmarshal(body, &page); err != nil {
				return err
			}
			r.got(page.Messages, page.Next != "")
			return nil
		}
	}
	return none
}
