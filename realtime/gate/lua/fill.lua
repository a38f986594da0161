-- fill stores a gate that was read from its source, unless one stands: what
-- stands is newer, since changes are written here after the source. Answers
-- {exists, disabled, valid_after, blocked} as they stand.
local gate_key    = KEYS[1]
local exists      = ARGV[1] -- "1" or "0"
local disabled    = ARGV[2] -- "1" or "0"
local valid_after = ARGV[3] -- microseconds
local blocked     = ARGV[4] -- JSON array of uids
local expire_ms   = ARGV[5]

if redis.call('EXISTS', gate_key) == 0 then
  redis.call('HSET', gate_key, 'exists', exists, 'disabled', disabled, 'valid_after', valid_after, 'blocked', blocked)
  redis.call('PEXPIRE', gate_key, expire_ms)
end
return redis.call('HMGET', gate_key, 'exists', 'disabled', 'valid_after', 'blocked')
