-- leave deletes an instance's lease. Watchers receive "off" and look up the state a moment later.
local presence_key = KEYS[1] -- sorted set: instance -> when its lease expires, ms; see join
local seen_key     = KEYS[2] -- string: when the user was last seen, microseconds
local instance     = ARGV[1]
local keep_seen_ms = ARGV[2]
local channel      = ARGV[3]

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local had = redis.call('ZREM', presence_key, instance)
redis.call('ZREMRANGEBYSCORE', presence_key, '-inf', string.format('%.0f', now_ms))
redis.call('SET', seen_key, string.format('%.0f', now_ms * 1000), 'PX', keep_seen_ms)
if had == 1 and redis.call('ZCARD', presence_key) == 0 then redis.call('PUBLISH', channel, 'off') end
return 1
