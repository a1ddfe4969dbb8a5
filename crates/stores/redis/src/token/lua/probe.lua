-- Does on two keys of its own whatever the other scripts do, and answers with the names of the scripts in ARGV.
for _, command in ipairs({
  { 'TIME' },
  { 'HSET', KEYS[1], 'f', 'v' },
  { 'HMGET', KEYS[1], 'f' },
  { 'HGET', KEYS[1], 'f' },
  { 'PEXPIRE', KEYS[1], '1000' },
  { 'HDEL', KEYS[1], 'f' },
  { 'ZADD', KEYS[2], '0', 'm' },
  { 'ZCOUNT', KEYS[2], '-inf', '+inf' },
  { 'ZRANGE', KEYS[2], '0', '0' },
  { 'ZRANGEBYLEX', KEYS[2], '-', '+' },
  { 'ZREM', KEYS[2], 'm' },
  { 'DEL', KEYS[1], KEYS[2] },
}) do
  local code = failure(redis.pcall(unpack(command)))
  -- A server that has a bad day is the right one all the same.
  if code and code ~= 'OOM' and code ~= 'MISCONF' and code ~= 'NOREPLICAS' then return failed(code) end
end
local names = {}
for at, script in ipairs(ARGV) do
  names[at] = redis.sha1hex(script)
end
return names
