-- KEYS: stream. ARGV: group, then the entries that are done with. Answers how many entries left the stream: all that every
-- group has been given and has acknowledged.
local function parts(id)
    local time, sequence = id:match('^(%d+)-(%d+)$')
    return tonumber(time), tonumber(sequence)
end

local function before(one, other)
    local one_time, one_sequence = parts(one)
    local other_time, other_sequence = parts(other)
    return one_time < other_time or (one_time == other_time and one_sequence < other_sequence)
end

if #ARGV > 1 then
    redis.call('XACK', KEYS[1], unpack(ARGV))
end
local lowest
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local field = {}
    for i = 1, #group, 2 do
        field[group[i]] = group[i + 1]
    end
    local pending = redis.call('XPENDING', KEYS[1], field['name'])
    local kept
    if pending[1] > 0 then
        kept = pending[2]
    else
        local time, sequence = field['last-delivered-id']:match('^(%d+)-(%d+)$')
        kept = string.format('%s-%d', time, tonumber(sequence) + 1)
    end
    if not lowest or before(kept, lowest) then
        lowest = kept
    end
end
if not lowest then
    return 0
end
return redis.call('XTRIM', KEYS[1], 'MINID', lowest)
