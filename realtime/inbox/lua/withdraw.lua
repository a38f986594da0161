-- withdraw removes waiting messages from the middle of an inbox. Before the call, the refused events must be in the
-- inboxes of their senders. It returns {messages, bytes} of the messages that it removed.
--
-- settled, last and floor do not change, so no reader takes the removed events for a gap. A message that a device of
-- the owner may have already is kept in removed, as far as there is room: to free memory, most must really go.
local removed_key = KEYS[#KEYS]
local presence_key  = KEYS[6]            -- exists if the owner is connected to an instance
local seen_key      = KEYS[7]            -- string: when the owner was last connected, microseconds
-- Constants: keep_removed (how long removed messages are kept, ms), max_removed and max_removed_bytes (how many are kept,
-- and their bytes), presence_lag (by how much presence may lag, ms)
-- ARGV[4..]: for each message its field of pending and its stream id

if unsaved then return {0, 0} end -- there is no inbox
exceed()
forget_marked()
local seen_ms = now_ms
if redis.call('EXISTS', presence_key) == 0 then
  seen_ms = math.floor(tonumber(redis.call('GET', seen_key) or 0) / 1000) + presence_lag
end
local messages, removed_bytes = 0, 0
local number = removals + 1
for i = 4, #ARGV, 2 do
  local field = ARGV[i]
  local id    = ARGV[i + 1]
  local record = redis.call('HGET', pending_key, field) or ''
  local rest, more = string.match(record, '^%S+ (%S+ %S+ (%d+) %S+)')
  local restored = string.find(record, ' restored', 1, true)
  local ms = parts(id)
  if rest and string.match(record, '^%S+') == id and not (restored and ms > now_ms - keep_removed) then
    local entry = before(settled, id) and redis.call('XRANGE', inbox_key, id, id)[1]
    if entry then
      local value = whole(number) .. ' ' .. field .. ' ' .. rest .. ' ' .. entry[2][4]
      if ms <= seen_ms and redis.call('HLEN', removed_key) <= max_removed
        and tonumber(redis.call('HGET', removed_key, 'bytes') or 0) + #value <= max_removed_bytes then
        redis.call('HSET', removed_key, id, value)
        redis.call('HINCRBY', removed_key, 'bytes', #value)
        redis.call('PEXPIRE', removed_key, keep_removed)
      end
      drop(id)
      messages, removed_bytes = messages + 1, removed_bytes + tonumber(more)
    end
    clear({field, id})
  end
end
if messages > 0 then changed.removals = number end
commit(true)
return {messages, removed_bytes}
