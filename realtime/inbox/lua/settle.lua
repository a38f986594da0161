-- settle raises acked to what was published and told to the senders. Answers
-- {word, acked}: settled, moved (another settled meanwhile: take the list anew),
-- epoch (another life: nothing is known of it).
local of_epoch = ARGV[9]
local began    = ARGV[10] -- acked when the list was taken
local to       = ARGV[11] -- the list's end
-- ARGV[12..]: field of pending and stream id of each message on the list

if of_epoch ~= epoch or before(last, to) then return {'epoch', acked} end
if not before(acked, to) then return {'settled', acked} end
if acked ~= began then return {'moved', acked} end
for i = 12, #ARGV, 2 do clear(ARGV[i], ARGV[i + 1]) end
acked = to
exceed()
redis.call('HSET', meta_key, 'acked', acked)
-- Nothing can wait above the last event: a record that is left is of none.
if not before(acked, last) then forget_waiting() end
trim(128)
touch()
return {'settled', acked}
