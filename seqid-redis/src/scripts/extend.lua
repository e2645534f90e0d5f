-- KEYS: marker, counter. ARGV: authority, epoch, the end of the range as it was, the end that it gets.
local authority, epoch, from, to = unpack(ARGV)
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
why = refusal(here, KEYS[2], state, authority, epoch)
if why then
    return why
end
if state.h == to then
    return { 'extended', 'before' }
end
if state.h ~= from then
    return fenced('range', state)
end
state.h = to
local failed = leave(KEYS[2], state, 'h', to)
if failed then
    return { 'failed', failed }
end
return { 'extended', 'now' }
