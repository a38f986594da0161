-- heal removes from out the messages that the caller found not to wait. It returns {messages, bytes}.
local out_key = KEYS[1]
-- ARGV: for each message its field and the value that the caller read. A message with another value was sent again.
local bytes = 0
for i = 1, #ARGV, 2 do
  local field = ARGV[i]
  local value = ARGV[i + 1]
  if redis.call('HGET', out_key, field) == value then
    redis.call('HDEL', out_key, field)
    bytes = bytes - tonumber(string.match(value, '^%d+'))
  end
end
local fields = redis.call('HLEN', out_key)
if fields <= 1 and redis.call('HEXISTS', out_key, 'bytes') == fields then
  redis.call('DEL', out_key)
  return {0, 0}
end
local sum = redis.call('HINCRBY', out_key, 'bytes', bytes)
return {math.max(redis.call('HLEN', out_key) - 1, 0), math.max(sum, 0)}
