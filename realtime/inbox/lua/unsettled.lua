-- unsettled returns {epoch, settled, last, more ("1" or "0"), entries in (settled, to], removals, whether removed
-- messages are kept ("1" or "0")}. First it restores the removed messages that the devices have whose acks it gets.
local removed_key = KEYS[#KEYS]
local to       = ARGV[4]
local limit    = tonumber(ARGV[5])
local of_epoch = ARGV[6]
-- ARGV[7..]: for each ack its id, seen, base and held
save()
forget_marked()
if of_epoch == epoch then
  for i = 7, #ARGV, 4 do
    if not before(last, ARGV[i]) then restore_held(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
  end
end
commit(true)
local kept = removals > 0 and redis.call('HLEN', removed_key) > 1 and '1' or '0'
if not before(settled, to) then return {epoch, settled, last, '0', {}, whole(removals), kept} end
local entries = redis.call('XRANGE', inbox_key, '(' .. settled, to, 'COUNT', limit)
return {epoch, settled, last, #entries == limit and '1' or '0', entries, whole(removals), kept}
