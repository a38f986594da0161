-- waiting returns {number of waiting messages, id of the first of them or ''}. The search for the first stops after
-- 2,000 entries; the id is then a lower bound.
forget_marked()
commit(false)
local count = redis.call('HLEN', pending_key)
if count == 0 then return {0, ''} end
local from = settled
for _ = 1, 20 do
  local entries = redis.call('XRANGE', inbox_key, '(' .. from, '+', 'COUNT', 100)
  for _, entry in ipairs(entries) do
    from = entry[1]
    if awaits_ack(entry[2][2]) then return {count, from} end
  end
  if #entries < 100 then break end
end
return {count, from}
