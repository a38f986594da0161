-- fill stores a gate that was read from its source, unless Redis has one. A gate in Redis is newer, because changes are
-- written to the source first. Returns {exists, disabled, valid_after, ended, blocked,
-- signed_out, push, limited_until, privacy, unverified} as stored.
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

if redis.call('EXISTS', gate_key) == 0 then
  redis.call('HSET', gate_key, 'exists', exists, 'disabled', disabled, 'valid_after', valid_after, 'ended', ended,
    'blocked', blocked, 'signed_out', signed_out, 'push', push, 'limited_until', limited, 'privacy', privacy,
    'unverified', unverified)
  redis.call('PEXPIRE', gate_key, expire_ms)
end
return redis.call('HMGET', gate_key, 'exists', 'disabled', 'valid_after', 'ended', 'blocked', 'signed_out', 'push',
  'limited_until', 'privacy', 'unverified')
