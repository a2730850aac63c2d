-- Takes a device off a bed that it has left: what inputs before an offset put there, and nothing newer, whoever may have
-- written that meanwhile; and the bed off its ward where nothing else is.
--
-- KEYS: bed:{ward}:<bed>, beds:{ward}. ARGV: device, bed, offset.
local kept, others, gone = false, false, {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local field, value = fields[i], fields[i + 1]
  local device = string.match(field, '^on:[^:]*:(.*)$') or string.match(field, '^%a+:(.*)$')
  if device == ARGV[1] then
    local at = string.match(value, '"last_offset":(%d+)') or string.match(value, '"offset":(%d+)')
    if at and tonumber(at) >= tonumber(ARGV[3]) then
      kept = true
    else
      gone[#gone + 1] = field
    end
  elseif device then
    others = true
  end
end

for i = 1, #gone do
  if not kept or string.sub(gone[i], 1, 5) ~= 'risk:' then
    redis.call('HDEL', KEYS[1], gone[i])
  end
end
if not kept and not others then
  redis.call('DEL', KEYS[1])
  redis.call('SREM', KEYS[2], ARGV[2])
end
return #gone
