-- ARGV: holder, whether the mark stays (1 or 0), due time or nothing, member.
local refused = may_write('HDEL', KEYS[1])
if refused then return failed(refused) end
local r = read(KEYS[1], clock())
if r.state == 'failed' or r.state == 'corrupt' then return without_record(r) end
if r.holder ~= ARGV[1] then return { 'lost' } end
redis.call('HDEL', KEYS[1], 'l')
if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], 'm') end
if ARGV[3] ~= '' then
  write_record(r.id, r.version .. ARGV[3], r.key, r.sealed)
  write_due(ARGV[4], ARGV[3])
end
return { 'done' }
