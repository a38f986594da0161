-- unsettled answers {epoch, acked, last, more ("1" or "0"), entries in (acked, to]}.
local to    = ARGV[9]
local limit = tonumber(ARGV[10])
if not before(acked, to) then return {epoch, acked, last, '0', {}} end
local entries = redis.call('XRANGE', inbox_key, '(' .. acked, to, 'COUNT', limit)
return {epoch, acked, last, #entries == limit and '1' or '0', entries}
