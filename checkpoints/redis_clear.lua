-- Takes back a process's mark. KEYS[2] as in redis_mark. ARGV: process, the generation in which
-- the thread is whole or '', the run id of the server that it was made whole on.
local process, generation, run = unpack(ARGV)
local here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local had = redis.call('HDEL', index, 'm' .. process) == 1
redis.call('HDEL', index, 'g')
local fields = redis.call('HKEYS', index)
if had and #fields == 0 and generation ~= '' and run == here then
  redis.call('HSET', index, 'g', generation .. ':' .. run)
end
return had and 1 or 0
