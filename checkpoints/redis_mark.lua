-- Marks a thread as being written by a process, before it commits elsewhere. KEYS[2] is a hash of
-- m<process> -> epoch of those at it, and g: the stamp under which the thread was left whole.
-- ARGV: ttl, process, epoch, generation. Answers: left whole and not marked since, whether this
-- process had marked it, and the server's run id, which a restart or a failover changes.
local ttl, process, epoch, generation = unpack(ARGV)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local fields, others, mine = redis.call('HGETALL', index), 0, 0
local stamp = ''
for at = 1, #fields, 2 do
  local name, value = fields[at], fields[at + 1]
  if name == 'g' then
    stamp = value
  elseif name == 'm' .. process then
    mine = 1
  elseif epoch ~= '' and value ~= '' and value < epoch then
    redis.call('HDEL', index, name) -- superseded: it cannot commit any more
    others = others + 1
  else
    others = others + 1
  end
end
local whole = others + mine == 0 and stamp == generation .. ':' .. run
redis.call('HSET', index, 'm' .. process, epoch)
if ttl ~= '' then redis.call('PEXPIRE', index, ttl) end
return { whole and 1 or 0, mine, run }
