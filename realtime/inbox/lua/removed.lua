-- The part of the scripts that know of messages which were removed from the middle of the stream while they waited
-- (DESIGN §5, "Withdraw"). A removed message is kept for some minutes if a device may have it already. If a cursor
-- proves that one does, the message is restored: it is queued again, and delivered to all devices like any other.
--
-- removals counts the calls that removed messages. A cursor has, beside its id, the part (seen, base, held): its device
-- has each message up to the id that a removal after seen removed, and each one up to held that a removal after base,
-- up to seen, removed.
-- hash: stream id = "<removal> <field of pending> <digest> <accepted_at> <bytes> <at> <event>", and the bytes of all
local removed_key = KEYS[#KEYS]

-- restore queues a removed message again. The record says so, because such a message is not withdrawn again soon.
local function restore(id, value)
  local field, rest, event = string.match(value, '^%d+ (%S+) (%S+ %S+ %d+ %S+) (.*)$')
  redis.call('HDEL', removed_key, id)
  redis.call('HINCRBY', removed_key, 'bytes', -#value)
  local record = redis.call('HGET', pending_key, field)
  if record then
    local known_id = string.match(record, '^%S+')
    if before(settled, known_id) and redis.call('XRANGE', inbox_key, known_id, known_id)[1] then -- it was sent again
      redis.call('HSET', pending_key, field, string.match(record, '^%S+ %S+ %S+ %S+ %S+') .. ' restored')
      return
    end
    clear({field, known_id})
  end
  queue(field, event, rest .. ' restored')
end

-- each_removed calls visit(id, removal, value) for each removed message that is kept.
local function each_removed(visit)
  local all = redis.call('HGETALL', removed_key)
  for i = 1, #all, 2 do
    if all[i] ~= 'bytes' then visit(all[i], tonumber(string.match(all[i + 1], '^%d+')), all[i + 1]) end
  end
end

-- restore_held restores the removed messages that a device with this cursor has.
local function restore_held(id, seen, base, held)
  seen, base = tonumber(seen), tonumber(base)
  if removals <= base then return end
  local found = {}
  each_removed(function(removed, removal, value)
    local upto = removal > seen and id or removal > base and held or '0-0'
    if not before(upto, removed) then found[#found + 1] = {removed, value} end
  end)
  table.sort(found, function(a, b) return before(a[1], b[1]) end)
  for _, f in ipairs(found) do restore(f[1], f[2]) end
end

-- pass returns {seen, base, held} for a reader that continues from one id to another. If it passes a removed message
-- that its device does not have, the removals so far count as seen.
local function pass(from, to, seen, base, held)
  if removals <= tonumber(seen) then return {seen, base, held} end
  local passed, holds, kept = false, false, false
  each_removed(function(removed, removal)
    kept = true
    if removal <= tonumber(seen) then return end
    if not before(from, removed) then
      holds = true
    elseif not before(to, removed) then
      passed = true
    end
  end)
  local now = whole(removals)
  if passed and holds then return {now, seen, from} end
  if passed or not kept then return {now, now, '0-0'} end
  return {seen, base, held}
end
