import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP connection in the middle that a test can cut, keep away and slow down. */
export interface Wire {
  readonly port: number
  /** Ends every connection now; the next one goes through. */
  cut(): void
  /** Cuts, and refuses connections until `mend`. */
  sever(): void
  mend(): void
  /** Bytes take this long, in both directions; their order stays. */
  delay(ms: number): void
  /** How many connections came through so far. */
  connections(): number
  close(): Promise<void>
}

/** `from`: the address of this host that it connects from. */
export async function makeWire(target_port: number, from = '127.0.0.1'): Promise<Wire> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let severed = false
  let delay_ms = 0
  let count = 0

  const server = createServer(near => {
    if (severed) return void near.destroy()
    count += 1
    const far = connect({ port: target_port, host: '127.0.0.1', localAddress: from })
    const pair = [near, far] as const
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    forward(near, far, () => delay_ms)
    forward(far, near, () => delay_ms)
    for (const socket of pair) socket.on('error', end).on('close', end)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))

  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
    pairs.clear()
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    sever() {
      severed = true
      cut()
    },
    mend() {
      severed = false
    },
    delay(ms) {
      delay_ms = ms
    },
    connections: () => count,
    async close() {
      cut()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}

function forward(from: Socket, to: Socket, delayMs: () => number): void {
  from.setNoDelay(true)
  // Timers of one length fire in their order; one that is shorter than those before it must not overtake them.
  let due_ms = 0
  from.on('data', (bytes: Buffer) => {
    const ms = delayMs()
    const now = performance.now()
    due_ms = Math.max(due_ms, now + ms)
    if (due_ms <= now) to.write(bytes)
    else setTimeout(() => to.destroyed || to.write(bytes), due_ms - now)
  })
}
