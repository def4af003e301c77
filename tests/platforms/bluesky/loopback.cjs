// Loaded before the servers, which name no host when they listen and so would be reachable from outside.
const net = require('node:net')

const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'number' || typeof first === 'string') {
    const given = typeof rest[0] === 'string' ? rest.slice(1) : rest
    return listen.call(this, Number(first), '127.0.0.1', ...given)
  }
  if (first && typeof first === 'object' && 'port' in first) {
    return listen.call(this, { ...first, host: '127.0.0.1' }, ...rest)
  }
  return listen.call(this, first, ...rest)
}
