-- Common part of every script on an inbox; shard.lua stands before it, the
-- script's own part behind. All keys belong to one user and share a hash tag.
--
-- Nothing here relies on a previous call: any script may be the first that
-- finds an inbox gone, and any may be repeated.
local inbox_key   = KEYS[1] -- stream of events: t (type), e (JSON)
local meta_key    = KEYS[2] -- hash: nonce, last, floor, settled, and from:<uid> = messages waiting from uid
local pending_key = KEYS[3] -- hash: <from>/<message id> = "<stream id> <digest> <accepted_at>"

local fresh_nonce = ARGV[1]           -- random; becomes the nonce of an inbox that this script creates
local channel     = ARGV[2]           -- where to publish wakes
local keep_events = tonumber(ARGV[3]) -- newest events that are kept
local keep_ms     = tonumber(ARGV[4]) -- age up to which events are kept, ...
local keep_most   = tonumber(ARGV[5]) -- ... but at most this many
local expire_ms   = tonumber(ARGV[6]) -- how long an inbox in which no message waits is kept
local max_entries = tonumber(ARGV[7]) -- entries beyond which receipts are not stored
local may_exceed  = ARGV[8] == '1'    -- go on when Redis is above maxmemory

-- Redis refuses to grow above maxmemory only in the first write of a script.
-- What lets a full Redis drain (receipts and settling) and what lets people
-- read has a first write that adds nothing. Called before anything that may grow.
local function exceed()
  if not may_exceed then return end
  may_exceed = false
  redis.call('HDEL', meta_key, '-')
end

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function id_of(ms, seq) return string.format('%.0f-%.0f', ms, seq) end

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

-- before reports whether stream id a comes before b.
local function before(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

-- The inbox as this script found or created it. floor: up to it events may be missing.
local nonce, last, floor, settled
local shed = 0 -- receipts not stored

-- forget_waiting drops the record of waiting messages.
local function forget_waiting()
  if redis.call('DEL', pending_key) == 0 then return end
  for _, field in ipairs(redis.call('HKEYS', meta_key)) do
    if string.sub(field, 1, 5) == 'from:' then redis.call('HDEL', meta_key, field) end
  end
end

do
  local meta = redis.call('HMGET', meta_key, 'nonce', 'last', 'floor', 'settled')
  nonce, last, floor, settled = meta[1], meta[2], meta[3], meta[4]
  local stands = redis.call('EXISTS', inbox_key) == 1
  if not nonce then
    -- Wiped, expired or new: whatever was before now may be missing.
    nonce, last = fresh_nonce, id_of(now_ms, 0)
    settled = last
    if stands then
      local newest = redis.call('XREVRANGE', inbox_key, '+', '-', 'COUNT', 1)[1]
      if newest and before(last, newest[1]) then last = newest[1] end
      settled = '0-0' -- nobody knows what was acknowledged: nothing was
    end
    floor = last
    exceed()
    redis.call('HSET', meta_key, 'nonce', nonce, 'last', last, 'floor', floor, 'settled', settled)
    if not stands then forget_waiting() end
  elseif not stands and before(floor, last) then
    -- The stream is lost and its meta is not: what it held is missing.
    floor = last
    if before(settled, last) then settled = last end
    exceed()
    redis.call('HSET', meta_key, 'floor', floor, 'settled', settled)
    forget_waiting()
  end
end

local epoch = shard() .. '.' .. nonce

-- add appends an event under an id after last, whatever the clock does, and publishes it.
local function add(kind, event)
  local previous = last
  local ms, seq = parts(last)
  local id = now_ms > ms and id_of(now_ms, 0) or id_of(ms, seq + 1)
  exceed()
  if kind ~= 'message' and redis.call('XLEN', inbox_key) >= max_entries then
    -- A receipt behind messages that may not be trimmed. It exists for who listens
    -- now; for all others it is as if trimmed at once, and the floor says so.
    shed = shed + 1
    floor = id
    redis.call('HSET', meta_key, 'floor', floor)
  else
    local added = redis.pcall('XADD', inbox_key, id, 't', kind, 'e', event)
    if type(added) == 'table' then
      -- An entry that no script wrote stands above last: let Redis find the id. (Any other error comes again.)
      added = redis.call('XADD', inbox_key, '*', 't', kind, 'e', event)
    end
    id = added
  end
  last = id
  redis.call('HSET', meta_key, 'last', last)
  redis.call('PUBLISH', channel, 'E ' .. epoch .. ' ' .. id .. ' ' .. previous .. ' ' .. kind .. ' ' .. event)
  return id
end

-- clear forgets one waiting message, where its record is the one of that stream id.
local function clear(field, id)
  local record = redis.call('HGET', pending_key, field)
  if not record or string.match(record, '^%S+') ~= id then return end
  redis.call('HDEL', pending_key, field)
  local counter = 'from:' .. string.match(field, '^[^/]*')
  if redis.call('HINCRBY', meta_key, counter, -1) <= 0 then redis.call('HDEL', meta_key, counter) end
end

-- trim removes up to batch of the oldest entries: only a prefix below the first unacknowledged
-- message, and only what retention does not keep.
local function trim(batch)
  local length = redis.call('XLEN', inbox_key)
  local function goes(i, entry)
    local left = length - i
    if left < keep_events then return false end
    if entry[2][2] == 'message' and before(settled, entry[1]) then return false end
    local ms = parts(entry[1])
    return ms < now_ms - keep_ms or left >= keep_most
  end
  if length <= keep_events then return end
  local oldest = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', 1)
  if not goes(1, oldest[1]) then return end
  oldest = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', batch)
  local cut = 1
  while oldest[cut + 1] and goes(cut + 1, oldest[cut + 1]) do cut = cut + 1 end
  redis.call('XTRIM', inbox_key, 'MAXLEN', length - cut)
  if before(floor, oldest[cut][1]) then
    floor = oldest[cut][1]
    redis.call('HSET', meta_key, 'floor', floor)
  end
end

-- touch counts as a use: the three keys expire together, or while a message waits, not at all.
local function touch()
  if redis.call('EXISTS', pending_key) == 1 then
    redis.call('PERSIST', inbox_key)
    redis.call('PERSIST', meta_key)
    redis.call('PERSIST', pending_key)
  else
    local at = string.format('%.0f', now_ms + expire_ms)
    redis.call('PEXPIREAT', inbox_key, at)
    redis.call('PEXPIREAT', meta_key, at)
  end
end
