-- Puts alerts of one ward into its stream and onto its beds, each once, and moves the publisher's position on.
--
-- KEYS: alerts:{ward}, fence:{ward}, position:{ward}, beds:{ward}, then one bed:{ward}:<bed> for each alert.
-- ARGV: the position that the caller believes is stored, the position after this call, then for each alert: offset in
--       the alert topic, device, input offset, ordinal, ward, bed, condition, priority, phase, id, "1" where the alarm
--       shows, the risk as JSON or "", the alert as JSON, the head of the device's chain before it or "".
-- Returns {"ok", written, fenced, conflicts, forks}, each a list of offsets in the alert topic; {"behind", position}
-- where Redis holds less than the caller believes; {"conflict", last id} where the stream is ahead of the fence.
-- Nothing was written in the last two cases.
--
-- A device's field of the fence holds its last alerts, the newest first, a line each: input offset, ordinal, and the
-- first 16 digits of the SHA-1 of id, JSON and chain ("-" for none). At or below the first line's place, and where the
-- id is there, nothing is written. A conflict is an id that comes with other bytes, and an alert at a place that the
-- lines cover which is in none of them; a fork is another alert behind the same one, and is written if it is newer.
local MOST = 2400

local stored = tonumber(redis.call('GET', KEYS[3]) or '0')
if stored < tonumber(ARGV[1]) then
  return {'behind', stored}
end

local function digest(text)
  return string.sub(redis.sha1hex(text), 1, 16)
end

-- Says whether the lines reach back to a place.
local function covered(lines, offset, ordinal)
  local at, nth = string.match('\n' .. lines, '^.*\n(%d+) (%d+) [^\n]*\n$')
  return at and (offset > tonumber(at) or (offset == tonumber(at) and ordinal >= tonumber(nth)))
end

local written, fenced, conflicts, forks = {}, {}, {}, {}
for i = 3, #ARGV, 14 do
  local device, offset, ordinal, json = ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 12]
  local place, id, bytes = tonumber(ARGV[i]), digest(ARGV[i + 9]), digest(json)
  local chain = ARGV[i + 13] == '' and '-' or digest(ARGV[i + 13])
  local lines = redis.call('HGET', KEYS[2], device) or ''
  local at, nth = string.match(lines, '^(%d+) (%d+) ')
  local below = at and (offset < tonumber(at) or (offset == tonumber(at) and ordinal <= tonumber(nth)))
  local held = string.match(lines, ' ' .. id .. ' (%x+) ')
  if not held and chain ~= '-' and string.find(lines, ' ' .. chain .. '\n', 1, true) then
    forks[#forks + 1] = place
  elseif (held and held ~= bytes) or (not held and below and covered(lines, offset, ordinal)) then
    conflicts[#conflicts + 1] = place
  end
  if held or below then
    fenced[#fenced + 1] = place
  else
    local bed, condition = KEYS[5 + (i - 3) / 14], ARGV[i + 6]
    local added = redis.pcall('XADD', KEYS[1], ARGV[i] .. '-1', 'alert', json, 'device', device, 'bed', ARGV[i + 5],
      'condition', condition, 'priority', ARGV[i + 7], 'phase', ARGV[i + 8], 'id', ARGV[i + 9])
    if type(added) == 'table' and added.err then
      if #written > 0 then
        return added
      end
      return {'conflict', added.err}
    end
    lines = ARGV[i + 2] .. ' ' .. ARGV[i + 3] .. ' ' .. id .. ' ' .. bytes .. ' ' .. chain .. '\n' .. lines
    if #lines > MOST then
      lines = string.match(string.sub(lines, 1, MOST), '^.*\n')
    end
    redis.call('HSET', KEYS[2], device, lines)
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
    written[#written + 1] = place
  end
end

if tonumber(ARGV[2]) > stored then
  redis.call('SET', KEYS[3], ARGV[2])
end
return {'ok', written, fenced, conflicts, forks}
