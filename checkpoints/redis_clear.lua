-- Takes back a process's mark. KEYS[2] as in redis_mark. ARGV: process, the generation in which
-- the thread is whole or '', the run id of the server that it was made whole on.
local process, generation, run = unpack(ARGV)
local here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
redis.call('HSET', index, 'g', '') -- never without a field, with which the time to live would go
local had = redis.call('HDEL', index, 'm' .. process) == 1
local fields = redis.call('HKEYS', index)
if had and #fields == 1 and generation ~= '' and run == here then
  redis.call('HSET', index, 'g', generation .. ':' .. run)
else
  redis.call('HDEL', index, 'g')
end
return had and 1 or 0
