-- settle raises settled to an id up to which everything is published and reported to the senders. It returns
-- {result, settled, removals}, where result is settled, moved (another instance has settled in the meantime: read the
-- list again) or epoch (the inbox has another epoch, in which the list means nothing). A message on the list that was
-- removed in the meantime is restored, for the owner's other devices.
local removed_key = KEYS[#KEYS]
local of_epoch = ARGV[4]
local expected = ARGV[5] -- settled when the list was read
local to       = ARGV[6] -- end of the list
-- ARGV[7..]: for each message on the list its field of pending and its stream id

if of_epoch ~= epoch or before(last, to) then return {'epoch', settled, whole(removals)} end
if removals > 0 then
  for i = 8, #ARGV, 2 do
    local value = redis.call('HGET', removed_key, ARGV[i])
    if value then restore(ARGV[i], value) end
  end
  commit(true)
end
if not before(settled, to) then return {'settled', settled, whole(removals)} end
if settled ~= expected then return {'moved', settled, whole(removals)} end
clear({unpack(ARGV, 7)})
settled = to
changed.settled = settled
-- Nothing can wait above the newest event, so any record that is left belongs to a message that no longer exists.
if not before(settled, last) then forget_waiting() end
trim(128, 0)
commit(true)
return {'settled', settled, whole(removals)}
