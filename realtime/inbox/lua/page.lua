-- The part of the scripts that read a page of events.

-- page returns {more ("1" or "0"), entries, seen, base, held}: at most limit entries after an id, with at most max_bytes
-- bytes of events, but at least one entry. The last three belong to the cursors of these entries; see removed.lua.
-- claim has those of the reader's position, or is false if it has none: it is of another epoch, or before all entries.
local function page(at_id, limit, max_bytes, claim)
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
  if claim then
    claim = pass(at_id, more and entries[#entries][1] or last, claim[1], claim[2], claim[3])
  else
    claim = {whole(removals), whole(removals), '0-0'}
  end
  return {more and '1' or '0', entries, claim[1], claim[2], claim[3]}
end
