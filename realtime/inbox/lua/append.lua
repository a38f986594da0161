-- append adds events other than messages to an inbox, and keeps account of what its owner has sent. It returns
-- {number of events that were not stored, messages, bytes, sends, milliseconds until sends starts again at 0, number of
-- events that were there already}, where the second to the fifth are -1 if the events do not concern them.
--
-- A caller whose call had no answer in time repeats it with the same bytes. The script then adds nothing: out has the
-- message of a sent event, and has no longer those of a delivered or refused event.
local out_key   = KEYS[5]  -- hash: <to>/<message id> = "<bytes> <accepted_at>" of each message of the owner that waits
local reach_key = KEYS[6]  -- hash: uids that the owner has written to today for the first time
-- Constant out_ms: how long out is kept after the last send

local minute = math.floor(now_ms / 60000)
local day_ms = 86400000
local messages, out_bytes, known_minute, sends -- the totals in out; sends: of this minute
local had_totals = false  -- whether out had them
local changes = {}        -- fields and values to set in out
local first_waits = false -- whether nothing waited before

-- read_out returns the values of fields of out. The first call also reads the totals.
local function read_out(fields)
  if messages then return redis.call('HMGET', out_key, unpack(fields)) end
  local values = redis.call('HMGET', out_key, 'totals', unpack(fields))
  local totals = table.remove(values, 1)
  had_totals = totals ~= false
  messages, out_bytes, known_minute, sends = string.match(totals or '', '^(%d+) (%d+) (%d+) (%d+)$')
  messages, out_bytes = tonumber(messages or 0), tonumber(out_bytes or 0)
  known_minute = tonumber(known_minute)
  sends = known_minute == minute and tonumber(sends) or 0
  return values
end

local function bytes_of(value) return tonumber(string.match(value, '^%d+')) end

-- kept reports whether one of the newest events is this one.
local function kept(event)
  for _, entry in ipairs(redis.call('XREVRANGE', inbox_key, '+', '-', 'COUNT', keep_events)) do
    if entry[2][4] == event then return true end
  end
  return false
end

-- sent accounts for a message, and for its recipient if the caller does not know that the owner has written to them. A
-- repeat changes only the number of sends. It returns whether the event is new. If the inbox is new, its other devices
-- have lost the event, so it is added again.
local function sent(note)
  local to, id, first, value = string.match(note, '^([^/]*)/(%S+) ([01]) (.*)$')
  local field = to .. '/' .. id
  local had = read_out({field})[1]
  sends = sends + 1
  if not had then
    first_waits = messages == 0
    messages, out_bytes = messages + 1, out_bytes + bytes_of(value)
  elseif had ~= value then -- accepted again, after it had ceased to wait
    out_bytes = out_bytes + bytes_of(value) - bytes_of(had)
  end
  changes = {field, value}
  if first == '1' and know(to, 1) == 0 then
    redis.call('HSET', reach_key, to, 1)
    redis.call('PEXPIREAT', reach_key, whole((math.floor(now_ms / day_ms) + 1) * day_ms))
  end
  return had ~= value or unsaved
end

-- ended accounts for messages to one recipient that no longer wait. It returns whether out had one of them.
local function ended(note)
  local to, ids = string.match(note, '^(%S+) (.*)$')
  local fields, found = {}, {}
  for id in string.gmatch(ids, '%S+') do fields[#fields + 1] = to .. '/' .. id end
  for i, value in ipairs(read_out(fields)) do
    if value then
      messages, out_bytes = messages - 1, out_bytes - bytes_of(value)
      found[#found + 1] = fields[i]
    end
  end
  if #found == 0 then return false end
  redis.call('HDEL', out_key, unpack(found))
  may_exceed = false -- the first write needed no memory
  return true
end

local known = 0 -- number of events that were there already

for i = 4, #ARGV, 3 do
  local kind  = ARGV[i]
  local event = ARGV[i + 1] -- JSON
  -- Of sent: <to>/<message id> <1 if the caller does not know that the owner has written to them> <bytes> <accepted_at>.
  -- Of delivered and refused: <to> <message ids>. Of any other: "again" if the caller has tried before.
  local note  = ARGV[i + 2]
  local new = true
  if kind == 'sent' then
    new = sent(note)
  elseif note == 'again' then
    new = not kept(event)
  elseif note ~= '' then
    -- A receipt can precede the account of its message, so what is missing in out is looked for in the stream.
    new = ended(note) or not kept(event)
  end
  if new then
    add(kind, event)
  else
    known = known + 1
  end
end
trim_sometimes()
commit(true)
if not messages then return {shed, -1, -1, -1, -1, known} end
if sends > 0 or had_totals then
  messages, out_bytes = math.max(messages, 0), math.max(out_bytes, 0)
  exceed()
  local totals = messages .. ' ' .. out_bytes .. ' ' .. minute .. ' ' .. sends
  redis.call('HSET', out_key, 'totals', totals, unpack(changes))
  -- The sends of this minute are needed for a while even if nothing waits. Once a minute is enough.
  if messages == 0 or first_waits or known_minute ~= minute then
    redis.call('PEXPIRE', out_key, messages > 0 and out_ms or 120000)
  end
end
return {shed, messages, out_bytes, sends, 60000 - now_ms % 60000, known}
