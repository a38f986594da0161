-- primary_epoch returns the epoch of the primary that runs the script, a hash of its replication id and run id. A
-- restart changes the run id, and the promotion of a replica also changes the replication id. Because each script
-- computes it, it is exact: a cached value could be out of date after a failover. (It takes 7 microseconds on Redis 7.)
-- A server that reports neither id, like miniredis, gets '0'; then only the nonce of an inbox tells its epochs apart.
local function primary_epoch()
  local server = redis.pcall('INFO', 'server')
  local replication = redis.pcall('INFO', 'replication')
  if type(server) == 'string' and type(replication) == 'string' then
    local run_id = string.match(server, 'run_id:(%x+)')
    local replid = string.match(replication, 'master_replid:(%x+)')
    if run_id or replid then
      return string.sub(redis.sha1hex((replid or '') .. (run_id or '')), 1, 12)
    end
  end
  return '0'
end
