-- acquaint records what the archive knows of two users. It returns 1.
local peer = ARGV[4]
if ARGV[5] == '1' then know(peer, 1) end -- the owner has written to peer
if ARGV[6] == '1' then know(peer, 2) end -- peer has written to the owner
return 1
