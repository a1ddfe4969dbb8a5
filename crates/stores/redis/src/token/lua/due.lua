-- KEYS: the index of what is due. ARGV: the highest score, the score and the member behind which to begin or nothing, limit.
local refused = may_read('ZREM', KEYS[1])
if refused then return failed(refused) end

local function is_before(one, other)
  for at = 1, #one do
    local a, b = string.byte(one, at), string.byte(other, at) or -1
    if a ~= b then return a < b end
  end
  return #one < #other
end

local first = 0
if ARGV[2] ~= '' then
  -- Of those with the same score, in their order, the first that is behind the member: it may itself be gone.
  first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[2])
  local last = first + redis.call('ZCOUNT', KEYS[1], ARGV[2], ARGV[2])
  while first < last do
    local middle = math.floor((first + last) / 2)
    if is_before(ARGV[3], redis.call('ZRANGE', KEYS[1], middle, middle)[1]) then
      last = middle
    else
      first = middle + 1
    end
  end
end
local all = redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[1])
local last = math.min(first + tonumber(ARGV[4]), all)
if first >= last then return { '', '', {} } end
local members, score = {}, ''
for at, text in ipairs(redis.call('ZRANGE', KEYS[1], first, last - 1, 'WITHSCORES')) do
  if at % 2 == 1 then members[#members + 1] = text else score = text end
end
local keys, code = keys_of(members)
if not keys then return failed(code) end
if last == all then return { '', '', keys } end
return { score, members[#members], keys }
