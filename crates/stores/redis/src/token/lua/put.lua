-- ARGV: version, due time or nothing, connection key, sealed bytes, member.
local r = read(KEYS[1], 0)
if r.state == 'failed' then return failed(r.code) end
local refused
if r.state == 'absent' then
  -- Unlike the others this one is refused by a server whose memory is full, too: a new key is what it has no room for.
  refused = failure(redis.pcall('ZADD', KEYS[3], 'XX', '0', ''))
else
  refused = may_write('HDEL', KEYS[1])
end
if refused then return failed(refused) end
if r.version and string.sub(r.version, 1, 16) == string.sub(ARGV[1], 1, 16) then return { 'conflict' } end
redis.call('DEL', KEYS[1])
write_record(id_of(KEYS[1]), ARGV[1] .. ARGV[2], ARGV[3], ARGV[4])
write_indexes(ARGV[5], ARGV[2])
return { 'saved' }
