-- The common part of every script on an inbox. Before it come primary.lua of package script and the constants below;
-- the script's own part follows. All keys belong to one user and share a hash tag.
--
-- keep_events   number of newest events that are kept
-- keep_ms       age up to which further events are kept, ...
-- keep_most     ... up to this number in total
-- keep_bytes    bytes of all kept events, without the messages that wait
-- expire_ms     how long an inbox in which no message waits is kept after its last use
-- max_entries   number of entries beyond which receipts are not stored
-- peers_ms      how long peers is kept after its last use
-- max_peers     number of users in peers
-- may_exceed    whether the script continues while Redis is above maxmemory
--
-- Scripts do not rely on previous calls: each may be the first that finds an inbox missing, and each may be repeated.
local inbox_key   = KEYS[1] -- stream of events: t (type), e (JSON)
local meta_key    = KEYS[2] -- hash: the state of the inbox, and from:<uid> = "<messages> <bytes>" waiting from uid
local pending_key = KEYS[3] -- hash: <from>/<message id> = "<stream id> <digest> <accepted_at> <bytes> <at>"
local peers_key   = KEYS[4] -- hash: uid of another user = 1 if the owner has written to them, 2 for the reverse, or 3

local fresh_nonce = ARGV[3] -- random; the nonce of an inbox that this script creates
-- ARGV[4..]: the script's own arguments

local channel = 'wake' .. string.sub(inbox_key, 6) -- on which wakes are published

-- exceed allows a script to grow above maxmemory. Redis checks the limit only in a script's first write, so scripts
-- that let a full Redis drain (receipts and settling), or that let users read, first make a write that adds nothing.
-- Called before every write that may need memory.
local function exceed()
  if not may_exceed then return end
  may_exceed = false
  redis.call('HDEL', meta_key, '-')
end

local function whole(n) return string.format('%.0f', n) end

local function id_of(ms, seq) return whole(ms) .. '-' .. whole(seq) end

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

-- size returns the bytes of an entry's event.
local function size(entry) return #(entry[2][4] or '') end

-- The state of the inbox, as this script found or created it. Up to floor, events may be missing.
local nonce, last, floor, settled
local bytes, waiting_bytes -- of all events in the stream, and of the messages among them that wait
local removals             -- calls that removed waiting messages; see removed.lua
local unsaved = false      -- whether this script has created the state and not yet written it; see save
local shed = 0             -- number of receipts that were not stored

-- touch records a use of the inbox. The three keys expire together; while a message waits they do not expire.
local function touch()
  if redis.call('EXISTS', pending_key) == 1 then
    redis.call('PERSIST', inbox_key)
    redis.call('PERSIST', meta_key)
    redis.call('PERSIST', pending_key)
  else
    local at = whole(now_ms + expire_ms)
    redis.call('PEXPIREAT', inbox_key, at)
    redis.call('PEXPIREAT', meta_key, at)
  end
end

-- save writes the state of an inbox that this script has created, with its expiry. A script calls it as soon as it is
-- going to write, or to return the epoch. A script that refuses a message does not call it, so that a send to a uid
-- that nobody has leaves no key.
local function save()
  if not unsaved then return end
  unsaved = false
  exceed()
  redis.call('HSET', meta_key, 'nonce', nonce, 'last', last, 'floor', floor, 'settled', settled, 'bytes', bytes,
    'waiting_bytes', waiting_bytes)
  touch()
end

-- count adds to the sums of the waiting messages of one sender, and of all.
local function count(from, messages, size_of_all)
  local counter = 'from:' .. from
  local n, b = string.match(redis.call('HGET', meta_key, counter) or '', '^(%d+) (%d+)$')
  n, b = (n or 0) + messages, math.max((b or 0) + size_of_all, 0)
  waiting_bytes = math.max(waiting_bytes + size_of_all, 0)
  if n > 0 then
    redis.call('HSET', meta_key, counter, n .. ' ' .. b, 'waiting_bytes', waiting_bytes)
  else
    redis.call('HDEL', meta_key, counter)
    redis.call('HSET', meta_key, 'waiting_bytes', waiting_bytes)
  end
