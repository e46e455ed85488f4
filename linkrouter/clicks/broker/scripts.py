"""What Redis does as a whole: the scripts of the click store `redis://`.

Keys and arguments of each are those that `RedisBroker` gives.
"""

__all__ = ["ACKNOWLEDGE_SCRIPT", "APPEND_SCRIPT", "LET_GO_SCRIPT", "RENEW_SCRIPT", "TAKE_OVER_SCRIPT"]

SET_NOW = "local time = redis.call('TIME'); local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
APPEND_SCRIPT = (
    SET_NOW
    + """
local size = 0
for index = 6, #ARGV, 2 do size = size + #ARGV[index + 1] end
if tonumber(redis.call('GET', KEYS[4]) or '0') + size > tonumber(ARGV[3]) then return false end
local ids = {}
for index = 6, #ARGV, 2 do
    ids[#ids + 1] = redis.call('XADD', KEYS[1], '*', 'clicks', ARGV[index], 'records', ARGV[index + 1])
end
local pending = redis.call('HINCRBY', KEYS[2], 'pending', ARGV[5])
if pending == tonumber(ARGV[5]) then redis.call('HSET', KEYS[2], 'oldest_at', ARGV[4]) end
redis.call('HINCRBY', KEYS[2], 'bytes', size)
redis.call('INCRBY', KEYS[4], size)
redis.call('ZADD', KEYS[3], now + ARGV[2], ARGV[1])
return {ids, redis.call('HMGET', KEYS[2], 'pending', 'oldest_at', 'bytes', 'part_id', 'part')}
"""
)
ACKNOWLEDGE_SCRIPT = """
local part_id = redis.call('HGET', KEYS[2], 'part_id')
local part = tonumber(redis.call('HGET', KEYS[2], 'part') or '0')
local clicks, bytes = 0, 0
for index = 4, #ARGV, 3 do
    if redis.call('XDEL', KEYS[1], ARGV[index]) == 1 then
        clicks, bytes = clicks + ARGV[index + 1], bytes + ARGV[index + 2]
        if ARGV[index] == part_id then
            clicks, part_id, part = clicks - part, false, 0
            redis.call('HDEL', KEYS[2], 'part_id', 'part')
        end
    end
end
if ARGV[2] ~= '' and #redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2]) == 1 then
    local before = ARGV[2] == part_id and part or 0
    if tonumber(ARGV[3]) > before then
        clicks = clicks + ARGV[3] - before
        redis.call('HSET', KEYS[2], 'part_id', ARGV[2], 'part', ARGV[3])
    end
end
if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('HINCRBY', KEYS[2], 'pending', 0 - clicks)
    redis.call('HINCRBY', KEYS[2], 'bytes', 0 - bytes)
    redis.call('HSET', KEYS[2], 'oldest_at', ARGV[1])
end
redis.call('DECRBY', KEYS[3], bytes)
return redis.call('HMGET', KEYS[2], 'pending', 'oldest_at', 'bytes', 'part_id', 'part')
"""
TAKE_OVER_SCRIPT = (
    SET_NOW
    + """
local name = redis.call('ZREVRANGEBYSCORE', KEYS[1], now, '-inf', 'LIMIT', 0, 1)[1]
if not name then return false end
redis.call('ZADD', KEYS[1], now + ARGV[1], name)
return name
"""
)
RENEW_SCRIPT = SET_NOW + "for index = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[index]) end"
LET_GO_SCRIPT = """
if redis.call('XLEN', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('ZREM', KEYS[3], ARGV[1])
else
    redis.call('ZADD', KEYS[3], 'XX', 0, ARGV[1])
end
"""
