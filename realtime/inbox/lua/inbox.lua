-- The common part of every script on an inbox. primary.lua precedes it, and the script's own part follows. All keys
-- belong to one user and share a hash tag.
--
-- Scripts do not rely on previous calls: each may be the first that finds an inbox missing, and each may be repeated.
local inbox_key   = KEYS[1] -- stream of events: t (type), e (JSON)
local meta_key    = KEYS[2] -- hash: nonce, last, floor, settled, and from:<uid> = messages waiting from uid
local pending_key = KEYS[3] -- hash: <from>/<message id> = "<stream id> <digest> <accepted_at>"

local fresh_nonce = ARGV[1]           -- random; the nonce of an inbox that this script creates
local channel     = ARGV[2]           -- on which wakes are published
local keep_events = tonumber(ARGV[3]) -- number of newest events that are kept
local keep_ms     = tonumber(ARGV[4]) -- age up to which further events are kept, ...
local keep_most   = tonumber(ARGV[5]) -- ... up to this number in total
local expire_ms   = tonumber(ARGV[6]) -- how long an inbox in which no message waits is kept after its last use
local max_entries = tonumber(ARGV[7]) -- number of entries beyond which receipts are not stored
local may_exceed  = ARGV[8] == '1'    -- whether to continue while Redis is above maxmemory

-- exceed allows a script to grow above maxmemory. Redis checks the limit only in a script's first write, so scripts
-- that let a full Redis drain (receipts and settling), or that let users read, first make a write that adds nothing.
-- Called before every write that may need memory.
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

-- The state of the inbox, as this script found or created it. Up to floor, events may be missing.
local nonce, last, floor, settled
local shed = 0 -- number of receipts that were not stored

-- forget_waiting deletes the records of all waiting messages.
local function forget_waiting()
  if redis.call('DEL', pending_key) == 0 then return end
  for _, field in ipairs(redis.call('HKEYS', meta_key)) do
    if string.sub(field, 1, 5) == 'from:' then redis.call('HDEL', meta_key, field) end
  end
end

do
  local meta = redis.call('HMGET', meta_key, 'nonce', 'last', 'floor', 'settled')
  nonce, last, floor, settled = meta[1], meta[2], meta[3], meta[4]
  local exists = redis.call('EXISTS', inbox_key) == 1
  if not nonce then
    -- The inbox is new, or it was wiped or has expired: any event before now may be missing.
    nonce, last = fresh_nonce, id_of(now_ms, 0)
    settled = last
    if exists then
      local newest = redis.call('XREVRANGE', inbox_key, '+', '-', 'COUNT', 1)[1]
      if newest and before(last, newest[1]) then last = newest[1] end
      settled = '0-0' -- what was settled is unknown, so everything counts as unsettled
    end
    floor = last
    exceed()
    redis.call('HSET', meta_key, 'nonce', nonce, 'last', last, 'floor', floor, 'settled', settled)
    if not exists then forget_waiting() end
  elseif not exists and before(floor, last) then
    -- The stream is lost but meta is not: the events that the stream held are missing.
    floor = last
    if before(settled, last) then settled = last end
    exceed()
    redis.call('HSET', meta_key, 'floor', floor, 'settled', settled)
    forget_waiting()
  end
end

local epoch = primary_epoch() .. '.' .. nonce

-- add appends an event and publishes it. Its id comes after last even if the clock went back. Returns the id.
local function add(kind, event)
  local previous = last
  local ms, seq = parts(last)
  local id = now_ms > ms and id_of(now_ms, 0) or id_of(ms, seq + 1)
  exceed()
  if kind ~= 'message' and redis.call('XLEN', inbox_key) >= max_entries then
    -- A receipt in an inbox whose messages may not be trimmed is shed: live readers get it, and for all others it
    -- counts as trimmed at once, so the floor rises.
    shed = shed + 1
    floor = id
    redis.call('HSET', meta_key, 'floor', floor)
  else
    local added = redis.pcall('XADD', inbox_key, id, 't', kind, 'e', event)
    if type(added) == 'table' then
      -- The stream has an entry above last that no script wrote: let Redis choose the id. Any other error recurs.
      added = redis.call('XADD', inbox_key, '*', 't', kind, 'e', event)
    end
    id = added
  end
  last = id
  redis.call('HSET', meta_key, 'last', last)
  redis.call('PUBLISH', channel, 'E ' .. epoch .. ' ' .. id .. ' ' .. previous .. ' ' .. kind .. ' ' .. event)
  return id
end

-- clear deletes the record of one waiting message if it has the given stream id.
local function clear(field, id)
  local record = redis.call('HGET', pending_key, field)
  if not record or string.match(record, '^%S+') ~= id then return end
  redis.call('HDEL', pending_key, field)
  local counter = 'from:' .. string.match(field, '^[^/]*')
  if redis.call('HINCRBY', meta_key, counter, -1) <= 0 then redis.call('HDEL', meta_key, counter) end
end

-- trim removes up to batch of the oldest entries: only a prefix below the first unsettled message, and only entries
-- that retention does not keep.
local function trim(batch)
  local length = redis.call('XLEN', inbox_key)
  local function removable(i, entry)
    local left = length - i
    if left < keep_events then return false end
    if entry[2][2] == 'message' and before(settled, entry[1]) then return false end
    local ms = parts(entry[1])
    return ms < now_ms - keep_ms or left >= keep_most
  end
  if length <= keep_events then return end
  local oldest = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', 1)
  if not removable(1, oldest[1]) then return end
  oldest = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', batch)
  local cut = 1
  while oldest[cut + 1] and removable(cut + 1, oldest[cut + 1]) do cut = cut + 1 end
  redis.call('XTRIM', inbox_key, 'MAXLEN', length - cut)
  if before(floor, oldest[cut][1]) then
    floor = oldest[cut][1]
    redis.call('HSET', meta_key, 'floor', floor)
  end
end

-- touch records a use of the inbox. The three keys expire together; while a message waits they do not expire.
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
