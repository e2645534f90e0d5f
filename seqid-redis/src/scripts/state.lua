-- What every script shares: who the server is, and what a counter's key holds.
--
-- Numbers are strings of decimal digits: a Lua number is exact only up to 2^53.
--
--   a authority   e epoch     v version of the definition    n next number   h end of the range, itself not in it
--   q the offer that the epoch was seeded for                r run_id        l master_replid of its history
--   z "1" once the epoch is closed, else ""                  c checksum over all of these
--   p an open offer, which nobody has answered yet

local FIELDS = { 'a', 'e', 'v', 'n', 'h', 'q', 'r', 'l', 'z' }

-- Or nil and why it is not known.
local function server()
    local about, lineage = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'replication')
    for _, answer in ipairs({ about, lineage }) do
        if type(answer) == 'table' and answer.err then
            return nil, { 'failed', answer.err }
        end
    end
    local text = about .. lineage
    return {
        role = text:match('\nrole:(%a+)'),
        run = text:match('\nrun_id:(%x+)'),
        replication = text:match('\nmaster_replid:(%x+)'),
        former = text:match('\nmaster_replid2:(%x+)'),
    }
end

local function checksum(state)
    local parts = {}
    for i, name in ipairs(FIELDS) do
        parts[i] = state[name]
    end
    return redis.sha1hex(table.concat(parts, ' ')):sub(1, 16)
end

-- The billions of a number, and what is below them: each is exact as a Lua number.
local function split(number)
    return tonumber(number:sub(1, -10)) or 0, tonumber(number:sub(-9))
end

local function less(one, other)
    local one_high, one_low = split(one)
    local other_high, other_low = split(other)
    return one_high < other_high or (one_high == other_high and one_low < other_low)
end

local function add(one, other)
    local one_high, one_low = split(one)
    local other_high, other_low = split(other)
    local high, low = one_high + other_high, one_low + other_low
    if low >= 1e9 then
        high, low = high + 1, low - 1e9
    end
    if high == 0 then
        return string.format('%d', low)
    end
    return string.format('%d%09d', high, low)
end

-- The state in a key, or nil and why there is none.
local function load(key)
    local values = redis.pcall('HMGET', key, 'c', unpack(FIELDS))
    if values.err then
        if values.err:sub(1, 9) == 'WRONGTYPE' then
            return nil, { 'fenced', 'type' }
        end
        return nil, { 'failed', values.err }
    end
    local state = { c = values[1] }
    for i, name in ipairs(FIELDS) do
        state[name] = values[i + 1]
    end
    if not state.e then
        return nil, { 'missing' }
    end
    return state
end

local function fenced(why, state)
    return { 'fenced', why, tostring(state.e), tostring(state.n), tostring(state.h) }
end

-- Whether the state is one that seqid wrote for this authority.
local function doubt(state, authority)
    if state.a ~= authority then
        return 'authority'
    end
    for _, name in ipairs(FIELDS) do
        if not state[name] then
            return 'checksum'
        end
    end
    if state.c ~= checksum(state) then
        return 'checksum'
    end
end

-- Why numbers must not be taken from a key, or nil.
local function refusal(here, state, authority, epoch)
    if here.role ~= 'master' then
        return fenced('role', state)
    end
    local why = doubt(state, authority)
    if why then
        return fenced(why, state)
    end
    if state.r ~= here.run or state.l ~= here.replication then
        return fenced('history', state)
    end
    if state.e ~= epoch then
        return fenced('epoch', state)
    end
    if state.z == '1' then
        return fenced('closed', state)
    end
end

-- Why a bucket must not be used: its marker is made outside of scripts, so that it is never made on a server that a slot is
-- only on its way to.
local function unmarked(marker, authority)
    local value = redis.pcall('GET', marker)
    if type(value) == 'table' and value.err then
        if value.err:sub(1, 9) == 'WRONGTYPE' then
            return { 'fenced', 'type' }
        end
        return { 'failed', value.err }
    end
    if not value then
        return { 'unmarked' }
    end
    if value ~= authority then
        return { 'fenced', 'authority' }
    end
end
