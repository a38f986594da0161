-- state returns {1 if the user is connected to an instance, else 0; ms until the last lease expires; last seen or '';
-- whom the user has blocked, as JSON, or '' if Redis does not have the gate; the words of privacy; for each watcher what
-- peers holds, or ''}.
local presence_key = KEYS[1] -- sorted set: instance -> when its lease expires, ms; see join
local seen_key     = KEYS[2] -- string: when the user was last seen, microseconds
local gate_key     = KEYS[3] -- hash: the gate of the user
local peers_key    = KEYS[4] -- hash: uid of another user = 1 if the user has written to them, 2 for the reverse, or 3
-- ARGV: uids of watchers

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local newest = redis.call('ZREVRANGE', presence_key, 0, 0, 'WITHSCORES')
local left = newest[2] and math.floor(tonumber(newest[2])) - now_ms or 0
local seen = redis.call('GET', seen_key)
local gate = redis.call('HMGET', gate_key, 'blocked', 'privacy')
local peers = {}
if #ARGV > 0 then
  peers = redis.call('HMGET', peers_key, unpack(ARGV))
  for i = 1, #ARGV do peers[i] = peers[i] or '' end
end
return {left > 0 and 1 or 0, math.max(left, 0), seen or '', gate[1] or '', gate[2] or '', peers}