end

-- clear deletes the record of one waiting message if it has the given stream id. It does not remove the event.
local function clear(field, id)
  local known_id, known_size = string.match(redis.call('HGET', pending_key, field) or '', '^(%S+) %S+ %S+ (%d+)')
  if known_id ~= id then return end
  redis.call('HDEL', pending_key, field)
  count(string.match(field, '^[^/]*'), -1, -tonumber(known_size))
end

-- forget_waiting deletes the records of all waiting messages.
local function forget_waiting()
  if redis.call('EXISTS', pending_key) == 0 then return end
  redis.call('DEL', pending_key)
  for _, field in ipairs(redis.call('HKEYS', meta_key)) do
    if string.sub(field, 1, 5) == 'from:' then redis.call('HDEL', meta_key, field) end
  end
  waiting_bytes = 0
  if redis.call('HEXISTS', meta_key, 'waiting_bytes') == 1 then redis.call('HSET', meta_key, 'waiting_bytes', 0) end
end

-- recount computes the sums that are in meta, after it was lost and the stream was not.
local function recount()
  local from = '-'
  repeat
    local entries = redis.call('XRANGE', inbox_key, from, '+', 'COUNT', 500)
    for _, entry in ipairs(entries) do
      bytes = bytes + size(entry)
      from = '(' .. entry[1]
    end
  until #entries < 500
  local records = redis.call('HGETALL', pending_key)
  for i = 1, #records, 2 do
    local known_size = string.match(records[i + 1], '^%S+ %S+ %S+ (%d+)')
    count(string.match(records[i], '^[^/]*'), 1, known_size or 0)
  end
end

do
  local meta = redis.call('HMGET', meta_key, 'nonce', 'last', 'floor', 'settled', 'bytes', 'waiting_bytes', 'removals')
  nonce, last, floor, settled = meta[1], meta[2], meta[3], meta[4]
  bytes, waiting_bytes = tonumber(meta[5] or 0), tonumber(meta[6] or 0)
  removals = tonumber(meta[7] or 0)
  local exists = redis.call('EXISTS', inbox_key) == 1
  if not nonce then
    -- The inbox is new, or it was wiped or has expired: any event before now may be missing.
    nonce, last = fresh_nonce, id_of(now_ms, 0)
    settled = last
    unsaved = true
    if exists then
      local newest = redis.call('XREVRANGE', inbox_key, '+', '-', 'COUNT', 1)[1]
      if newest and before(last, newest[1]) then last = newest[1] end
      settled = '0-0' -- what was settled is unknown, so everything counts as unsettled
      floor = last
      save()
      recount()
      redis.call('HSET', meta_key, 'bytes', bytes)
    else
      floor = last
      forget_waiting()
    end
  elseif not exists and before(floor, last) then
    -- The stream is lost but meta is not: the events that the stream held are missing.
    floor = last
    if before(settled, last) then settled = last end
    bytes = 0
    exceed()
    redis.call('HSET', meta_key, 'floor', floor, 'settled', settled, 'bytes', bytes)
    forget_waiting()
    touch()
  end
end

local epoch = primary_epoch() .. '.' .. nonce

