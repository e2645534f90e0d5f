-- Writes to hashes of one bucket, if all of them are as they were read.
-- ARGV: how many of KEYS are checked, the revision of each ('' of one that is not there), then writes: command, number of the key,
-- how many arguments, and these.
local checked = tonumber(ARGV[1])
for i = 1, checked do
    if (redis.call('HGET', KEYS[i], 'r') or '') ~= ARGV[1 + i] then
        return 0
    end
end
local at = 2 + checked
while at <= #ARGV do
    local last = at + 2 + tonumber(ARGV[at + 2])
    redis.call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, last))
    at = last + 1
end
return 1
