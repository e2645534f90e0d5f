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
    if state.a ~= short(authority) then
        return fenced('authority', state)
    end
    if state.e == epoch and state.q == offer then
        return is_strange(KEYS[2], state) and fenced('memory', state) or { 'seeded', 'before' }
    end
    if state.e:match('^[1-9]%d*$') and not less(state.e, epoch) then
        return fenced('epoch', state)
    end
end
local open, name = of(offers, authority, KEYS[2])
if open[name] ~= offer then
    return { 'fenced', 'offer' }
end
local seeded = { a = short(authority), e = epoch, v = version, n = next, h = last, q = offer, r = short(run), l = short(replication), z = '' }
-- The offer goes first: if the rest were refused, it is lost and not answered twice.
open[name] = nil
local fields = {}
for _, field in ipairs(FIELDS) do
    fields[#fields + 1] = field
    fields[#fields + 1] = seeded[field]
end
local failed = leave(KEYS[2], seeded, unpack(fields))
if failed then
    return { 'failed', failed }
end
return { 'seeded', 'now' }
