-- The counting of limits/redis.py; the rules are those of MemoryStore, and tests/django/test_limits_store.py holds both
-- against the same cases.
--
-- KEYS[1]: the prefix; its braces keep every key of ours in one slot, since some are known only here.
-- ARGV[1]: what is to be done. ARGV[2]: its arguments, JSON. Time is Redis's own: workers' clocks differ.
--
-- PREFIX:epoch            hash: id and born (ms) of this memory; another id means that Redis forgot everything
-- PREFIX:workers          zset: process -> end (ms)
-- PREFIX:c:ID             hash: generation, pool and account of one conversation
-- PREFIX:held:SCOPE       zset: conversation -> end (ms)
-- PREFIX:leases:POOL      zset: conversation, or conversation/2 for its next stream -> end (ms)
-- PREFIX:line:POOL        zset: conversation -> ticket (us)
-- PREFIX:present:POOL     zset: conversation in that line -> end (ms)
-- PREFIX:usd|ms:DAY:SCOPE integer: what was spent or set aside

local prefix, a = KEYS[1], cjson.decode(ARGV[2])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)
local today = math.floor(tonumber(time[1]) / 86400)

-- Lua's own tostring keeps 14 digits.
local function whole(number) return string.format('%.0f', number) end
local function given(value) if value == nil or value == cjson.null then return nil end return value end
local function key(...) return prefix .. ':' .. table.concat({...}, ':') end

local function purge(zset) redis.call('ZREMRANGEBYSCORE', zset, '-inf', whole(now)) end

local function keep_until(zset, member, ms)
  redis.call('ZADD', zset, whole(now + ms), member)
  if redis.call('PTTL', zset) < 2 * ms then redis.call('PEXPIRE', zset, whole(2 * ms)) end
end

local function epoch()
  if redis.call('HSETNX', key('epoch'), 'id', a.fresh) == 1 then
    redis.call('HSET', key('epoch'), 'born', whole(now))
  end
  return redis.call('HGET', key('epoch'), 'id'), tonumber(redis.call('HGET', key('epoch'), 'born'))
end

local function scopes() return {'owner-' .. a.owner, 'site'} end

local function read(id)
  local found = redis.call('HMGET', key('c', id), 'generation', 'pool', 'usd', 'ms', 'day', 'usd_base', 'ms_base',
    'usd_charged', 'ms_charged', 'floor')
  if not found[1] then return nil end
  local function number(at) return tonumber(found[at] or 0) end
  return {generation = number(1), pool = found[2] or '', usd = number(3), ms = number(4), day = number(5),
    usd_base = number(6), ms_base = number(7), usd_charged = number(8), ms_charged = number(9),
    floor = number(10)}
end

local function new(usd_base, ms_base)
  return {generation = a.generation, pool = '', usd = a.usd, ms = a.ms, day = today, usd_base = usd_base,
    ms_base = ms_base, usd_charged = 0, ms_charged = 0, floor = usd_base + a.bounds.reserve}
end

local function write(id, r, ended)
  redis.call('HSET', key('c', id), 'generation', whole(r.generation), 'pool', r.pool, 'usd', whole(r.usd), 'ms',
    whole(r.ms), 'day', whole(r.day), 'usd_base', whole(r.usd_base), 'ms_base', whole(r.ms_base),
    'usd_charged', whole(r.usd_charged), 'ms_charged', whole(r.ms_charged), 'floor',
    whole(r.floor))
  -- Forgotten while it goes on out of reach, what its day was charged would be charged again.
  redis.call('PEXPIRE', key('c', id), whole((ended and a.memory_ms or 86400000) + a.lease_ms))
end

local function spent(kind, scope) return tonumber(redis.call('GET', key(kind, today, scope)) or 0) end

local function charge(r, usd, ms)
  for kind, delta in pairs({usd = usd - r.usd_charged, ms = ms - r.ms_charged}) do
    if delta ~= 0 then
      for _, scope in ipairs(scopes()) do
        redis.call('INCRBY', key(kind, r.day, scope), whole(delta))
        redis.call('EXPIRE', key(kind, r.day, scope), 259200)
      end
    end
  end
  r.usd_charged, r.ms_charged = usd, ms
