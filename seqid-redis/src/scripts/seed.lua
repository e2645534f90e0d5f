-- KEYS: marker, counter. ARGV: authority, run_id, master_replid, offer, epoch, version, next, end.
local authority, run, replication, offer, epoch, version, next, last = unpack(ARGV)
local here, unknown = server()
if not here then
    return unknown
end
if here.role ~= 'master' then
    return { 'fenced', 'role' }
end
if here.run ~= run or here.replication ~= replication then
    return { 'fenced', 'history' }
end
local without = unmarked(KEYS[1], authority)
if without then
    return without
end
local state, why = load(KEYS[2])
if why and why[1] ~= 'missing' then
    return why
end
if state then
    if state.a ~= authority then
        return fenced('authority', state)
    end
    if state.e == epoch and state.q == offer then
        return { 'seeded', 'before' }
    end
    if state.e:match('^%d+$') and not less(state.e, epoch) then
        return fenced('epoch', state)
    end
end
if redis.call('HGET', KEYS[2], 'p') ~= offer then
    return { 'fenced', 'offer' }
end
local seeded = { a = authority, e = epoch, v = version, n = next, h = last, q = offer, r = run, l = replication, z = '' }
-- The offer goes first: if the rest were refused, it is lost and not answered twice.
redis.call('HDEL', KEYS[2], 'p')
local fields = { 'c', checksum(seeded) }
for _, name in ipairs(FIELDS) do
    fields[#fields + 1] = name
    fields[#fields + 1] = seeded[name]
end
redis.call('HSET', KEYS[2], unpack(fields))
return { 'seeded', 'now' }
