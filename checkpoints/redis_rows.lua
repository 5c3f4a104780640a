-- Reads a page of checkpoints, last first. ARGV: ttl or 'keep', highest and lowest of the sorted
-- set, how many. Answers with salt, thread id, then for each <ns>\0<id>, record, writes.
local ttl, highest, lowest, count = unpack(ARGV)
local salt = salt_of_whole()
if not salt then return {} end
if ttl ~= 'keep' then touch(ttl) end
local page = { salt, redis.call('HGET', hash, 't') }
local members = redis.call('ZREVRANGEBYLEX', index, highest, lowest, 'LIMIT', 0, count)
for _, member in ipairs(members) do
  local record, writes = unpack(redis.call('HMGET', hash, 'c' .. member, 'w' .. member))
  page[#page + 1] = member
  page[#page + 1] = record or ''
  page[#page + 1] = writes or ''
end
return page
