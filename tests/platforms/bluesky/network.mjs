// A PLC directory and a PDS on the ports given; one line of JSON once both serve; ends when stdin does.
import { TestNetworkNoAppView } from '@atproto/dev-env'

const [plcPort, pdsPort] = process.argv.slice(2).map(Number)
const network = await TestNetworkNoAppView.create({
  plc: { port: plcPort },
  pds: { port: pdsPort, hostname: 'localhost' },
})
console.log(JSON.stringify({ plc: network.plc.url, pds: network.pds.url }))

process.stdin.resume()
process.stdin.on('end', async () => {
  await network.close()
  process.exit(0)
})
