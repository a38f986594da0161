-- enqueue puts a message into its recipient's inbox, once. It returns {result, accepted_at}, where result is one of
-- queued, again (with the time of the first send), id_reused, no_gate, unknown, unavailable, held, full, stranger, known
-- (the recipient gets messages only from people to whom they have written).
-- Unless the result is queued, it creates nothing. After queued comes 'away' if the recipient should be notified of the
-- message: a device is registered for push, nobody looks at any, and the recipient has written to the sender. It is
-- 'asked' if peers does not know of the latter.
local gate_key     = KEYS[6]          -- hash: exists, disabled, push ("1" or "0"), blocked (JSON array of uids), privacy
local presence_key = KEYS[7]          -- sorted set: instance -> when its lease expires, ms, and 0.5 more if one looks
local from         = ARGV[4]          -- sender
local message_id  = ARGV[5]
local digest       = ARGV[6]          -- of the fields that the sender chose
local event        = ARGV[7]          -- JSON
local at           = ARGV[8]          -- the same as in event
local accepted_at  = ARGV[9]          -- the same as in event
local held         = ARGV[10] == '1'  -- a limit of the sender is reached: accept only a message that waits already
local first        = ARGV[11] == '1'  -- the caller does not know that the sender has written to the recipient
-- Constants: check_gate (whether there are gates), waits (whether callers wait for a replica), and the limits of the
-- messages that wait in this inbox, and of their bytes: of all (max_all, max_all_bytes), of this sender (max_from), and
-- of this sender as long as the recipient has not written to them (max_stranger). Each limit of bytes admits one message
-- of any size.

local field = from .. '/' .. message_id
local record = redis.call('HGET', pending_key, field)
if record then
  local id, known_digest, known_at = string.match(record, '^(%S+) (%S+) (%S+)')
  -- A record is valid only while its message is in the stream and not settled. Otherwise the message would never
  -- arrive, although its sender sees it as sent.
  if before(settled, id) and redis.call('XRANGE', inbox_key, id, id)[1] then
    if known_digest ~= digest then return {'id_reused', ''} end
    if waits then
      -- The caller waits until a replica has the writes of its connection, and another connection wrote the message.
      -- These two change nothing, are replicated, and work while Redis is full.
      redis.call('PEXPIREAT', meta_key, whole(now_ms + expire_ms))
      redis.call('PERSIST', meta_key)
    end
    return {'again', known_at}
  end
  clear({field, id})
  commit(false)
end

-- answered reports whether the recipient is known to have written to the sender.
local function answered() return tonumber(redis.call('HGET', peers_key, from) or 0) % 2 == 1 end

local push = false
if check_gate then
  local gate = redis.call('HMGET', gate_key, 'exists', 'blocked', 'disabled', 'push', 'privacy')
  if not gate[1] then return {'no_gate', ''} end
  if gate[1] ~= '1' then return {'unknown', ''} end
  if gate[3] == '1' or gate[2] and string.find(gate[2], '"' .. from .. '"', 1, true) then
    return {'unavailable', ''}
  end
  if string.find(gate[5] or '', 'known', 1, true) and not answered() then return {'known', ''} end
  push = gate[4] == '1' and string.sub(digest, 1, 1) ~= '~' -- the digest of a change begins with ~
end

-- looks reports whether somebody looks at a device of the recipient.
local function looks()
  local leases = redis.call('ZRANGEBYSCORE', presence_key, whole(now_ms), '+inf', 'WITHSCORES')
  for i = 2, #leases, 2 do
    if tonumber(leases[i]) % 1 > 0 then return true end
  end
  return false
end

if held then return {'held', ''} end

local function beyond(max_messages, max_bytes, messages, size_of_all)
  return messages >= max_messages or messages > 0 and size_of_all + #event > max_bytes
end
-- limit returns the limit that the message exceeds, or nil.
local function limit()
  local n, b = unpack(counter(from))
  if beyond(max_all, max_all_bytes, wait_count(), waiting_bytes)
    or beyond(max_from, max_from_bytes, n, b) then
    return 'full'
  end
  if beyond(max_stranger, max_stranger_bytes, n, b) and not answered() then return 'stranger' end
end
-- away returns whether the recipient should be notified, as the script returns it.
local function away()
  if not push or looks() then return '' end
  return answered() and 'away' or 'asked'
end
local exceeded = limit()
if exceeded and forget_marked() then
  exceeded = limit()
  if exceeded then commit(false) end
end
if exceeded then return {exceeded, ''} end

queue(field, event, digest .. ' ' .. accepted_at .. ' ' .. #event .. ' ' .. at)
if first then know(from, 2) end
trim_sometimes()
commit(true)
return {'queued', accepted_at, away()}
