-- attach begins a device's reading, which counts as a use of the inbox. It restores the removed messages that the
-- device has, if it can resume at its cursor. It returns {epoch, floor, last, settled, id of the first entry or '',
-- removals}.
local of_epoch = ARGV[4]
local at_id    = ARGV[5] -- of the cursor; seen, base and held follow
save()
if of_epoch == epoch and not before(at_id, floor) and not before(last, at_id) then
  restore_held(at_id, ARGV[6], ARGV[7], ARGV[8])
end
commit(true)
redis.call('PEXPIRE', peers_key, peers_ms)
local first = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', 1)[1]
return {epoch, floor, last, settled, first and first[1] or '', whole(removals)}
