-- remove deletes the inbox of a user who is gone, unless something was added
-- since its last event was looked at. Answers 1 or 0.
local of_epoch = ARGV[9]
local seen     = ARGV[10] -- last when it was looked at
if of_epoch ~= epoch or seen ~= last or redis.call('EXISTS', pending_key) == 1 then return 0 end
redis.call('DEL', inbox_key, meta_key, pending_key)
return 1
