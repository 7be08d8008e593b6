/**
 * The Lua scripts of the directory. Each runs as one step of Redis, so nobody sees half of it.
 *
 * - A lease is a string with an expiry: key `<prefix>:lease:<node>`, value the lease's token.
 * - An account's nodes are a hash with an expiry: key `<prefix>:at:<account>`, field the node,
 *   value `<lease token>.<number of the registration>`, and an `a` behind it where all its devices there are away.
 *
 * An entry is good as long as its node holds the lease that it names. The scripts build the keys
 * of leases themselves, so they need one Redis, or one with replicas, and not a Redis Cluster.
 */

/**
 * Renews a lease, or takes a new one where it is gone.
 * KEYS[1] the lease · ARGV[1] the token it should hold · ARGV[2] the token of a new lease · ARGV[3] its milliseconds.
 * Returns 1 where the lease was held, 0 where it was gone and is now held under the new token.
 */
export const RENEW = `
if redis.call("GET", KEYS[1]) == ARGV[1] then
  redis.call("PEXPIRE", KEYS[1], ARGV[3])
  return 1
end
redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
return 0`;

/**
 * Gives a lease back.
 * KEYS[1] the lease · ARGV[1] its token.
 */
export const RELEASE = `
if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end
return 1`;

/**
 * Writes entries.
 * KEYS[i] an account · ARGV[1] the node · ARGV[2] milliseconds until an account is forgotten · ARGV[2 + i] the entry's value.
 */
export const REGISTER = `
for i, key in ipairs(KEYS) do
  redis.call("HSET", key, ARGV[1], ARGV[2 + i])
  redis.call("PEXPIRE", key, ARGV[2])
end
return #KEYS`;

/**
 * Removes entries, each only if it is still the one that is meant.
 * KEYS[i] an account · ARGV[1] the node · ARGV[1 + i] the entry's value.
 */
export const UNREGISTER = `
for i, key in ipairs(KEYS) do
  if redis.call("HGET", key, ARGV[1]) == ARGV[1 + i] then redis.call("HDEL", key, ARGV[1]) end
end
return #KEYS`;

/**
 * Finds the nodes of accounts, and removes entries whose lease is gone.
 * KEYS[i] an account · ARGV[1] the prefix of leases · ARGV[2] the node that asks, which is left out.
 * Returns for each account a list of its nodes.
 */
export const LOCATE = `
local leases = {}
local found = {}
for i, key in ipairs(KEYS) do
  local nodes = {}
  local entries = redis.call("HGETALL", key)
  for j = 1, #entries, 2 do
    local node, value = entries[j], entries[j + 1]
    if leases[node] == nil then leases[node] = redis.call("GET", ARGV[1] .. node) end
    local lease = leases[node]
    if not lease or string.sub(value, 1, #lease + 1) ~= lease .. "." then
      redis.call("HDEL", key, node)
    elseif node ~= ARGV[2] then
      nodes[#nodes + 1] = node
    end
  end
  found[i] = nodes
end
return found`;

/**
 * Finds how accounts are connected.
 * KEYS[i] an account · ARGV[1] the prefix of leases.
 * Returns for each account 0: at no node, 1: at some node and not away, 2: away at every node where it is.
 */
export const CONNECTED = `
local leases = {}
local found = {}
for i, key in ipairs(KEYS) do
  local state = 0
  local entries = redis.call("HGETALL", key)
  for j = 1, #entries, 2 do
    local node, value = entries[j], entries[j + 1]
    if leases[node] == nil then leases[node] = redis.call("GET", ARGV[1] .. node) end
    local lease = leases[node]
    if lease and string.sub(value, 1, #lease + 1) == lease .. "." then
      if string.sub(value, -1) ~= "a" then state = 1 elseif state == 0 then state = 2 end
    end
  end
  found[i] = state
end
return found`;
