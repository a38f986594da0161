-- due returns 1 if the use of a sign-in is due to be reported, and remembers that. Each sign-in is due once in keep_ms,
-- and at most max_due sign-ins of a user are.
local signins_key = KEYS[1] -- sorted set: sign-in -> when it was reported, ms
local sign_in     = ARGV[1] -- when the user signed in, s
local keep_ms     = tonumber(ARGV[2])
local max_due     = tonumber(ARGV[3])

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', signins_key, '-inf', string.format('%.0f', now_ms - keep_ms))
if redis.call('ZSCORE', signins_key, sign_in) or redis.call('ZCARD', signins_key) >= max_due then return 0 end
redis.call('ZADD', signins_key, string.format('%.0f', now_ms), sign_in)
redis.call('PEXPIRE', signins_key, keep_ms)
return 1
