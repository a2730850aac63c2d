-- Puts alerts of one ward into its stream and onto its beds, each once, and moves the publisher's position on.
--
-- KEYS: alerts:{ward}, fence:{ward}, position:{ward}, beds:{ward}, then one bed:{ward}:<bed> for each alert.
-- ARGV: the position that the caller believes is stored, the position after this call, the entries that the stream
--       keeps, then for each alert: offset in the alert topic, device, input offset, ordinal, ward, bed, condition,
--       priority, phase, id, "1" where the alarm shows, the risk as JSON or "", the alert as JSON.
-- Returns {"ok", written, fenced, conflicts}; {"behind", position} where Redis holds less than the caller believes;
-- {"conflict", last id} where the stream is ahead of the fence. Nothing was written in the last two cases.
local stored = tonumber(redis.call('GET', KEYS[3]) or '0')
if stored < tonumber(ARGV[1]) then
  return {'behind', stored}
end

local written, fenced, conflicts = 0, 0, 0
for i = 4, #ARGV, 13 do
  local device, offset, ordinal, json = ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 12]
  local mark = ARGV[i + 2] .. ' ' .. ARGV[i + 3] .. ' ' .. redis.sha1hex(json)
  local last = redis.call('HGET', KEYS[2], device)
  local at, nth = -1, -1
  if last then
    at, nth = string.match(last, '^(%d+) (%d+) ')
    at, nth = tonumber(at), tonumber(nth)
  end
  if offset < at or (offset == at and ordinal <= nth) then
    fenced = fenced + 1
    if offset == at and ordinal == nth and mark ~= last then
      conflicts = conflicts + 1
    end
  else
    local bed, condition = KEYS[5 + (i - 4) / 13], ARGV[i + 6]
    local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], ARGV[i] .. '-1', 'alert', json, 'device', device,
      'bed', ARGV[i + 5], 'condition', condition, 'priority', ARGV[i + 7], 'phase', ARGV[i + 8], 'id', ARGV[i + 9])
    if type(added) == 'table' and added.err then
      if written > 0 then
        return added
      end
      return {'conflict', added.err}
    end
    redis.call('HSET', KEYS[2], device, mark)
    redis.call('SADD', KEYS[4], ARGV[i + 5])
    redis.call('HSET', bed, 'ward', ARGV[i + 4], 'bed', ARGV[i + 5], 'latest', ARGV[i] .. '-1')
    if ARGV[i + 10] == '1' then
      redis.call('HSET', bed, 'on:' .. condition .. ':' .. device, json)
    else
      redis.call('HDEL', bed, 'on:' .. condition .. ':' .. device)
    end
    if ARGV[i + 11] ~= '' then
      redis.call('HSET', bed, 'risk:' .. device, ARGV[i + 11])
    end
    written = written + 1
  end
end

if tonumber(ARGV[2]) > stored then
  redis.call('SET', KEYS[3], ARGV[2])
end
return {'ok', written, fenced, conflicts}
