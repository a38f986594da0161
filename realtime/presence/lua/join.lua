-- join acquires or renews an instance's lease for a user who is connected to it.
local presence_key = KEYS[1] -- sorted set: instance -> when its lease expires, ms, and 0.5 more if the user looks
local seen_key     = KEYS[2] -- string: when the user was last seen, microseconds
local instance     = ARGV[1]
local expire_ms    = tonumber(ARGV[2])
local keep_seen_ms = ARGV[3]
local channel      = ARGV[4]
local looking      = ARGV[5] == '1' -- somebody looks at a device of the user that is connected to the instance

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', presence_key, '-inf', string.format('%.0f', now_ms))
local was_offline = redis.call('ZCARD', presence_key) == 0
local expires = string.format('%.0f', now_ms + expire_ms)
redis.call('ZADD', presence_key, looking and expires .. '.5' or expires, instance)
redis.call('PEXPIRE', presence_key, expire_ms)
redis.call('SET', seen_key, string.format('%.0f', now_ms * 1000), 'PX', keep_seen_ms)
if was_offline then redis.call('PUBLISH', channel, 'on') end
return 1
