-- changed stores a gate, whatever Redis has, and notifies all instances. Its first write is a deletion, so that a full
-- Redis does not refuse it.
local gate_key    = KEYS[1]
local exists      = ARGV[1] -- "1" or "0"
local disabled    = ARGV[2] -- "1" or "0"
local valid_after = ARGV[3] -- microseconds
local ended       = ARGV[4] -- JSON array of sign-in times in seconds
local blocked     = ARGV[5] -- JSON array of uids
local signed_out  = ARGV[6] -- JSON array of sign-in times in seconds
local push        = ARGV[7] -- "1" or "0"
local limited     = ARGV[8] -- microseconds
local privacy     = ARGV[9] -- words; see encodePrivacy
local unverified  = ARGV[10] -- "1" or "0"
local expire_ms   = ARGV[11]
local channel     = ARGV[12]
local uid         = ARGV[13]

redis.call('DEL', gate_key)
redis.call('HSET', gate_key, 'exists', exists, 'disabled', disabled, 'valid_after', valid_after, 'ended', ended,
  'blocked', blocked, 'signed_out', signed_out, 'push', push, 'limited_until', limited, 'privacy', privacy,
  'unverified', unverified)
redis.call('PEXPIRE', gate_key, expire_ms)
redis.call('PUBLISH', channel, uid)
return 1
