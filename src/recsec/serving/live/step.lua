-- One event, counted at once or not at all.
-- KEYS: 1 the account's age, 2 its evidence, 3 the period, then one for each rate
-- ARGV: 1 now, 2 seconds for which the age is kept, 3 seconds for which evidence is kept,
--       4 "1": there is evidence to keep, 5 the period it belongs to, 6 its version, 7 the evidence,
--       8 length of a period, 9 most accounts in one, 10 the age, if nobody knows another,
--       then for each rate: number of the window, requests, seconds for which it is kept
-- Returns: 1 whether the event was counted, 2 the age, 3 the period, 4 the version that is kept,
--          5 the evidence that is kept if it is another, then for each rate: window, before, now
local now = tonumber(ARGV[1])
local first = redis.call('GET', KEYS[1])
if not first or tonumber(ARGV[10]) < tonumber(first) then
  first = ARGV[10]
  redis.call('SET', KEYS[1], first)
end
redis.call('EXPIRE', KEYS[1], ARGV[2])

local out = {1, first, ARGV[5], ARGV[6], ''}
if ARGV[4] == '1' then
  local began = redis.call('HGET', KEYS[3], 'began')
  local accounts = tonumber(redis.call('HGET', KEYS[3], 'accounts') or '0')
  if not began then
    began = ARGV[5]
  end
  local kept = redis.call('HMGET', KEYS[2], 'period', 'version', 'evidence')
  local version = 0
  local function look()
    version = (kept[1] == began) and tonumber(kept[2]) or 0
  end
  look()
  if math.abs(now - tonumber(began)) >= tonumber(ARGV[8])
    or (version == 0 and ARGV[5] == began and accounts >= tonumber(ARGV[9])) then
    began, accounts = ARGV[1], 0
    look()
  end
  if ARGV[5] == began and tonumber(ARGV[6]) == version then
    if version == 0 then accounts = accounts + 1 end
    version = version + 1
    redis.call('HSET', KEYS[2], 'period', began, 'version', version, 'evidence', ARGV[7])
    redis.call('EXPIRE', KEYS[2], ARGV[3])
  else
    out[1] = 0
    if version > 0 then out[5] = kept[3] end
  end
  redis.call('HSET', KEYS[3], 'began', began, 'accounts', accounts)
  redis.call('EXPIRE', KEYS[3], ARGV[3])
  out[3], out[4] = began, tostring(version)
  if out[1] == 0 then return out end
end

for at = 4, #KEYS do
  local place = tonumber(ARGV[3 * at - 1])
  local hits = tonumber(ARGV[3 * at])
  local kept = redis.call('HMGET', KEYS[at], 'place', 'before', 'now')
  local there, before, count = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3])
  if not there then
    there, before, count = place, 0, hits
  elseif place == there + 1 then
    there, before, count = place, count, hits
  elseif place == there then
    count = count + hits
  elseif place == there - 1 then
    before = before + hits
  else
    there, before, count = place, 0, hits
  end
  redis.call('HSET', KEYS[at], 'place', there, 'before', before, 'now', count)
  redis.call('EXPIRE', KEYS[at], ARGV[3 * at + 1])
  out[#out + 1] = there
  out[#out + 1] = before
  out[#out + 1] = count
end
return out
