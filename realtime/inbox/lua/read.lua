-- read returns {epoch, floor, last, settled, more ("1" or "0"), entries} from one moment.
local at_epoch  = ARGV[12]            -- epoch of the reader's position
local at_id     = ARGV[13]            -- stream id of the position; ignored if the epoch is another one
local limit     = tonumber(ARGV[14]) -- at most this many entries
local max_bytes = tonumber(ARGV[15]) -- at most this many bytes of events, but at least one entry

save()
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
return {epoch, floor, last, settled, more and '1' or '0', entries}
