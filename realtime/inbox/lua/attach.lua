-- attach begins a device's reading, which counts as a use of the inbox, if the gate of its user admits the sign-in. It
-- restores the removed messages that the device has, if it can resume at its cursor. It returns {gate, epoch, floor,
-- last, settled, 1 if the device resumes or 0, the id of the first entry if it is not above the floor and the device
-- does not resume, else '', removals, page}; see page.lua. There is no page if its limit is 0. If the gate is missing or
-- does not admit the sign-in, attach writes nothing and returns {gate}.
local devices_key = KEYS[6] -- hash: device = when it attached last, ms
local gate_key    = KEYS[7] -- hash: exists, disabled ("1" or "0"), valid_after, ended, blocked, signed_out, push,
                            -- limited_until, privacy, unverified
local of_epoch = ARGV[4]
local at_id    = ARGV[5] -- of the cursor; seen, base and held follow
local device   = ARGV[9] -- '' if the caller does not know it
-- ARGV[10..11]: limits of the page
local auth_time = ARGV[12] -- when the user signed in, s, or '' if the gate does not matter
-- Constants: keep_devices (how long a device is remembered, ms) and max_devices

-- admits is Gate.Admit of package gate. valid_after is in microseconds, and ended is a JSON array of seconds.
local function admits(gate)
  if gate[1] ~= '1' or gate[2] == '1' then return false end
  local valid_after = tonumber(gate[3])
  if not valid_after or tonumber(auth_time) < math.floor(valid_after / 1000000) then return false end
  for ended in string.gmatch(gate[4] or '', '%d+') do
    if ended == auth_time then return false end
  end
  return true
end

local gate = {}
if auth_time ~= '' then
  gate = redis.call('HMGET', gate_key, 'exists', 'disabled', 'valid_after', 'ended', 'blocked', 'signed_out',
    'push', 'limited_until', 'privacy', 'unverified')
  if not admits(gate) then return {gate} end
end
save()
forget_marked()
local resumes = of_epoch == epoch and not before(at_id, floor) and not before(last, at_id)
if resumes then
  restore_held(at_id, ARGV[6], ARGV[7], ARGV[8])
end
commit(true)
redis.call('PEXPIRE', peers_key, peers_ms)
if device ~= '' then
  if redis.call('HSET', devices_key, device, whole(now_ms)) == 1 and redis.call('HLEN', devices_key) > max_devices then
    -- Others are known, so sent events are written in any case. Make room for a device that comes later.
    redis.call('HDEL', devices_key, device)
    local all = redis.call('HGETALL', devices_key)
    for i = 1, #all, 2 do
      if tonumber(all[i + 1]) < now_ms - keep_devices then redis.call('HDEL', devices_key, all[i]) end
    end
  end
  redis.call('PEXPIRE', devices_key, keep_devices)
end
local from, first = at_id, ''
if not resumes then
  from = floor
  -- Receipts that were shed between waiting messages have raised the floor above these.
  local oldest = redis.call('XRANGE', inbox_key, '-', '+', 'COUNT', 1)[1]
  if oldest and not before(floor, oldest[1]) then from, first = '0-0', oldest[1] end
end
local limit = tonumber(ARGV[10])
return {gate, epoch, floor, last, settled, resumes and 1 or 0, first, whole(removals),
  limit > 0 and page(from, limit, tonumber(ARGV[11]), resumes and {ARGV[6], ARGV[7], ARGV[8]})}
