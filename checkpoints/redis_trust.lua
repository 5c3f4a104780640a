-- Whether what is here of a thread may be believed. KEYS[2] as in redis_mark. ARGV: ttl, process,
-- generation. Answers: stamped in this generation, marked by this process, by others, run id.
local ttl, process, generation = unpack(ARGV)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local mine, others, stamp = 0, 0, ''
local fields = redis.call('HGETALL', index)
for at = 1, #fields, 2 do
  if fields[at] == 'g' then
    stamp = fields[at + 1]
  elseif fields[at] == 'm' .. process then
    mine = 1
  else
    others = others + 1
  end
end
if ttl ~= '' then redis.call('PEXPIRE', index, ttl) end
return { stamp == generation .. ':' .. run and 1 or 0, mine, others, run }
