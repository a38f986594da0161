-- heal removes from out the messages that the caller found not to wait. It returns {messages, bytes}.
local out_key = KEYS[1]
-- ARGV: for each message its field and the value that the caller read. A message with another value was sent again.
local messages, bytes, rest = string.match(redis.call('HGET', out_key, 'totals') or '', '^(%d+) (%d+) (%d+ %d+)$')
if not messages then return {0, 0} end
for i = 1, #ARGV, 2 do
  local field = ARGV[i]
  local value = ARGV[i + 1]
  if redis.call('HGET', out_key, field) == value then
    redis.call('HDEL', out_key, field)
    messages, bytes = messages - 1, bytes - tonumber(string.match(value, '^%d+'))
  end
end
messages, bytes = math.max(messages, 0), math.max(bytes, 0)
redis.call('HSET', out_key, 'totals', string.format('%.0f %.0f ', messages, bytes) .. rest)
return {messages, bytes}
