package inbox

import (
	"context"
	"strconv"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// A user with one device needs no sent events. devices:{uid} says which devices have attached. It outlives the inbox: a
// device that comes back finds what it has missed in history, except messages that still wait.
const (
	keepDevices = 31 * 24 * time.Hour // longer than a message may wait
	maxDevices  = 16                  // since clients choose their names; a user who has so many is never alone
)

// runWithDevices runs the script that queues a message, and reads the devices of its sender after it, in the same round
// trip unless they are on another node. The order matters: a device that attaches later than the message is queued
// learns of it when it is delivered, and one that attached before gets the sent event.
func (boxes *Inboxes) runWithDevices(ctx context.Context, c script.Call, sender, device string) []script.Result {
	if device == "" || boxes.runner.IsCluster() {
		return boxes.run(ctx, c)
	}
	read := readDevices(sender)
	read.After = true
	return boxes.run(ctx, c, read)
}

func readDevices(uid string) script.Call {
	return script.Call{Command: "HGETALL", Keys: []string{devicesKey(uid)}}
}

// alone reports whether no device of a user except the given one has attached within the time that a message may wait.
// results is of runWithDevices. If the devices cannot be read, the answer is no, which is always safe.
func (boxes *Inboxes) alone(ctx context.Context, results []script.Result, uid, device string) bool {
	if device == "" {
		return false
	}
	var r script.Result
	if len(results) > 1 {
		r = results[1]
	} else {
		r = boxes.run(ctx, readDevices(uid))[0]
	}
	since := boxes.opts.Now().Add(-keepDevices).UnixMilli()
	known := false
	other := func(name string, at any) bool {
		if name == device {
			known = true
			return false
		}
		text, _ := at.(string)
		ms, err := strconv.ParseInt(text, 10, 64)
		return err != nil || ms > since
	}
	all, _ := r.Value.([]any)
	for i := 0; i+1 < len(all); i += 2 {
		text, _ := all[i].(string)
		if other(text, all[i+1]) {
			return false
		}
	}
	// The device itself must be on the list. Otherwise Redis has lost the list, and may have lost others.
	return r.Err == nil && known
}
