-- Removes checkpoints with their writes, and such elements as nothing that stays rests on: a
-- checkpoint may have been written since the caller looked. ARGV: fresh salt, ranges, <ns>\0<id>...
if not salt_of_whole() then return end
for at = 3, #ARGV do
  redis.call('HDEL', hash, 'c' .. ARGV[at], 'w' .. ARGV[at])
  redis.call('ZREM', index, ARGV[at])
end

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
