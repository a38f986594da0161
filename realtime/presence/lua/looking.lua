-- looking returns 1 if somebody looks at a device of the user that is connected to another instance, else 0.
local presence_key = KEYS[1] -- sorted set: instance -> when its lease expires, ms; see join
local instance     = ARGV[1]

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local leases = redis.call('ZRANGEBYSCORE', presence_key, string.format('%.0f', now_ms), '+inf', 'WITHSCORES')
for i = 1, #leases, 2 do
  if leases[i] ~= instance and tonumber(leases[i + 1]) % 1 > 0 then return 1 end
end
return 0
