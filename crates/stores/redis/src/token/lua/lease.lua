-- ARGV: holder, duration in microseconds, version or nothing, mark or nothing.
local refused = may_write('HDEL', KEYS[1])
if refused then return failed(refused) end
local now = clock()
local r = read(KEYS[1], now)
if r.state ~= 'found' then return without_record(r) end
if ARGV[3] ~= '' and ARGV[3] ~= r.version then return { 'changed', record(r) } end
if r.holder and r.holder ~= ARGV[1] then return { 'held', r.holder, integer(r.left), r.version } end
local found = r.mark or ''
write_lease(r, now, ARGV[1], ARGV[2])
write_mark(r, ARGV[4])
return { 'leased', record(r), found }
