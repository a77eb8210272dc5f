import type { MasterMessage } from '@nxmesh/contract/channel/messages'
import { openAgent } from '../agent.ts'

/*
 * An agent in a process of its own, to be killed: settings as JSON in the first argument, one message of the master a line on
 * standard input, one message of the agent a line on standard output.
 */
const options = JSON.parse(process.argv[2] ?? '{}')
const agent = await openAgent({ ...options, log: () => undefined })
agent.orders.attach({ send: message => process.stdout.write(`${JSON.stringify(message)}\n`) })

let half = ''
for await (const chunk of process.stdin) {
  const lines = (half + String(chunk)).split('\n')
  half = lines.pop() ?? ''
  for (const line of lines) hand(JSON.parse(line))
}
await agent.close()

function hand(message: MasterMessage): void {
  if (message.type === 'prepare') agent.orders.prepare(message)
  else if (message.type === 'objects') agent.orders.objects(message)
  else if (message.type === 'commit') agent.orders.commit(message)
}
