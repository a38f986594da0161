-- remove deletes the inbox of a deleted user, unless an event was added since the caller read its newest event, or a
-- message waits. It returns 1 or 0.
local removed_key = KEYS[#KEYS]
local reach_key = KEYS[6]
local devices_key = KEYS[7]
local of_epoch  = ARGV[4]
local seen      = ARGV[5] -- last, as the caller read it
forget_marked()
commit(false)
if of_epoch ~= epoch or seen ~= last or redis.call('EXISTS', pending_key) == 1 then return 0 end
redis.call('DEL', inbox_key, meta_key, pending_key, peers_key, marked_key, reach_key, removed_key, devices_key)
return 1
