package redisinfo

import "testing"

func TestParse(t *testing.T) {
	s := parse("# Stats\r\ntotal_net_input_bytes:100\r\nslave_expires_tracked_keys:none\r\n" +
		"# Commandstats\r\ncmdstat_evalsha:calls=4,usec=9,usec_per_call=2.25\r\ncmdstat_eval:calls=1,usec=9\r\n" +
		"cmdstat_hget:calls=20,usec=1\r\ncmdstat_xinfo|stream:calls=2,usec=1\r\ncmdstat_client|setinfo:calls=3,usec=1\r\n" +
		"cmdstat_subscribe:calls=2,usec=1\r\n")
	if s.Scripts() != 5 || s.Inside() != 22 {
		t.Errorf("%v scripts and %v calls inside, want 5 and 22", s.Scripts(), s.Inside())
	}
	if n, err := s.Number("total_net_input_bytes"); err != nil || n != 100 {
		t.Errorf("%v, %v", n, err)
	}
	for _, bad := range []string{"total_net_output_bytes", "slave_expires_tracked_keys"} {
		if n, err := s.Number(bad); err == nil {
			t.Errorf("%s is %v", bad, n)
		}
	}
}
