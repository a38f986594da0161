-- attach begins a device's reading, which counts as a use of the inbox.
-- It returns {epoch, floor, last, settled, id of the first entry or ''}.
save()
touch()
redis.call('PEXPIRE', peers_key, peers_ms)
local first = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', 1)[1]
return {epoch, floor, last, settled, first and first[1] or ''}
