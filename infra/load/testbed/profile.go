package testbed

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// Profile writes a CPU profile of each instance to the file prefix-N.pprof. It returns after the given time, which is
// rounded up to whole seconds. A build without a probe cannot be profiled.
func (tb *Testbed) Profile(ctx context.Context, prefix string, over time.Duration) error {
	if !tb.Probed() {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, in := range tb.instances {
		group.Go(func() error {
			url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", in.probe, math.Ceil(over.Seconds()))
			body, err := tb.get(ctx, url)
			if err != nil {
				return err
			}
			defer body.Close()
			f, err := os.Create(fmt.Sprintf("%s-%d.pprof", prefix, i+1))
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(f, body)
			return err
		})
	}
	return group.Wait()
}
