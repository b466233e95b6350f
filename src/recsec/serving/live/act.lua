-- One event of a bound history, kept at once or not at all; see History.act and Pace.due.
-- KEYS: 1 the history: a list of "when it counts" and "item", the oldest first
-- ARGV: 1 now, 2 the item; empty: none, 3 newest events that are kept, 4 how many the pace looks at,
--       5 seconds for which it is kept, 6 number of windows, then length and most events of each,
--       then, if it is known what to begin with, "seed" and what is in the list then
-- Returns: nothing where nobody knows the history; else when the event counts, then the list
local now, longest, memory = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
local seed = 7 + 2 * tonumber(ARGV[6])
if redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[seed] ~= 'seed' then return nil end
  for at = seed + 1, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[at]) end
end

local function said()
  local out = redis.call('LRANGE', KEYS[1], 0, -1)
  redis.call('EXPIRE', KEYS[1], ARGV[5])
  return out
end

if ARGV[2] == '' then
  local out = said()
  table.insert(out, 1, ARGV[1])
  return out
end

local kept = redis.call('LRANGE', KEYS[1], 0, -1)
local times, waiting = {}, 0
for at, one in ipairs(kept) do
  times[at] = tonumber(string.match(one, '^%S+'))
  if times[at] > now then waiting = waiting + 1 end
end
local due = now
for at = 7, seed - 1, 2 do
  local most = tonumber(ARGV[at + 1])
  if #times >= most then due = math.max(due, times[#times - most + 1] + tonumber(ARGV[at])) end
end
if #times > 0 then due = math.max(due, times[#times]) end
local told = string.format('%.17g', due)
if not (due > now and waiting >= memory) then
  redis.call('RPUSH', KEYS[1], told .. ' ' .. ARGV[2])
  local over = #kept + 1 - math.max(longest, memory) - waiting
  if over > 0 then redis.call('LTRIM', KEYS[1], over, -1) end
end
local out = said()
table.insert(out, 1, told)
return out
