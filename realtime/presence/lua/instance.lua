-- instance stores how many sockets an instance has, deletes expired reports, and returns all others.
local instances_key = KEYS[1] -- hash: instance -> "<expiry ms> <sockets> <renewed ms>"
local instance      = ARGV[1]
local expire_ms     = tonumber(ARGV[2])
local sockets       = ARGV[3] -- "" removes the instance

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local all = redis.call('HGETALL', instances_key)
for i = 1, #all, 2 do
  if tonumber(string.match(all[i + 1], '^%d+') or 0) <= now_ms then redis.call('HDEL', instances_key, all[i]) end
end
if sockets == '' then
  redis.call('HDEL', instances_key, instance)
else
  redis.call('HSET', instances_key, instance, string.format('%.0f %s %.0f', now_ms + expire_ms, sockets, now_ms))
  redis.call('PEXPIRE', instances_key, expire_ms)
end
return redis.call('HGETALL', instances_key)
