-- settle raises settled to an id up to which everything is published and reported to the senders. It returns
-- {result, settled, removals}, where result is settled, moved (another instance has settled in the meantime: read the
-- list again) or epoch (the inbox has another epoch, in which the list means nothing). A message on the list that was
-- removed in the meantime is restored, for the owner's other devices.
local removed_key = KEYS[#KEYS]
local of_epoch = ARGV[4]
local expected = ARGV[5] -- where the list begins: at settled, or after it if only receipts lie between
local to       = ARGV[6] -- end of the list
-- ARGV[7..]: for each message on the list its field of pending and its stream id

if of_epoch ~= epoch or before(last, to) then return {'epoch', settled, whole(removals)} end
if removals > 0 then
  for i = 8, #ARGV, 2 do
    local value = redis.call('HGET', removed_key, ARGV[i])
    if value then restore(ARGV[i], value) end
  end
end
forget_marked()
local result = 'settled'
if before(settled, to) then
  if before(expected, settled) then
    result = 'moved'
  else
    forget(to)
  end
end
commit(true)
return {result, settled, whole(removals)}
