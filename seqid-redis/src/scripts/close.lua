-- KEYS: marker, counter. ARGV: authority, epoch, the lowest number that is believed.
--
-- An epoch may be closed though the replication id has changed: a primary takes a new one when its first replica joins, and
-- when its backlog expires. One that was a replica meanwhile, with another's data, did not leave the key so.
local authority, epoch, floor = unpack(ARGV)
local here, unknown = server()
if not here then
    return unknown
end
local without = unmarked(KEYS[1], authority)
if without then
    return without
end
local state, why = load(KEYS[2])
if not state then
    return why
end
if here.role ~= 'master' then
    return fenced('role', state)
end
local doubted = doubt(state, authority)
if doubted then
    return fenced(doubted, state)
end
if state.r ~= short(here.run) then
    return fenced('history', state)
end
if is_strange(KEYS[2], state) then
    return fenced('memory', state)
end
if state.e ~= epoch then
    return fenced('epoch', state)
end
if less(state.n, floor) then
    return fenced('floor', state)
end
if state.z ~= '1' then
    state.z, state.h = '1', state.n
    local failed = leave(KEYS[2], state, 'z', '1', 'h', state.n)
    if failed then
        return { 'failed', failed }
    end
end
return { 'closed', state.n }
