-- What every script begins with. A thread has two keys, in one slot:
--   KEYS[1] hash: s salt, t thread id, p epoch (20 digits, so that text compares as numbers),
--     c<ns>\0<id> checkpoint record, w<ns>\0<id> its writes, e<stream><seq> element
--   KEYS[2] sorted set: <ns>\0<id> of each checkpoint, and '' so that it exists when there are none
-- A record is: number of ranges, ranges, length of the parent's id, the parent's id, body.
-- Writes are a sequence of: length of what follows, nonce, record. Numbers are big-endian.
-- Salts and streams stay text: a Lua number cannot hold 62 bits.
local hash, index = KEYS[1], KEYS[2]
local CHUNK = 1000 -- what `unpack` can surely put on the stack

local function drop_all_but_epoch()
  local epoch = redis.call('HGET', hash, 'p')
  redis.call('UNLINK', hash, index)
  if epoch then redis.call('HSET', hash, 'p', epoch) end
end

-- The salt, or false where there is no thread. What an eviction left of one is no thread.
local function salt_of_whole()
  local salt = redis.call('HGET', hash, 's')
  local indexed = redis.call('EXISTS', index) == 1
  if (salt ~= false) == indexed then return salt end
  drop_all_but_epoch()
  return false
end

-- Both keys expire at the same millisecond, `ttl` from now; never, when it is ''.
local function touch(ttl)
  if ttl == '' then
    redis.call('PERSIST', hash)
    redis.call('PERSIST', index)
    return
  end
  local now = redis.call('TIME')
  local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + ttl)
  redis.call('PEXPIREAT', hash, at)
  redis.call('PEXPIREAT', index, at)
end

-- Whether this epoch (or '', none) may write. A higher one becomes the thread's.
local function admit(epoch)
  if epoch == '' then return true end
  local stored = redis.call('HGET', hash, 'p')
  if stored and epoch < stored then return false end
  if epoch ~= stored then redis.call('HSET', hash, 'p', epoch) end
  return true
end

local function ranges_of(record, at)
  local count = struct.unpack('>I4', record, at)
  return string.sub(record, at + 4, at + 3 + 16 * count)
end

-- The ranges of a checkpoint's record and of its writes, as one string.
local function all_ranges(record, writes)
  local found, at = {}, 1
  if record then found[1] = ranges_of(record, 1) end
  while writes and at <= #writes do
    found[#found + 1] = ranges_of(writes, at + 12)
    at = at + 4 + struct.unpack('>I4', writes, at)
  end
  return table.concat(found)
end

-- Calls `visit` with stream, first seq, seq after the last.
local function each_range(ranges, visit)
  for at = 1, #ranges, 16 do
    visit(string.sub(ranges, at, at + 7), struct.unpack('>I4I4', ranges, at + 8))
  end
end

-- The elements in order, as MessagePack arrays of up to CHUNK; false for one that does not exist.
local function elements_of(ranges)
  local names, packs = {}, {}
  local function fetch()
    if #names == 0 then return end
    packs[#packs + 1] = cmsgpack.pack(redis.call('HMGET', hash, unpack(names)))
    names = {}
  end
  each_range(ranges, function(stream, lo, hi)
    local prefix, pack = 'e' .. stream, struct.pack
    for seq = lo, hi - 1 do
      names[#names + 1] = prefix .. pack('>I4', seq)
      if #names == CHUNK then fetch() end
    end
  end)
  fetch()
  return packs
end