-- trim removes up to batch of the oldest entries: only a prefix below the first unsettled message, and only entries
-- that retention does not keep. It removes more than batch if the kept events, and one of room bytes that is about to
-- be added, have too many bytes.
local function trim(batch, room)
  local length = redis.call('XLEN', inbox_key)
  local over = bytes - waiting_bytes + room - keep_bytes
  local function removable(i, entry)
    local left = length - i
    if left < 1 then return false end
    if entry[2][2] == 'message' and before(settled, entry[1]) then return false end
    if over > 0 then return true end
    if left < keep_events then return false end
    local ms = parts(entry[1])
    return ms < now_ms - keep_ms or left >= keep_most
  end
  if length <= keep_events and over <= 0 then return end
  -- Most scripts remove nothing, or one entry for the one that they added.
  local rounds, want, removed = 0, 1, false
  repeat
    local entries = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', want)
    local cut = 0
    while entries[cut + 1] and removable(cut + 1, entries[cut + 1]) do
      cut = cut + 1
      bytes = math.max(bytes - size(entries[cut]), 0)
      over = over - size(entries[cut])
    end
    if cut == 0 then break end
    removed = true
    length = length - cut
    batch = batch - cut
    redis.call('XTRIM', inbox_key, 'MAXLEN', length)
    if before(floor, entries[cut][1]) then floor = entries[cut][1] end
    if cut < want or batch <= 0 and over <= 0 then break end
    rounds = rounds + 1
    if rounds > 1 then want = math.max(batch, 16) end
  until false
  if not removed then return end
  redis.call('HSET', meta_key, 'floor', floor, 'bytes', bytes)
end

-- has_room reports whether a receipt of the given size can be stored.
local function has_room(more)
  return redis.call('XLEN', inbox_key) < max_entries and bytes - waiting_bytes + more <= keep_bytes
end

-- add appends an event and publishes it. Its id comes after last even if the clock went back. For a message, counter
-- and sum are the field of meta that counts what waits from its sender, and its new value. Returns the id.
local function add(kind, event, counter, sum)
  save()
  local previous = last
  local ms, seq = parts(last)
  local id = now_ms > ms and id_of(now_ms, 0) or id_of(ms, seq + 1)
  exceed()
  local stored = kind == 'message' or has_room(#event)
  if not stored then
    trim(128, #event)
    stored = has_room(#event)
  end
  if stored then
    local added = redis.pcall('XADD', inbox_key, id, 't', kind, 'e', event)
    if type(added) == 'table' then
      -- The stream has an entry above last that no script wrote: let Redis choose the id. Any other error recurs.
      added = redis.call('XADD', inbox_key, '*', 't', kind, 'e', event)
    end
    id = added
    bytes = bytes + #event
    if kind == 'message' then
      waiting_bytes = waiting_bytes + #event
      redis.call('HSET', meta_key, 'last', id, 'bytes', bytes, counter, sum, 'waiting_bytes', waiting_bytes)
    else
      redis.call('HSET', meta_key, 'last', id, 'bytes', bytes)
    end
  else
    -- A receipt in an inbox whose messages may not be trimmed is shed: live readers get it, and for all others it
    -- counts as trimmed at once, so the floor rises.
    shed = shed + 1
    floor = id
    redis.call('HSET', meta_key, 'last', id, 'floor', floor)
  end
  last = id
  redis.call('PUBLISH', channel, 'E ' .. epoch .. ' ' .. id .. ' ' .. previous .. ' ' .. kind .. ' ' .. event)
  return id
end

-- drop removes one event, wherever it is in the stream. It returns whether the event was there.
local function drop(id)
  local entry = redis.call('XRANGE', inbox_key, id, id)[1]
  if not entry then return false end
  redis.call('XDEL', inbox_key, id)
  bytes = math.max(bytes - size(entry), 0)
  redis.call('HSET', meta_key, 'bytes', bytes)
  return true
end

-- know adds a bit to what peers holds of another user, and returns what it held before. It keeps at most max_peers
-- users. Of a user that it drops, the archive knows the same.
local function know(peer, bit)
  local had = tonumber(redis.call('HGET', peers_key, peer) or 0)
  if had == bit or had == 3 then return had end
  exceed()
  if had == 0 and redis.call('HLEN', peers_key) >= max_peers then
    redis.call('HDEL', peers_key, redis.call('HRANDFIELD', peers_key))
  end
  redis.call('HSET', peers_key, peer, had + bit)
  redis.call('PEXPIRE', peers_key, peers_ms)
  return had
end
