-- unsettled returns {epoch, settled, last, more ("1" or "0"), entries in (settled, to]}.
local to    = ARGV[12]
local limit = tonumber(ARGV[13])
save()
if not before(settled, to) then return {epoch, settled, last, '0', {}} end
local entries = redis.call('XRANGE', inbox_key, '(' .. settled, to, 'COUNT', limit)
return {epoch, settled, last, #entries == limit and '1' or '0', entries}
