-- append adds events other than messages to an inbox, and keeps account of what its owner has sent. It returns
-- {number of events that were not stored, messages, bytes, number of events that were there already}, where the second
-- and the third are -1 if the events do not concern them.
--
-- A caller whose call had no answer in time repeats it with the same bytes. The script then adds nothing: out has the
-- message of a sent event, and has no longer those of a delivered or refused event.
--
-- The account of a user with one device is kept by plain commands; see account.go.
local out_key   = KEYS[6] -- hash: <to>/<message id> = "<bytes> <accepted_at>" of each message of the owner that waits
local reach_key = KEYS[7] -- hash: uids that the owner has written to today for the first time
-- Constant out_ms: how long out is kept after the last send

local day_ms = 86400000
local more_bytes        -- added to the bytes of out, or nil if the events do not concern them
local has_bytes = false -- whether out has the field bytes, as far as it is known

local function bytes_of(value) return tonumber(string.match(value, '^%d+')) end

-- kept reports whether one of the newest events is this one.
local function kept(event)
  for _, entry in ipairs(redis.call('XREVRANGE', inbox_key, '+', '-', 'COUNT', keep_events)) do
    if entry[2][4] == event then return true end
  end
  return false
end

-- sent accounts for a message, and for its recipient if the caller does not know that the owner has written to them. It
-- returns whether the event is new. If the inbox is new, its other devices have lost the event, so it is added again.
local function sent(note)
  local to, id, first, value = string.match(note, '^([^/]*)/(%S+) ([01]) (.*)$')
  local field = to .. '/' .. id
  local had = redis.call('HGET', out_key, field)
  more_bytes = more_bytes or 0
  if had ~= value then -- unless it is a repeat: it may be accepted again after it had ceased to wait
    exceed()
    more_bytes = more_bytes + bytes_of(value) - (had and bytes_of(had) or 0)
    redis.call('HSET', out_key, field, value)
    redis.call('PEXPIRE', out_key, out_ms)
  end
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
  local values = redis.call('HMGET', out_key, 'bytes', unpack(fields))
  has_bytes = table.remove(values, 1) ~= false
  for i, value in ipairs(values) do
    if value then
      more_bytes = (more_bytes or 0) - bytes_of(value)
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
  -- Of sent and changed: <to>/<message id> <1 if the caller does not know that the owner has written to them> <bytes>
  -- <accepted_at>.
  -- Of delivered and refused: <to> <message ids>. Of any other: "again" if the caller has tried before.
  local note  = ARGV[i + 2]
  local new = true
  if kind == 'sent' or kind == 'changed' then
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
if not more_bytes then return {shed, -1, -1, known} end
local fields = redis.call('HLEN', out_key)
if has_bytes and fields == 1 then -- no message is left
  redis.call('DEL', out_key)
  return {shed, 0, 0, known}
end
local sum = redis.call('HINCRBY', out_key, 'bytes', more_bytes)
if not has_bytes then fields = redis.call('HLEN', out_key) end
return {shed, fields - 1, math.max(sum, 0), known}
