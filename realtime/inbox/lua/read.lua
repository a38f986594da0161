-- read returns {epoch, floor, last, settled, page}; see page.lua.
local at_epoch = ARGV[4] -- epoch of the reader's position
local at_id    = ARGV[5] -- stream id of the position; ignored if the epoch is another one
-- ARGV[6..7]: limits of the page. ARGV[8..10]: seen, base and held of the position

save()
commit(false)
local same = at_epoch == epoch
return {epoch, floor, last, settled,
  page(same and at_id or '0-0', tonumber(ARGV[6]), tonumber(ARGV[7]), same and {ARGV[8], ARGV[9], ARGV[10]})}
