-- The common part of every script on an inbox. Before it comes primary.lua of package script; the script's own part
-- follows. All keys belong to one user and share a hash tag. These constants are replaced by their values:
--
-- keep_events   number of newest events that are kept
-- keep_ms       age up to which further events are kept, ...
-- keep_most     ... up to this number in total
-- keep_bytes    bytes of all kept events, without the messages that wait
-- expire_ms     how long an inbox in which no message waits is kept after its last use
-- max_entries   number of entries beyond which receipts are not stored
-- peers_ms      how long peers is kept after its last use
-- max_peers     number of users in peers
-- exceeds       whether the script continues while Redis is above maxmemory
-- counter_of    index in ARGV of a sender whose counter the script needs, or 0
--
-- Every call costs about as much as a hundred lines of Lua. So a script reads its state at once, and writes what it has
-- changed in meta with one call at the end; see commit.
--
-- Scripts do not rely on previous calls: each may be the first that finds an inbox missing, and each may be repeated.
local inbox_key   = KEYS[1] -- stream of events: t (type), e (JSON)
local meta_key    = KEYS[2] -- hash: the state of the inbox, and from:<uid> = "<messages> <bytes>" waiting from uid
local pending_key = KEYS[3] -- hash: <from>/<message id> = "<stream id> <digest> <accepted_at> <bytes> <at>"
local peers_key   = KEYS[4] -- hash: uid of another user = 1 if the owner has written to them, 2 for the reverse, or 3
local marked_key  = KEYS[5] -- sorted set: epoch = up to where messages are published and reported; see forget_marked

local fresh_nonce = ARGV[3] -- random; the nonce of an inbox that this script creates
-- ARGV[4..]: the script's own arguments

local channel = 'wake' .. string.sub(inbox_key, 6) -- on which wakes are published
local seen_channel = 'seen' .. string.sub(inbox_key, 6) -- of package presence

local may_exceed = exceeds -- until the first write

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
  if a == b then return false end
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

-- awaits_ack reports whether events of a type wait until they are acknowledged. wire.Waits is the same.
local function awaits_ack(kind) return kind == 'message' or kind == 'change' end

-- size returns the bytes of an entry's event.
local function size(entry) return #(entry[2][4] or '') end

-- The state of the inbox, as this script found or created it. Up to floor, events may be missing.
local nonce, last, floor, settled
local bytes, waiting_bytes -- of all events in the stream, and of the messages among them that wait
local removals             -- calls that removed waiting messages; see removed.lua
local length               -- number of entries in the stream
local expires              -- when the keys expire, ms; nil: they do not, because a message waits
local stream_is_new        -- whether the stream did not exist
local unsaved = false      -- whether this script has created the state and not yet written it
local shed = 0             -- number of receipts that were not stored
local forgot = false       -- whether this script has forgotten messages

local changed = {}  -- fields of meta that commit will write
local counters = {} -- sender = {messages, bytes} that wait, as far as they are known

-- wait_count returns how many messages wait.
local known_waiting
local function wait_count()
  known_waiting = known_waiting or redis.call('HLEN', pending_key)
  return known_waiting
end

-- save makes sure that the state of an inbox that this script has created is written. A script calls it when it is
-- going to write, or to return the epoch. A script that refuses a message does not call it, so that a send to a uid that
-- nobody has leaves no key.
local function save()
  if not unsaved then return end
  unsaved = false
  changed.nonce, changed.last, changed.floor, changed.settled = nonce, last, floor, settled
  changed.bytes, changed.waiting_bytes = bytes, waiting_bytes
end

