-- ARGV: expected version, expected holder or nothing, new version, due time or nothing, sealed bytes, member.
local refused = may_write('HDEL', KEYS[1])
if refused then return failed(refused) end
local r = read(KEYS[1], clock())
if r.state ~= 'found' then return without_record(r) end
if r.version ~= ARGV[1] then return { 'changed', record(r) } end
if ARGV[2] ~= '' and ARGV[2] ~= r.holder then return { 'not held' } end
redis.call('HDEL', KEYS[1], 'l', 'm')
write_record(r.id, ARGV[3] .. ARGV[4], r.key, ARGV[5])
write_indexes(ARGV[6], ARGV[4])
return { 'saved' }
