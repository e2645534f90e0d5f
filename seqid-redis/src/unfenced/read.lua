-- Reads hashes of one bucket as of one moment: revision, state, and a field that ARGV names of each.
local found = {}
for i = 1, #KEYS do
    local fields = redis.call('HMGET', KEYS[i], 'r', 's', ARGV[i])
    for j = 1, 3 do
        found[3 * (i - 1) + j] = fields[j] or ''
    end
end
return found
