-- settle raises settled to what was published and told to the senders. Answers
-- {word, settled}: settled, moved (another settled meanwhile: take the list anew),
-- epoch (another life: nothing is known of it).
local of_epoch = ARGV[9]
local began    = ARGV[10] -- settled when the list was taken
local to       = ARGV[11] -- the list's end
-- ARGV[12..]: field of pending and stream id of each message on the list

if of_epoch ~= epoch or before(last, to) then return {'epoch', settled} end
if not before(settled, to) then return {'settled', settled} end
if settled ~= began then return {'moved', settled} end
for i = 12, #ARGV, 2 do clear(ARGV[i], ARGV[i + 1]) end
settled = to
exceed()
redis.call('HSET', meta_key, 'settled', settled)
-- Nothing can wait above the last event: a record that is left is of none.
if not before(settled, last) then forget_waiting() end
trim(128)
touch()
return {'settled', settled}
