-- KEYS: the index of all. ARGV: the member behind which to begin or nothing, limit.
local refused = may_read('ZREM', KEYS[1])
if refused then return failed(refused) end
local limit = tonumber(ARGV[2])
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local members = redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', '0', integer(limit + 1))
local last = ''
if #members > limit then
  members[limit + 1] = nil
  last = members[limit]
end
local keys, code = keys_of(members)
if not keys then return failed(code) end
return { last, keys }
