-- reach tells whether its owner may write to another user, without changing anything. It returns known (they have
-- written to each other, or the user is counted already), room, or full.
local peers_key = KEYS[1]
local reach_key = KEYS[2]
local to        = ARGV[1]
local max       = tonumber(ARGV[2]) -- new people a day
if redis.call('HEXISTS', peers_key, to) == 1 or redis.call('HEXISTS', reach_key, to) == 1 then return 'known' end
return redis.call('HLEN', reach_key) < max and 'room' or 'full'
