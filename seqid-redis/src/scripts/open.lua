-- KEYS: marker, counter. ARGV: authority, random text, the offer that must not be made again or "".
local authority, random, spent = unpack(ARGV)
local here, unknown = server()
if not here then
    return unknown
end
if here.role ~= 'master' then
    return { 'fenced', 'role' }
end
local without = unmarked(KEYS[1], authority)
if without then
    return without
end
local state, why = load(KEYS[2])
if why and why[1] == 'fenced' then
    -- What is no hash was written by hand. Without it the counter goes on in a new epoch.
    redis.call('DEL', KEYS[2])
elseif why and why[1] == 'failed' then
    return why
elseif state and state.a ~= short(authority) then
    return fenced('authority', state)
end
-- In memory alone: an offer that a key could bring back would be answered twice.
local open, name = of(offers, authority, KEYS[2])
local offer = open[name]
if not offer or offer == spent then
    offer = random
    open[name] = offer
end
return { 'open', offer, here.run, here.replication, state and state.e or '' }
