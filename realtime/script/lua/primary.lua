-- The first part of every script that must know which primary runs it.
local known_primary = ARGV[1]           -- its epoch, as the caller knows it, or ''
local known_until   = tonumber(ARGV[2]) -- until when that may be relied on, by the clock of this server, ms

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- primary_epoch returns the epoch of the primary that runs the script, a hash of its replication id and run id. A
-- restart changes the run id, and the promotion of a replica also changes the replication id. A server that reports
-- neither id, like miniredis, gets '0'; then only the nonce of an inbox tells its epochs apart.
--
-- A caller that sends an epoch has learned it on the same connection, so from the same process, less than a second ago
-- by the clock of this server. In this time no process ceases to be the primary, loses data to another one, and is
-- promoted again.
local function primary_epoch()
  if now_ms < known_until then return known_primary end
  local info = redis.pcall('INFO', 'server', 'replication')
  if type(info) ~= 'string' then return '0' end
  local function id_behind(name)
    local _, at = string.find(info, name, 1, true) -- a plain search takes a tenth of the time of a pattern
    return at and string.sub(info, at + 1, at + 40)
  end
  local run_id = id_behind('run_id:')
  local replid = id_behind('master_replid:')
  if not run_id and not replid then return '0' end
  return string.sub(redis.sha1hex((replid or '') .. (run_id or '')), 1, 12)
end