end

-- Bring what is charged to what was used, or to the reserve where that is more.
local function account(r, final)
  if r.day ~= today then
    charge(r, r.usd - r.usd_base, r.ms - r.ms_base)
    r.day, r.usd_base, r.ms_base, r.usd_charged, r.ms_charged = today, r.usd, r.ms, 0, 0
    r.floor = r.usd + a.bounds.reserve
  end
  r.usd, r.ms = math.max(r.usd, a.usd), math.max(r.ms, a.ms)
  charge(r, (final and r.usd or math.max(r.usd, r.floor)) - r.usd_base, r.ms - r.ms_base)
end

local function lost(r) return r ~= nil and r.generation > a.generation end

local function give_back(pool)
  if pool ~= '' then redis.call('ZREM', key('leases', pool), a.id, a.id .. '/2') end
end

local function leave_line(pool)
  redis.call('ZREM', key('line', pool), a.id)
  redis.call('ZREM', key('present', pool), a.id)
end

local function tidy_line(pool)
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', key('present', pool), '-inf', whole(now))) do
    redis.call('ZREM', key('line', pool), gone)
  end
  purge(key('present', pool))
end

local function has_place(scope, most)
  local held = key('held', scope)
  purge(held)
  if not given(most) then return true end
  return redis.call('ZCARD', held) - (redis.call('ZSCORE', held, a.id) and 1 or 0) < most
end

local function affords(scope, bound)
  if not given(bound) then return true end
  local sum = spent('usd', scope)
  return sum < bound and sum + a.bounds.reserve <= bound
end

local function refusal()
  local owner, site = scopes()[1], scopes()[2]
  local b = a.bounds
  if not has_place(owner, b.owner_conversations) then return 'owner' end
  if not has_place(site, b.site_conversations) then return 'site' end
  if given(b.owner_ms) and spent('ms', owner) >= b.owner_ms then return 'owner_minutes' end
  if given(b.site_ms) and spent('ms', site) >= b.site_ms then return 'site_minutes' end
  if not affords(owner, b.owner_usd) then return 'owner_usd' end
  if not affords(site, b.site_usd) then return 'site_usd' end
  return nil
end

local function left(kind, owner_bound, site_bound, own)
  local least = nil
  for at, bound in ipairs({given(owner_bound) or false, given(site_bound) or false}) do
    if bound then
      local rest = bound - spent(kind, scopes()[at]) + own
      if not least or rest < least then least = rest end
    end
  end
  return least
end

local function hold()
  for _, scope in ipairs(scopes()) do keep_until(key('held', scope), a.id, a.lease_ms) end
end

local function terms(r, answer)
  answer.usd, answer.ms, answer.day, answer.usd_base, answer.ms_base = r.usd, r.ms, r.day, r.usd_base, r.ms_base
  return answer
end

local verbs = {}

function verbs.enter()
  local r = read(a.id)
  if lost(r) then return {refused = 'lost'} end
  if r then
    account(r, true)
    write(a.id, r)
  end
  local refused = refusal()
  if refused then return {refused = refused} end
  r = r or new(a.usd, a.ms)
  -- The total up to which money is set aside.
  r.generation, r.floor = a.generation, r.usd + a.bounds.reserve
  account(r, false)
  write(a.id, r)
  hold()
  return terms(r, {
    usd_left = left('usd', a.bounds.owner_usd, a.bounds.site_usd, a.bounds.reserve),
    ms_left = left('ms', a.bounds.owner_ms, a.bounds.site_ms, 0),
  })
end

