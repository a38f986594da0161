package presence

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Instance is what an instance last reported about itself.
type Instance struct {
	ID      string    `json:"id"`
	Sockets int       `json:"sockets"`
	Renewed time.Time `json:"renewed"`
}

// reportInstance stores the number of this instance's sockets ("" removes the instance), and returns the reports of all
// instances.
func (p *Presence) reportInstance(ctx context.Context, sockets string) (any, error) {
	values, err := p.runScriptsForValues(ctx, []script.Call{{Script: instanceScript, Keys: []string{instancesKey},
		Args: []any{p.instance, p.opts.tuning.Expire.Milliseconds(), sockets}}})
	return values[0], err
}

// Instances returns all instances whose reports have not expired, ordered by id, with the current number of this
// instance's sockets. The error is problem.ErrUnavailable.
func (p *Presence) Instances(ctx context.Context) ([]Instance, error) {
	v, err := p.reportInstance(ctx, strconv.Itoa(p.opts.Sockets()))
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	var all []Instance
	for i := 0; i+1 < len(list); i += 2 {
		id, _ := list[i].(string)
		report, _ := list[i+1].(string)
		if in, ok := parseInstance(id, report); ok {
			all = append(all, in)
		}
	}
	slices.SortFunc(all, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// parseInstance parses "<expiry ms> <sockets> <renewed ms>".
func parseInstance(id, report string) (Instance, bool) {
	part := strings.Fields(report)
	if len(part) != 3 {
		return Instance{}, false
	}
	sockets, err := strconv.Atoi(part[1])
	ms, err2 := strconv.ParseInt(part[2], 10, 64)
	return Instance{id, sockets, time.UnixMilli(ms).UTC()}, err == nil && err2 == nil
}
