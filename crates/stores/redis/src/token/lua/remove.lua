-- ARGV: version or nothing, how long the tombstone stays in milliseconds, its version where the record cannot be read, member.
local refused = may_write('HDEL', KEYS[1])
if refused then return failed(refused) end
local r = read(KEYS[1], clock())
if r.state == 'absent' then forget(ARGV[4]) end
if r.state ~= 'found' and (r.state ~= 'corrupt' or ARGV[1] ~= '') then return without_record(r) end
local tombstone = ARGV[3]
if r.state == 'found' then
  if ARGV[1] ~= '' and ARGV[1] ~= r.version then return { 'changed', record(r) } end
  tombstone = r.version
  -- One more, as a number of eight bytes, up to the highest one.
  for at = 24, 17, -1 do
    local byte = string.byte(r.version, at)
    if byte < 255 then
      tombstone = string.sub(r.version, 1, at - 1) .. string.char(byte + 1) .. string.rep('\0', 24 - at)
      break
    end
  end
end
local keep = math.max(tonumber(ARGV[2]), math.ceil((r.left or 0) / 1000))
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 't', tombstone .. digest(8, id_of(KEYS[1]), tombstone))
redis.call('PEXPIRE', KEYS[1], integer(keep))
forget(ARGV[4])
return { 'removed', tombstone, r.state == 'found' and record(r) or {} }
