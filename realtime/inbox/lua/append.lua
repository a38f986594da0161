-- append puts events that are no messages into an inbox. Answers how many were shed.
for i = 9, #ARGV, 2 do
  local kind  = ARGV[i]
  local event = ARGV[i + 1] -- JSON
  add(kind, event)
end
trim(16)
touch()
return shed
