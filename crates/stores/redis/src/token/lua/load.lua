local refused = may_read('HDEL', KEYS[1])
if refused then return failed(refused) end
local r = read(KEYS[1], clock())
return without_record(r) or { 'found', record(r) }
