-- append adds events other than messages to an inbox, and keeps account of what its owner has sent. It returns
-- {number of events that were not stored, messages, bytes, sends, milliseconds until sends starts again at 0}, where
-- the last four are -1 if the events do not concern them.
local out_key   = KEYS[5]  -- hash: <to>/<message id> = "<bytes> <accepted_at>" of each message of the owner that waits
local reach_key = KEYS[6]  -- hash: uids that the owner has written to today for the first time
local out_ms    = ARGV[12] -- how long out is kept after the last send

local minute = math.floor(now_ms / 60000)
local day_ms = 86400000
local messages, out_bytes, sends -- the totals in out; sends: of this minute

local function load_totals()
  if messages then return end
  local known_minute
  messages, out_bytes, known_minute, sends =
    string.match(redis.call('HGET', out_key, 'totals') or '', '^(%d+) (%d+) (%d+) (%d+)$')
  messages, out_bytes = tonumber(messages or 0), tonumber(out_bytes or 0)
  sends = tonumber(known_minute) == minute and tonumber(sends) or 0
end

-- sent accounts for a message, and for its recipient. A repeat changes only the number of sends.
local function sent(note)
  local to, id, value = string.match(note, '^([^/]*)/(%S+) (.*)$')
  local field = to .. '/' .. id
  load_totals()
  sends = sends + 1
  if redis.call('HSETNX', out_key, field, value) == 1 then
    messages, out_bytes = messages + 1, out_bytes + tonumber(string.match(value, '^%d+'))
  else
    local old = redis.call('HGET', out_key, field)
    if old ~= value then -- accepted again, after it had ceased to wait
      redis.call('HSET', out_key, field, value)
      out_bytes = out_bytes + tonumber(string.match(value, '^%d+')) - tonumber(string.match(old, '^%d+'))
    end
  end
  if know(to, 1) == 0 then
    redis.call('HSET', reach_key, to, 1)
    redis.call('PEXPIREAT', reach_key, whole((math.floor(now_ms / day_ms) + 1) * day_ms))
  end
end

-- ended accounts for messages to one recipient that no longer wait.
local function ended(note)
  load_totals()
  if messages == 0 then return end
  local to, ids = string.match(note, '^(%S+) (.*)$')
  local fields = {}
  for id in string.gmatch(ids, '%S+') do fields[#fields + 1] = to .. '/' .. id end
  for i, value in ipairs(redis.call('HMGET', out_key, unpack(fields))) do
    if value and redis.call('HDEL', out_key, fields[i]) == 1 then
      messages, out_bytes = messages - 1, out_bytes - tonumber(string.match(value, '^%d+'))
    end
  end
end

for i = 13, #ARGV, 3 do
  local kind  = ARGV[i]
  local event = ARGV[i + 1] -- JSON
  local note  = ARGV[i + 2] -- of sent: <to>/<message id> <bytes> <accepted_at>; of delivered and refused: <to> <ids>
  add(kind, event)
  if note ~= '' then
    if kind == 'sent' then sent(note) else ended(note) end
  end
end
trim(16, 0)
touch()
if not messages then return {shed, -1, -1, -1, -1} end
if sends > 0 or redis.call('EXISTS', out_key) == 1 then
  messages, out_bytes = math.max(messages, 0), math.max(out_bytes, 0)
  redis.call('HSET', out_key, 'totals', table.concat({whole(messages), whole(out_bytes), whole(minute), whole(sends)}, ' '))
  redis.call('PEXPIRE', out_key, messages > 0 and out_ms or 120000) -- the sends of this minute are needed a while longer
end
return {shed, messages, out_bytes, sends, 60000 - now_ms % 60000}