-- commit writes what the script has changed. A use of the inbox postpones its expiry: while a message waits, its keys do
-- not expire, and otherwise together, expire_ms after the last use or up to an hour later, because not every use writes
-- it. Forgetting messages counts as one.
local function commit(is_use)
  if is_use or forgot or changed.nonce then
    local due = not expires or stream_is_new or expires - now_ms < expire_ms
    if due and wait_count() == 0 then
      expires = now_ms + expire_ms + math.min(expire_ms, 3600000)
      changed.expires = whole(expires)
    elseif expires and known_waiting and known_waiting > 0 then
      expires = nil
      redis.call('HDEL', meta_key, 'expires')
      redis.call('PERSIST', inbox_key)
      redis.call('PERSIST', meta_key)
      redis.call('PERSIST', pending_key)
    end
  end
  local list = {}
  for field, value in pairs(changed) do
    list[#list + 1] = field
    list[#list + 1] = value
  end
  if #list > 0 then
    exceed()
    redis.call('HSET', meta_key, unpack(list))
  end
  if changed.expires then
    redis.call('PEXPIREAT', meta_key, changed.expires)
    redis.call('PEXPIREAT', inbox_key, changed.expires)
  end
  changed = {}
end

-- counter returns the messages and bytes that wait from a sender.
local function counter(from)
  local c = counters[from]
  if not c then
    local n, b = string.match(redis.call('HGET', meta_key, 'from:' .. from) or '', '^(%d+) (%d+)$')
    c = {tonumber(n or 0), tonumber(b or 0)}
    counters[from] = c
  end
  return c
end

-- count adds to what waits from one sender, and to the bytes of all.
local function count(from, messages, size_of_all)
  local c = counter(from)
  c[1], c[2] = math.max(c[1] + messages, 0), math.max(c[2] + size_of_all, 0)
  waiting_bytes = math.max(waiting_bytes + size_of_all, 0)
  changed.waiting_bytes = waiting_bytes
  if c[1] > 0 then
    changed['from:' .. from] = c[1] .. ' ' .. c[2]
  else
    changed['from:' .. from] = nil
    redis.call('HDEL', meta_key, 'from:' .. from)
  end
end

-- clear deletes the records of waiting messages that have the given stream ids. list has a field of pending and a stream
-- id for each. It does not remove the events.
local function clear(list)
  if #list == 0 then return end
  local fields = {}
  for i = 1, #list, 2 do fields[#fields + 1] = list[i] end
  local gone = {}
  for i, record in ipairs(redis.call('HMGET', pending_key, unpack(fields))) do
    local known_id, known_size = string.match(record or '', '^(%S+) %S+ %S+ (%d+)')
    if known_id == list[2 * i] then
      gone[#gone + 1] = fields[i]
      count(string.match(fields[i], '^[^/]*'), -1, -tonumber(known_size))
    end
  end
  if #gone > 0 then
    redis.call('HDEL', pending_key, unpack(gone))
    known_waiting = known_waiting and known_waiting - #gone
  end
end

-- forget_waiting deletes the records of all waiting messages.
local function forget_waiting()
  if wait_count() == 0 then return end
  redis.call('DEL', pending_key)
  known_waiting = 0
  for _, field in ipairs(redis.call('HKEYS', meta_key)) do
    if string.sub(field, 1, 5) == 'from:' then redis.call('HDEL', meta_key, field) end
  end
  for field in pairs(changed) do
    if string.sub(field, 1, 5) == 'from:' then changed[field] = nil end
  end
  counters = {}
  if waiting_bytes > 0 then
    waiting_bytes = 0
    changed.waiting_bytes = 0
  end
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
  changed.bytes = bytes
  local records = redis.call('HGETALL', pending_key)
  for i = 1, #records, 2 do
    local known_size = string.match(records[i + 1], '^%S+ %S+ %S+ (%d+)')
    count(string.match(records[i], '^[^/]*'), 1, known_size or 0)
  end
end

do
  local sender = ARGV[counter_of]
  local meta = redis.call('HMGET', meta_key, 'nonce', 'last', 'floor', 'settled', 'bytes', 'waiting_bytes', 'removals',
    'expires', 'from:' .. (sender or ''))
  nonce, last, floor, settled = meta[1], meta[2], meta[3], meta[4]
  bytes, waiting_bytes = tonumber(meta[5] or 0), tonumber(meta[6] or 0)
  removals = tonumber(meta[7] or 0)
  expires = meta[8] and tonumber(meta[8])
  if sender then
    local n, b = string.match(meta[9] or '', '^(%d+) (%d+)$')
    counters[sender] = {tonumber(n or 0), tonumber(b or 0)}
  end
  length = redis.call('XLEN', inbox_key)
  stream_is_new = length == 0 and redis.call('EXISTS', inbox_key) == 0
  if not nonce then
    -- The inbox is new, or it was wiped or has expired: any event before now may be missing.
    nonce, last = fresh_nonce, id_of(now_ms, 0)
    settled = last
    unsaved = true
    if stream_is_new then
      floor = last
      forget_waiting()
    else
      local newest = redis.call('XREVRANGE', inbox_key, '+', '-', 'COUNT', 1)[1]
      if newest and before(last, newest[1]) then last = newest[1] end
      settled = '0-0' -- what was settled is unknown, so everything counts as unsettled
      floor = last
      save()
      recount()
      commit(true)
    end
  elseif stream_is_new and before(floor, last) then
    -- The stream is lost but meta is not: the events that the stream held are missing.
    floor = last
    if before(settled, last) then settled = last end
    bytes = 0
    changed.floor, changed.settled, changed.bytes = floor, settled, bytes
    forget_waiting()
    commit(true)
  end
end

local epoch = primary_epoch() .. '.' .. nonce

-- trim removes up to batch of the oldest entries: only a prefix below the first unsettled message, and only entries
-- that retention does not keep. It removes more than batch if the kept events, and one of room bytes that is about to
-- be added, have too many bytes.
local function trim(batch, room)
  local over = bytes - waiting_bytes + room - keep_bytes
  local function removable(i, entry)
    local left = length - i
    if left < 1 then return false end
    if awaits_ack(entry[2][2]) and before(settled, entry[1]) then return false end
    if over > 0 then return true end
    if left < keep_events then return false end
    local ms = parts(entry[1])
    return ms < now_ms - keep_ms or left >= keep_most
  end
  if length <= keep_events and over <= 0 then return end
  local removed, cut_to = 0, nil
  repeat
    local entries = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', math.max(batch - removed, 16))
    local cut = 0
    while entries[cut + 1] and (removed + cut < batch or over > 0) and removable(cut + 1, entries[cut + 1]) do
      cut = cut + 1
      bytes = math.max(bytes - size(entries[cut]), 0)
      over = over - size(entries[cut])
    end
    if cut == 0 then break end
    removed = removed + cut
    length = length - cut
    cut_to = entries[cut][1]
    redis.call('XTRIM', inbox_key, 'MAXLEN', length)
  until cut < #entries or removed >= batch and over <= 0
  if removed == 0 then return end
  if before(floor, cut_to) then
    floor = cut_to
    changed.floor = floor
  end
  changed.bytes = bytes
end

-- trim_sometimes trims after an event was added: most events leave it to the next one.
local function trim_sometimes()
  if length % math.max(math.floor(keep_events / 8), 1) == 0 or bytes - waiting_bytes > keep_bytes then trim(32, 0) end
end

-- has_room reports whether a receipt of the given size can be stored.
local function has_room(more)
  return length < max_entries and bytes - waiting_bytes + more <= keep_bytes
end

-- add appends an event and publishes it. Its id comes after last even if the clock went back. Returns the id.
local function add(kind, event)
  save()
  local previous = last
  local ms, seq = parts(last)
  local id = now_ms > ms and id_of(now_ms, 0) or id_of(ms, seq + 1)
  exceed()
  local stored = awaits_ack(kind) or has_room(#event)
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
    length = length + 1
    changed.bytes = bytes
  else
    -- A receipt in an inbox whose messages may not be trimmed is shed: live readers get it, and for all others it
    -- counts as trimmed at once, so the floor rises.
    shed = shed + 1
    floor = id
    changed.floor = floor
  end
  last = id
  changed.last = last
  redis.call('PUBLISH', channel, 'E ' .. epoch .. ' ' .. id .. ' ' .. previous .. ' ' .. kind .. ' ' .. event)
  return id
end

-- forget raises settled to an id: messages up to there no longer wait. Their events stay as long as retention keeps them.
local function forget(to)
  repeat
    local entries = redis.call('XRANGE', inbox_key, '(' .. settled, to, 'COUNT', 100)
    local list = {}
    for _, entry in ipairs(entries) do
      settled = entry[1]
      local kind, id, from = string.match(entry[2][4] or '',
        '^{"type":"(%a*)","id":"([^"]*)","conversation":"[^"]*","from":"([^"]*)"')
      if id and awaits_ack(kind) then
        list[#list + 1] = from .. '/' .. id
        list[#list + 1] = entry[1]
      end
    end
    clear(list)
  until #entries < 100
  settled = to
  changed.settled = settled
  -- Nothing can wait above the newest event, so any record that is left belongs to a message that no longer exists.
  if not before(settled, last) then forget_waiting() end
  forgot = true
  redis.call('DEL', marked_key)
  trim(128, 0)
end

-- forget_marked forgets the messages that are marked as published and reported to their senders. A script that looks at
-- what waits calls it first. Nobody forgets them at once, because that costs ten times as much as the mark. A mark of
-- another epoch means nothing. It returns whether there were any.
local function forget_marked()
  if length == 0 or unsaved then return false end
  local mark = tonumber(redis.call('ZSCORE', marked_key, epoch) or 0)
  local ms = math.floor(mark / 1024) -- markUnit in mark.go
  local to = id_of(ms, mark - ms * 1024)
  if not before(settled, to) or before(last, to) then return false end
  forget(to)
  return true
end

-- queue adds a message that waits until its recipient has acknowledged it. rest is what its record has after the id.
local function queue(field, event, rest)
  wait_count()
  local id = add(string.match(event, '^{"type":"(%a*)"'), event)
  if redis.call('HSET', pending_key, field, id .. ' ' .. rest) == 1 then known_waiting = known_waiting + 1 end
  count(string.match(field, '^[^/]*'), 1, #event)
  return id
end

-- drop removes one event, wherever it is in the stream. It returns whether the event was there.
local function drop(id)
  local entry = redis.call('XRANGE', inbox_key, id, id)[1]
  if not entry then return false end
  redis.call('XDEL', inbox_key, id)
  length = length - 1
  bytes = math.max(bytes - size(entry), 0)
  changed.bytes = bytes
  return true
end

-- know adds a bit to what peers holds of another user, and returns what it held before. It keeps at most max_peers
-- users. Of a user that it drops, the archive knows the same. It publishes a change that may decide whether the other
-- user sees the owner's presence: the first message of either, and the owner's answer.
local function know(peer, bit)
  local had = tonumber(redis.call('HGET', peers_key, peer) or 0)
  if had == bit or had == 3 then return had end
  exceed()
  if had == 0 and redis.call('HLEN', peers_key) >= max_peers then
    redis.call('HDEL', peers_key, redis.call('HRANDFIELD', peers_key))
  end
  redis.call('HSET', peers_key, peer, had + bit)
  redis.call('PEXPIRE', peers_key, peers_ms)
  if had ~= 1 then
    redis.call('PUBLISH', seen_channel, 'peer ' .. peer)
  end
  return had
end
