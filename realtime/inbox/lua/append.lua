-- append adds events other than messages to an inbox. It returns how many of them were shed.
for i = 9, #ARGV, 2 do
  local kind  = ARGV[i]
  local event = ARGV[i + 1] -- JSON
  add(kind, event)
end
trim(16)
touch()
return shed
