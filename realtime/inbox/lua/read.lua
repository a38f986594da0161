-- read returns {epoch, floor, last, settled, more ("1" or "0"), entries, seen, base, held} from one moment. The last
-- three belong to the cursors of these entries; see removed.lua.
local at_epoch  = ARGV[4]            -- epoch of the reader's position
local at_id     = ARGV[5]            -- stream id of the position; ignored if the epoch is another one
local limit     = tonumber(ARGV[6]) -- at most this many entries
local max_bytes = tonumber(ARGV[7]) -- at most this many bytes of events, but at least one entry
-- ARGV[8..10]: seen, base and held of the position

save()
commit(false)
if at_epoch ~= epoch then at_id = '0-0' end
local entries = redis.call('XRANGE', inbox_key, '(' .. at_id, '+', 'COUNT', limit)
local more = #entries == limit
local bytes = 0
for i, entry in ipairs(entries) do
  for _, value in ipairs(entry[2]) do bytes = bytes + #value end
  if bytes > max_bytes and i > 1 then
    for j = #entries, i, -1 do entries[j] = nil end
    more = true
    break
  end
end
local claim
if at_epoch ~= epoch then
  claim = {whole(removals), whole(removals), '0-0'}
else
  claim = pass(at_id, more and entries[#entries][1] or last, ARGV[8], ARGV[9], ARGV[10])
end
return {epoch, floor, last, settled, more and '1' or '0', entries, claim[1], claim[2], claim[3]}
