-- ARGV: holder, duration in microseconds, mark or nothing.
local refused = may_write('HDEL', KEYS[1])
if refused then return failed(refused) end
local now = clock()
local r = read(KEYS[1], now)
if r.state == 'failed' or r.state == 'corrupt' then return without_record(r) end
if r.holder ~= ARGV[1] then return { 'lost' } end
write_lease(r, now, ARGV[1], ARGV[2])
write_mark(r, ARGV[3])
return { 'done' }
