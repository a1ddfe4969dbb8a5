-- What all scripts share; it stands in front of each.
--
-- A record is a hash:
--   h  its version (incarnation of 16 bytes, counter of 8), then the due time in milliseconds in decimal, or nothing
--   k  the connection key
--   s  the sealed bytes
--   c  the digest of these three
--   l  the lease: holder of 16 bytes, end in microseconds in decimal, digest of 8 characters
--   m  the mark, digest of 8 characters
-- A tombstone is a hash that Redis lets expire:
--   t  its version, digest of 8 characters
-- Each digest is over the 32 bytes of the connection's id too, with which the name of the key ends.
--
-- The indexes of a shard are sorted sets, whose members are tag of the user and id of the connection, 32 bytes each: `w` has
-- them all, with the score 0, and `d` those that are due some time, with that time as the score.

-- The code of an error that a command in a script gave; none if it gave none. Before Redis 7 the place in the script is in
-- front of it, and some errors have no code.
local function failure(reply)
  if type(reply) ~= 'table' or not reply.err then return nil end
  local text = reply.err
  if string.find(text, 'executing the script', 1, true) or string.find(text, 'ACL failure', 1, true) then
    return 'NOPERM'
  end
  return string.match(text, '^%-?(%u+) ') or string.match(text, ': %-?(%u+) ') or 'ERR'
end

local function failed(code)
  return { err = code .. ' in a script of authflow' }
end

-- A write that changes nothing, for what it is refused with: a replica has an older copy than its master.
local function may_write(command, key)
  local code = failure(redis.pcall(command, key, ''))
  return code ~= 'WRONGTYPE' and code or nil
end

-- The same for who only reads: a master that takes no writes just now has the newest copy still.
local function may_read(command, key)
  local code = may_write(command, key)
  return code ~= 'MISCONF' and code ~= 'NOREPLICAS' and code or nil
end

-- How long a lease lasts at most, and how far a clock may be behind the one that it was written by, in microseconds. What
-- claims more time was written before the server's clock went back.
local longest = 300000000
local leeway = 60000000

-- Microseconds since 1970.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function integer(number)
  return string.format('%.0f', number)
end

local function digest(length, ...)
  local text = {}
  for at, part in ipairs({ ... }) do
    text[at] = #part .. ':' .. part
  end
  return string.sub(redis.sha1hex(table.concat(text)), 1, length)
end

local function id_of(key)
  return string.sub(key, -32)
end

local function read(key, now)
  local f = redis.pcall('HMGET', key, 'h', 'k', 's', 'c', 'l', 'm', 't')
  local code = failure(f)
  if code == 'WRONGTYPE' then return { state = 'corrupt' } end
  if code then return { state = 'failed', code = code } end
  local id, corrupt = id_of(key), { state = 'corrupt' }
  if f[7] then
    local version = string.sub(f[7], 1, 24)
    if #f[7] ~= 32 or string.sub(f[7], 25) ~= digest(8, id, version) then return corrupt end
    return { state = 'tombstone', version = version }
  end
  if not (f[1] or f[2] or f[3] or f[4] or f[5] or f[6]) then return { state = 'absent' } end
  if not (f[1] and f[2] and f[3] and f[4]) or #f[1] < 24 then return corrupt end
  if f[4] ~= digest(16, id, f[1], f[2], f[3]) then return corrupt end
  local r = { state = 'found', id = id, head = f[1], version = string.sub(f[1], 1, 24), key = f[2], sealed = f[3] }
  if f[5] then
    local holder, ends = string.sub(f[5], 1, 16), string.sub(f[5], 17, -9)
    if string.sub(f[5], -8) ~= digest(8, id, r.version, holder, ends) then return corrupt end
    local left = (tonumber(ends) or 0) - now
    if left > 0 and left <= longest + leeway then
      r.holder, r.left = holder, left
    end
  end
  if f[6] then
    r.mark = string.sub(f[6], 1, -9)
    if string.sub(f[6], -8) ~= digest(8, id, r.version, r.mark) then return corrupt end
  end
  return r
end

-- What is answered where there is no record to work with; none if there is one.
local function without_record(r)
  if r.state == 'found' then return nil end
  if r.state == 'failed' then return failed(r.code) end
  return { r.state, r.version }
end

local function record(r)
  return { r.head, r.key, r.sealed, r.holder or '', integer(r.left or 0), r.mark or '' }
end

local function write_lease(r, now, holder, duration)
  local ends = integer(now + duration)
  redis.call('HSET', KEYS[1], 'l', holder .. ends .. digest(8, r.id, r.version, holder, ends))
  r.holder, r.left = holder, tonumber(duration)
end

local function write_mark(r, mark)
  if mark == '' then return end
  redis.call('HSET', KEYS[1], 'm', mark .. digest(8, r.id, r.version, mark))
  r.mark = mark
end

local function write_record(id, head, key, sealed)
  redis.call('HSET', KEYS[1], 'h', head, 'k', key, 's', sealed, 'c', digest(16, id, head, key, sealed))
end

-- KEYS[2] and KEYS[3] are the two indexes.
local function write_due(member, due)
  if due == '' then
    redis.call('ZREM', KEYS[3], member)
  else
    -- A score is a float: no due time after the year 33658 is told from another.
    redis.call('ZADD', KEYS[3], #due > 15 and '1000000000000000' or due, member)
  end
end

local function write_indexes(member, due)
  redis.call('ZADD', KEYS[2], '0', member)
  write_due(member, due)
end

local function forget(member)
  redis.call('ZREM', KEYS[2], member)
  redis.call('ZREM', KEYS[3], member)
end

-- The key of a connection, of which an index in KEYS[1] has the member.
local function key_of(member)
  return string.sub(KEYS[1], 1, -2) .. 'c' .. string.sub(member, 33)
end

-- The connection keys that the members stand for. What is named and not there is left out.
local function keys_of(members)
  local keys = {}
  for _, member in ipairs(members) do
    local key = redis.pcall('HGET', key_of(member), 'k')
    local code = failure(key)
    if code and code ~= 'WRONGTYPE' then return nil, code end
    if type(key) == 'string' then keys[#keys + 1] = key end
  end
  return keys
end
