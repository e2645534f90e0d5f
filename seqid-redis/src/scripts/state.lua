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

-- What INFO says of a name. A pattern would be tried at each character of the text, which takes longer than all else.
local function field(text, name)
    local _, last = text:find('\n' .. name .. ':', 1, true)
    return last and text:match('^%w*', last + 1)
end

-- The run_id, which ends with the process as this memory does.
local run

-- Or nil and why it is not known.
local function server()
    if not run then
        local about = redis.pcall('INFO', 'server')
        if type(about) == 'table' then
            return nil, { 'failed', about.err }
        end
        run = field(about, 'run_id')
    end
    local lineage = redis.pcall('INFO', 'replication')
    if type(lineage) == 'table' then
        return nil, { 'failed', lineage.err }
    end
    return { role = field(lineage, 'role'), run = run, replication = field(lineage, 'master_replid') }
end

local function checksum(state)
    local text = state.a .. ' ' .. state.e .. ' ' .. state.v .. ' ' .. state.n .. ' ' .. state.h .. ' ' .. state.q
    return redis.sha1hex(text .. ' ' .. state.r .. ' ' .. state.l .. ' ' .. state.z):sub(1, 16)
end

-- Of numbers without leading zeros.
local function less(one, other)
    return #one < #other or (#one == #other and one < other)
end

local function add(one, other)
    if #one < 16 and #other < 16 then
        return string.format('%.0f', tonumber(one) + tonumber(other))
    end
    -- The billions, and what is below them: each is exact as a Lua number.
    local high = (tonumber(one:sub(1, -10)) or 0) + (tonumber(other:sub(1, -10)) or 0)
    local low = tonumber(one:sub(-9)) + tonumber(other:sub(-9))
    if low >= 1e9 then
        high, low = high + 1, low - 1e9
    end
    return string.format('%.0f%09d', high, low)
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
    local c, a, e, v, n, h, q, r, l, z = unpack(values)
    if not e then
        return nil, { 'missing' }
    end
    return { c = c, a = a, e = e, v = v, n = n, h = h, q = q, r = r, l = l, z = z }
end

local function fenced(why, state)
    return { 'fenced', why, tostring(state.e), tostring(state.n), tostring(state.h) }
end

-- Whether the state is one that seqid wrote for this authority.
local function doubt(state, authority)
    if state.a ~= short(authority) then
        return 'authority'
    end
    local is_whole = state.v and state.n and state.h and state.q and state.r and state.l and state.z
    if not is_whole or state.c ~= checksum(state) then
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
