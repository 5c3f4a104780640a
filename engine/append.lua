-- Append a batch of one claim's events to its thread's stream, whose ids are `{epoch}-{seq}`.
-- KEYS: the stream, its size in bytes.
-- ARGV: epoch, seq that must be the last one there (-1: any), seq of the batch's last event, batch,
--       most bytes, most entries, seconds to keep, channel, who writes.
-- Returns {outcome, seq, listeners}: 1 appended; 0 the last seq of this epoch there is another,
-- which comes back; -1 a later epoch has begun.
local epoch, before = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local there = 0
if last then
    local e, s = string.match(last[1], '(%d+)-(%d+)')
    if tonumber(e) > epoch then
        return {-1, 0, 0}
    elseif tonumber(e) == epoch then
        there = tonumber(s)
    end
end
if before >= 0 and there ~= before then
    return {0, there, 0}
end
redis.call('XADD', KEYS[1], ARGV[1] .. '-' .. ARGV[3], 'b', ARGV[4])
local size = redis.call('INCRBY', KEYS[2], #ARGV[4])
local entries = redis.call('XLEN', KEYS[1])
while entries > 1 and (size > tonumber(ARGV[5]) or entries > tonumber(ARGV[6])) do
    local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', KEYS[1], first[1])
    size = redis.call('DECRBY', KEYS[2], #first[2][2])
    entries = entries - 1
end
redis.call('EXPIRE', KEYS[1], ARGV[7])
redis.call('EXPIRE', KEYS[2], ARGV[7])
return {1, tonumber(ARGV[3]), redis.call('PUBLISH', ARGV[8], ARGV[9])}
