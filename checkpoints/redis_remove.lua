-- Removes checkpoints with their writes, writes of checkpoints that stay, and such elements as
-- nothing that stays rests on: a checkpoint may have been written since the caller looked.
-- ARGV: fresh salt, ranges, number of checkpoints, <ns>\0<id> of each, then <ns>\0<id> and body of
-- each of the writes.
if not salt_of_whole() then return end
local last = 3 + tonumber(ARGV[3])
for at = 4, last do
  redis.call('HDEL', hash, 'c' .. ARGV[at], 'w' .. ARGV[at])
  redis.call('ZREM', index, ARGV[at])
end

local function remove_writes(member, body)
  local field = 'w' .. member
  local writes, at, left = redis.call('HGET', hash, field) or '', 1, {}
  while at <= #writes do
    local after = at + 4 + struct.unpack('>I4', writes, at)
    local parent = at + 16 + 16 * struct.unpack('>I4', writes, at + 12)
    local start = parent + 2 + struct.unpack('>I2', writes, parent)
    if string.sub(writes, start, after - 1) ~= body then
      left[#left + 1] = string.sub(writes, at, after - 1)
    end
    at = after
  end
  if #left == 0 then redis.call('HDEL', hash, field) return end
  redis.call('HSET', hash, field, table.concat(left))
end

for at = last + 1, #ARGV, 2 do remove_writes(ARGV[at], ARGV[at + 1]) end

local function reach_of_what_stays()
  local reach = {} -- by stream and first seq, the farthest seq after the last
  for _, field in ipairs(redis.call('HKEYS', hash)) do
    local kind, ranges = string.sub(field, 1, 1), ''
    if kind == 'c' then ranges = all_ranges(redis.call('HGET', hash, field), nil) end
    if kind == 'w' then ranges = all_ranges(nil, redis.call('HGET', hash, field)) end
    each_range(ranges, function(stream, lo, hi)
      reach[stream] = reach[stream] or {}
      reach[stream][lo] = math.max(hi, reach[stream][lo] or 0)
    end)
  end
  return reach
end

local function reached(reach, seq)
  for lo, hi in pairs(reach or {}) do
    if lo <= seq and seq < hi then return true end
  end
  return false
end

local reach = reach_of_what_stays()
each_range(ARGV[2], function(stream, lo, hi)
  for seq = lo, hi - 1 do
    if not reached(reach[stream], seq) then
      redis.call('HDEL', hash, 'e' .. stream .. struct.pack('>I4', seq))
    end
  end
end)
redis.call('HSET', hash, 's', ARGV[1])
