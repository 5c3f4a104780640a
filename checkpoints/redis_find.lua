-- Reads a checkpoint. ARGV: ttl, epoch, ns, id or '' for the latest, id whose elements are not
-- wanted. Answers with salt, id, record, writes, packs of the elements of all ranges.
local ttl, epoch, ns, id, known = unpack(ARGV)
local salt = salt_of_whole()
admit(epoch)
touch(ttl)
if not salt then return false end
local member = ns .. '\0' .. id
if id == '' then
  local all = { '(' .. ns .. '\1', '[' .. member }
  member = redis.call('ZREVRANGEBYLEX', index, all[1], all[2], 'LIMIT', 0, 1)[1]
  if not member then return false end
  id = string.sub(member, #ns + 2)
end
local record, writes = unpack(redis.call('HMGET', hash, 'c' .. member, 'w' .. member))
if not record then return false end
local packs = {}
if id ~= known then packs = elements_of(all_ranges(record, writes)) end
return { salt, id, record, writes or '', unpack(packs) }
