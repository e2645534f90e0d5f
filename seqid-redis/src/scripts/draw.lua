-- KEYS: marker, stream, then the counters. ARGV: authority, the most entries of the stream, then for each counter: epoch,
-- version, by how much the number advances, the lowest number that is believed, the events.
--
-- Each counter on its own, and nothing is raised: a function that fails in the middle takes back nothing.
local authority, bound = ARGV[1], tonumber(ARGV[2])
local here, without = server()
local answers = {}

without = without or unmarked(KEYS[1], authority)
local length = redis.pcall('XLEN', KEYS[2])
if not without and type(length) == 'table' then
    if length.err:sub(1, 9) == 'WRONGTYPE' then
        without = { 'fenced', 'type' }
    else
        without = { 'failed', length.err }
    end
end

local function draw(key, epoch, version, advance, floor, events)
    local state, why = load(key)
    if not state then
        return why
    end
    why = refusal(here, key, state, authority, epoch)
    if why then
        return why
    end
    if state.v ~= version then
        return { 'stale-version', state.v }
    end
    if less(state.n, floor) then
        return fenced('floor', state)
    end
    local first, next = state.n, add(state.n, advance)
    if less(state.h, next) then
        return { 'range-end', first, state.h }
    end
    if length >= bound then
        return { 'stream-full', tostring(length) }
    end
    local counter = key:sub(-32)
    local entry = redis.pcall('XADD', KEYS[2], '*', 'c', counter, 'e', epoch, 'f', first, 's', advance, 'd', events)
    if type(entry) == 'table' and entry.err then
        return { 'failed', entry.err }
    end
    state.n = next
    local failed = leave(key, state, 'n', next)
    if failed then
        redis.pcall('XDEL', KEYS[2], entry)
        return { 'failed', failed }
    end
    length = length + 1
    return { 'granted', first, entry }
end

for i = 3, #KEYS do
    local at = 3 + (i - 3) * 5
    answers[#answers + 1] = without or draw(KEYS[i], unpack(ARGV, at, at + 4))
end
return answers