function verbs.take()
  local r = read(a.id)
  if r == nil or lost(r) then return {state = 'lost'} end
  local leases, line, present = key('leases', a.target), key('line', a.target), key('present', a.target)
  purge(leases)
  if not redis.call('ZSCORE', leases, a.id) then
    local id, born = epoch()
    if given(a.epoch) and a.epoch ~= id and now - born < a.settle_ms then return {state = 'settling'} end
    tidy_line(a.target)
    local free = a.size - redis.call('ZCARD', leases)
    -- As a string: a ticket has 16 digits, and cjson writes 14.
    local ticket = redis.call('ZSCORE', line, a.id) or (a.ticket ~= '0' and a.ticket) or whole(now_us)
    redis.call('ZADD', line, ticket, a.id)
    local ahead = redis.call('ZRANK', line, a.id)
    if ahead >= free then
      if not a.wait then
        leave_line(a.target)
        return {state = 'full'}
      end
      keep_until(present, a.id, a.line_ms)
      -- Not longer than `present`: whoever is in no more of that one is never tidied away.
      redis.call('PEXPIRE', line, whole(2 * a.line_ms))
      return {state = 'queued', position = ahead + 1, ticket = whole(tonumber(ticket))}
    end
  end
  if r.pool ~= a.target then give_back(r.pool) end
  leave_line(a.target)
  keep_until(leases, a.id, a.lease_ms)
  r.pool = a.target
  write(a.id, r)
  return {state = 'granted'}
end

function verbs.take_extra()
  local leases = key('leases', a.pool)
  purge(leases)
  tidy_line(a.pool)
  if lost(read(a.id)) or not redis.call('ZSCORE', leases, a.id) then return {granted = false} end
  local free = a.size - redis.call('ZCARD', leases)
  if not redis.call('ZSCORE', leases, a.id .. '/2') and free <= redis.call('ZCARD', key('line', a.pool)) then
    return {granted = false}
  end
  keep_until(leases, a.id .. '/2', a.lease_ms)
  return {granted = true}
end

function verbs.drop_extra()
  if not lost(read(a.id)) then redis.call('ZREM', key('leases', a.pool), a.id .. '/2') end
  return {done = true}
end

function verbs.beat()
  local r = read(a.id)
  if lost(r) then return {state = 'lost'} end
  -- Not known: Redis was emptied, or was lost when the conversation opened.
  if r == nil then r = new(a.day == today and a.usd_base or a.usd, a.day == today and a.ms_base or a.ms) end
  r.generation = a.generation
  account(r, false)
  hold()
  if given(a.pool) then
    if r.pool ~= a.pool then give_back(r.pool) end
    r.pool = a.pool
    leave_line(a.pool)
    keep_until(key('leases', a.pool), a.id, a.lease_ms)
    if a.extra then keep_until(key('leases', a.pool), a.id .. '/2', a.lease_ms) end
  end
  write(a.id, r)
  local state, at, b = 'held', scopes(), a.bounds
  for index, bound in ipairs({given(b.owner_ms) or false, given(b.site_ms) or false}) do
    if bound and spent('ms', at[index]) >= bound then state = 'minutes' end
  end
  for index, bound in ipairs({given(b.owner_usd) or false, given(b.site_usd) or false}) do
    -- Within its reserve it goes on: that was set aside for it.
    if bound and r.usd > r.floor and spent('usd', at[index]) > bound then state = 'usd' end
  end
  return terms(r, {state = state})
end

function verbs.leave()
  local r = read(a.id)
  if lost(r) then return {done = false} end
  if r == nil then r = new(a.day == today and a.usd_base or a.usd, a.day == today and a.ms_base or a.ms) end
  account(r, true)
  if a.keep then
    if r.pool ~= '' then redis.call('ZREM', key('leases', r.pool), a.id .. '/2') end
  else
    give_back(r.pool)
    r.pool = ''
    for _, scope in ipairs(scopes()) do redis.call('ZREM', key('held', scope), a.id) end
  end
  write(a.id, r, true)
  return {done = true}
end

function verbs.leave_line()
  if not lost(read(a.id)) then leave_line(a.target) end
  return {done = true}
end

function verbs.worker()
  if a.leaves then
    redis.call('ZREM', key('workers'), a.worker)
  else
    keep_until(key('workers'), a.worker, a.lease_ms)
  end
  purge(key('workers'))
  local id, _ = epoch()
  local pools = {}
  for _, pool in ipairs(a.pools) do
    purge(key('leases', pool))
    tidy_line(pool)
    pools[pool] = {redis.call('ZCARD', key('leases', pool)), redis.call('ZCARD', key('line', pool))}
  end
  return {epoch = id, workers = redis.call('ZCARD', key('workers')), pools = pools}
end

return cjson.encode(verbs[ARGV[1]]())
