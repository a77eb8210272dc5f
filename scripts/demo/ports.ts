import { createServer } from 'node:net'

/** Throws when someone else listens on one of the ports, with a word on what to do. */
export async function requireFreePorts(ports: Readonly<Record<string, number>>): Promise<void> {
  const taken: string[] = []
  for (const [what, port] of Object.entries(ports)) if (!(await isFree(port))) taken.push(`${port} (${what})`)
  if (taken.length === 0) return
  const plural = taken.length > 1
  throw new Error(
    `the port${plural ? 's' : ''} ${taken.join(', ')} on 127.0.0.1 ${plural ? 'are' : 'is'} in use; ` +
      'end what listens there, or set NXMESH_DEMO_PORT_BASE (default 8000) to move all three',
  )
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
