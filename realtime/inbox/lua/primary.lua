-- shard names this life of the primary that runs the script: a restart has
-- another run id, a promoted replica another replication id as well. Asked for
-- here, inside the script, it is exact: no cache can be behind a failover.
-- (7 microseconds on Redis 7.) Where Redis has neither, as miniredis, the life stored in
-- each inbox's meta stands alone.
local function shard()
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
