package settle_test

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
)

// faultHook loses calls before, or answers after, they were done.
type faultHook struct {
	w    *world
	gone chan struct{} // closed when the instance is killed
}

var errFault = &net.OpError{Op: "read", Err: errors.New("injected fault")}

// lose has calls that append such events, or settle, lost until it is called again.
func (w *world) lose(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losing = what
}

// loses reports whether cmd is one that is lost now.
func (w *world) loses(cmd redis.Cmder) bool {
	args := cmd.Args() // evalsha hash 3 keys... 8 common arguments, then the script's own
	if len(args) < 15 || args[2] != 3 {
		return false
	}
	kind, _ := args[14].(string)
	if w.losing == "settle" {
		return len(args) >= 17 && kind != "" && args[15] != nil && isID(args[15]) && isID(args[16])
	}
	return w.losing != "" && kind == w.losing
}

func isID(v any) bool {
	s, _ := v.(string)
	_, err := inbox.ParseID(s)
	return err == nil
}

func (h *faultHook) fail(cmds ...redis.Cmder) (before, after bool) {
	select {
	case <-h.gone:
		return true, true
	default:
	}
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	for _, c := range cmds {
		if h.w.loses(c) {
			return true, false
		}
	}
	if h.w.faults == 0 || h.w.rng.Float64() >= h.w.faults {
		return false, false
	}
	before = h.w.rng.IntN(2) == 0
	return before, !before
}

func (h *faultHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *faultHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		before, after := h.fail(cmd)
		if before {
			cmd.SetErr(errFault)
			return errFault
		}
		err := next(ctx, cmd)
		if after {
			cmd.SetErr(errFault)
			return errFault
		}
		return err
	}
}

func (h *faultHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		before, after := h.fail(cmds...)
		if !before {
			err := next(ctx, cmds)
			if !after {
				return err
			}
		}
		for _, c := range cmds {
			c.SetErr(errFault)
		}
		return errFault
	}
}
