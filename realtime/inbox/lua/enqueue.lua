-- enqueue puts a message into its recipient's inbox, once. It returns {result, accepted_at}, where result is one of
-- queued, again (with the time of the first send), id_reused, no_gate, unknown, disabled, blocked, full.
local gate_key    = KEYS[4]            -- hash: exists, disabled ("1" or "0"), blocked (JSON array of uids)
local from        = ARGV[9]            -- sender
local message_id  = ARGV[10]
local digest      = ARGV[11]           -- of the fields that the sender chose
local event       = ARGV[12]           -- JSON
local accepted_at = ARGV[13]           -- the same as in event
local check_gate  = ARGV[14] == '1'
local max_waiting = tonumber(ARGV[15]) -- in this inbox
local max_from    = tonumber(ARGV[16]) -- in this inbox from one sender

local field = from .. '/' .. message_id
local record = redis.call('HGET', pending_key, field)
if record then
  local id, known_digest, known_at = string.match(record, '^(%S+) (%S+) (%S+)$')
  -- A record is valid only while its message is in the stream and not settled. Otherwise the message would never
  -- arrive, although its sender sees it as sent.
  if before(settled, id) and redis.call('XRANGE', inbox_key, id, id)[1] then
    if known_digest ~= digest then return {'id_reused', ''} end
    return {'again', known_at}
  end
  clear(field, id)
end

if check_gate then
  local gate = redis.call('HMGET', gate_key, 'exists', 'blocked', 'disabled')
  if not gate[1] then return {'no_gate', ''} end
  if gate[1] ~= '1' then return {'unknown', ''} end
  if gate[3] == '1' then return {'disabled', ''} end
  if gate[2] and string.find(gate[2], '"' .. from .. '"', 1, true) then return {'blocked', ''} end
end

if redis.call('HLEN', pending_key) >= max_waiting
  or tonumber(redis.call('HGET', meta_key, 'from:' .. from) or 0) >= max_from then
  return {'full', ''}
end

local id = add('message', event)
redis.call('HSET', pending_key, field, id .. ' ' .. digest .. ' ' .. accepted_at)
redis.call('HINCRBY', meta_key, 'from:' .. from, 1)
trim(16)
touch()
return {'queued', accepted_at}
