-- claim returns a purge that is due, or ''. It makes it due again after the lease, in case that the caller does not
-- finish it.
local purges_key = KEYS[1] -- sorted set: purge -> when its next attempt is due, ms
local now        = ARGV[1]
local again      = ARGV[2] -- end of the lease

local purge = redis.call('ZRANGEBYSCORE', purges_key, '-inf', now, 'LIMIT', 0, 1)[1]
if not purge then return '' end
redis.call('ZADD', purges_key, again, purge)
return purge
