-- Stores puts of one thread. ARGV: a fresh salt, ttl, thread id, '1' to keep only heads, then for
-- each put: epoch, salt it rests on, <ns>\0<id>, nonce, record, elements it rests on, number of
-- elements, and each one's name and bytes. Answers for each put with the salt or a refusal.
local fresh, ttl, thread_id, heads_only = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local salt = salt_of_whole()

-- A failover forgets the newest commits without a trace but for the elements they brought.
local function rests_on_lost(needed)
  for at = 1, #needed, 13 do
    if redis.call('HEXISTS', hash, string.sub(needed, at, at + 12)) == 0 then return true end
  end
  return false
end

local function refuse(epoch, rests_on, needed)
  if not admit(epoch) then return 'superseded' end
  if rests_on == '' then return nil end
  if rests_on ~= salt then return 'incomplete' end
  if rests_on_lost(needed) then
    salt = fresh -- nobody else shall rest on them either
    redis.call('HSET', hash, 's', salt)
    return 'incomplete'
  end
  return nil
end

local function add_writes(member, nonce, record)
  local field = 'w' .. member
  local writes, at = redis.call('HGET', hash, field) or '', 1
  while at <= #writes do
    if string.sub(writes, at + 4, at + 11) == nonce then return end
    at = at + 4 + struct.unpack('>I4', writes, at)
  end
  redis.call('HSET', hash, field, writes .. struct.pack('>I4', #nonce + #record) .. nonce .. record)
end

local function remove_below_head(member)
  local ns = string.match(member, '^[^%z]*')
  local all = { '(' .. ns .. '\1', '[' .. ns .. '\0' }
  local head = redis.call('ZREVRANGEBYLEX', index, all[1], all[2], 'LIMIT', 0, 1)[1]
  for _, old in ipairs(redis.call('ZRANGEBYLEX', index, all[2], '(' .. head)) do
    redis.call('HDEL', hash, 'c' .. old, 'w' .. old)
    redis.call('ZREM', index, old)
  end
end

local function store(member, nonce, record, first, last)
  if not salt then
    salt = fresh
    redis.call('HSET', hash, 's', salt, 't', thread_id)
    redis.call('ZADD', index, 0, '')
  end
  for at = first, last, CHUNK do
    redis.call('HSET', hash, unpack(ARGV, at, math.min(at + CHUNK - 1, last)))
  end
  if nonce ~= '' then return add_writes(member, nonce, record) end
  redis.call('HSET', hash, 'c' .. member, record)
  redis.call('ZADD', index, 0, member)
  if heads_only then remove_below_head(member) end
end

local outcomes, at, refusal = {}, 5, nil
while at <= #ARGV do
  local epoch, rests_on, member, nonce, record, needed, count = unpack(ARGV, at, at + 6)
  local last = at + 6 + 2 * count
  refusal = refusal or refuse(epoch, rests_on, needed)
  if not refusal then store(member, nonce, record, at + 7, last) end
  outcomes[#outcomes + 1] = refusal or salt
  at = last + 1
end
touch(ttl)
return table.concat(outcomes, ' ')
