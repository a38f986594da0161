package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/internal/redisinfo"
	"github.com/phoenixchat/phoenixchat/infra/load/probe"
)

// Usage is what the processes of a system have used since they started. CPU times are in seconds, sizes in bytes.
type Usage struct {
	Instances, Redis, Sink, Generator float64 // CPU time

	InstancesRSS, RedisRSS float64

	Objects, Bytes float64 // allocated by the instances; 0 if the build has no probe

	Scripts      float64 // that Redis ran
	Calls        float64 // that scripts made; see redisinfo.Stats.Inside
	RedisTraffic float64 // bytes to and from Redis
	RedisReads   float64 // times that Redis read from a connection: about one for each round trip
}

// Sub returns what was used since the earlier u0. Memory is the difference too.
func (u Usage) Sub(u0 Usage) Usage {
	return Usage{
		Instances: u.Instances - u0.Instances, Redis: u.Redis - u0.Redis,
		Sink: u.Sink - u0.Sink, Generator: u.Generator - u0.Generator,
		InstancesRSS: u.InstancesRSS - u0.InstancesRSS, RedisRSS: u.RedisRSS - u0.RedisRSS,
		Objects: u.Objects - u0.Objects, Bytes: u.Bytes - u0.Bytes,
		Scripts: u.Scripts - u0.Scripts, Calls: u.Calls - u0.Calls,
		RedisTraffic: u.RedisTraffic - u0.RedisTraffic, RedisReads: u.RedisReads - u0.RedisReads,
	}
}

// Probed reports whether Usage has allocations.
func (tb *Testbed) Probed() bool { return tb.opts.Build.Probed }

// Usage reads what all processes have used so far. It reads /proc, so it works on Linux only.
func (tb *Testbed) Usage(ctx context.Context) (u Usage, err error) {
	for _, in := range tb.instances {
		p, err := readProcess(in.child.Pid())
		if err != nil {
			return u, err
		}
		u.Instances += p.cpu
		u.InstancesRSS += p.rss
		if in.probe != "" {
			var f probe.Figures
			if err := tb.fetch(ctx, "http://"+in.probe+"/", &f); err != nil {
				return u, err
			}
			u.Objects += float64(f.Objects)
			u.Bytes += float64(f.Bytes)
		}
	}
	p, err := readProcess(tb.redis.Pid())
	if err != nil {
		return u, err
	}
	u.Redis, u.RedisRSS = p.cpu, p.rss
	if tb.sink != nil {
		if p, err = readProcess(tb.sink.Pid()); err != nil {
			return u, err
		}
		u.Sink = p.cpu
	}
	if p, err = readProcess(os.Getpid()); err != nil {
		return u, err
	}
	u.Generator = p.cpu
	return u, tb.readRedis(ctx, &u)
}

// process is what Linux says about a process.
type process struct {
	cpu float64 // seconds, of all threads
	rss float64 // bytes
}

// ticks is the number of clock ticks in a second in /proc. Linux has the same on all platforms that Go supports.
const ticks = 100

// readProcess reads /proc/PID/stat; see proc_pid_stat(5).
func readProcess(pid int) (process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, fmt.Errorf("read CPU time and memory: %w", err)
	}
	// The name, the second field, is in parentheses and may contain spaces. The state, the third, follows.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const utime, stime, rss = 14 - 3, 15 - 3, 24 - 3
	if len(fields) <= rss {
		return process{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var v [3]float64
	for i, n := range []int{utime, stime, rss} {
		if v[i], err = strconv.ParseFloat(fields[n], 64); err != nil {
			return process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	return process{cpu: (v[0] + v[1]) / ticks, rss: v[2] * float64(os.Getpagesize())}, nil
}

// readRedis reads the statistics of Redis.
func (tb *Testbed) readRedis(ctx context.Context, u *Usage) error {
	s, err := redisinfo.Read(ctx, tb.rdb)
	if err != nil {
		return err
	}
	u.Scripts, u.Calls = s.Scripts(), s.Inside()
	in, err := s.Number("total_net_input_bytes")
	out, err1 := s.Number("total_net_output_bytes")
	reads, err2 := s.Number("total_reads_processed")
	u.RedisTraffic, u.RedisReads = in+out, reads
	return errors.Join(err, err1, err2)
}
