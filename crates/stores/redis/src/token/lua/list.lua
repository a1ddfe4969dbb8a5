-- KEYS: the index of all. ARGV: tag of the user, the id behind which to begin or nothing, limit.
local refused = may_read('ZREM', KEYS[1])
if refused then return failed(refused) end
local now, limit = clock(), tonumber(ARGV[3])
local from = ARGV[2] == '' and '[' .. ARGV[1] or '(' .. ARGV[1] .. ARGV[2]
local to = '[' .. ARGV[1] .. string.rep('\255', 32)
local members = redis.call('ZRANGEBYLEX', KEYS[1], from, to, 'LIMIT', '0', integer(limit + 1))
local records, unreadable = {}, 0
for at = 1, math.min(limit, #members) do
  local r = read(key_of(members[at]), now)
  if r.state == 'failed' then return failed(r.code) end
  if r.state == 'found' then
    records[#records + 1] = record(r)
  else
    -- One that is named and not there was lost, or the cluster is moving the slot and has it on another node.
    unreadable = unreadable + 1
  end
end
return { #members > limit and string.sub(members[limit], 33) or '', unreadable, records }
