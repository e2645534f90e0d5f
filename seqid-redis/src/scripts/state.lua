-- What every function shares: who the server is, what a counter's key holds, and what the process remembers of it.
--
-- Numbers are strings of decimal digits: a Lua number is exact only up to 2^53.
--
--   a, r, l the beginnings of authority, run_id and master_replid
--   e epoch      v version of the definition     n next number      h end of the range, itself not in it
--   q the offer that the epoch was seeded for    z "1" once the epoch is closed, else ""
--   c checksum over all of these

local FIELDS = { 'a', 'e', 'v', 'n', 'h', 'q', 'r', 'l', 'z' }

-- What the process remembers of counters: the mark of the state that it left last, and the offer that nobody has answered yet.
-- No command that writes keys reaches it: a key that was put back to an earlier state is not as it was left. It ends with the
-- process, and when the library is loaded anew, from a dump too; then no key is as it was left, and each is seeded anew.
local left, offers = {}, {}

-- Enough of 128 or more random bits in hex.
local function short(id)
    return id:sub(1, 16)
end

-- The part of a memory that has the counter of a key, and what the counter is called there. Keys end with 32 random digits.
local function of(memory, authority, key)
    local group, name = short(authority) .. key:sub(1, -33), key:sub(-16)
    if not memory[group] then
        memory[group] = {}
    end
    return memory[group], name
end

-- 52 bits of a checksum as a number, which takes no memory of its own.
local function mark(state)
    return tonumber(state.c:sub(1, 13), 16)
end

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
    if state.a ~= short(authority) then
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

-- Whether a key is not as this process left it: it went back in time, or was written by somebody else.
local function is_strange(key, state)
    local counters, name = of(left, state.a, key)
    return counters[name] ~= mark(state)
end

-- Writes what has changed of a state, and remembers it. Nil, or the error.
local function leave(key, state, ...)
    state.c = checksum(state)
    local written = redis.pcall('HSET', key, 'c', state.c, ...)
    if type(written) == 'table' and written.err then
        return written.err
    end
    local counters, name = of(left, state.a, key)
    counters[name] = mark(state)
end

-- Why numbers must not be taken from a key, or nil.
local function refusal(here, key, state, authority, epoch)
    if here.role ~= 'master' then
        return fenced('role', state)
    end
    local why = doubt(state, authority)
    if why then
        return fenced(why, state)
    end
    if state.r ~= short(here.run) or state.l ~= short(here.replication) then
        return fenced('history', state)
    end
    if is_strange(key, state) then
        return fenced('memory', state)
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
