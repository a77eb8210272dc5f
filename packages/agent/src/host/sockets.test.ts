import { expect, test } from 'bun:test'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { lastingLoopbackPort } from './sockets.ts'

const PROCESSES = 3
const PORTS_EACH = 400

/** Takes ports one after another, prints them, and lives until its input ends. */
const TAKER = `
const { lastingLoopbackPort } = await import(${JSON.stringify(`${import.meta.dir}/sockets.ts`)})
for (let n = 0; n < ${PORTS_EACH}; n++) console.log(await lastingLoopbackPort())
console.log('done')
process.stdin.resume()
`

async function take() {
  const child = spawn(process.execPath, ['-e', TAKER], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ports: number[] = []
  for await (const line of createInterface(child.stdout)) {
    if (line === 'done') break
    ports.push(Number(line))
  }
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
  return {
    ports,
    end() {
      child.stdin.end()
      return ended
    },
  }
}

test('processes that take ports at the same time never get the same one, though nobody has bound them yet', async () => {
  const takers = await Promise.all(Array.from({ length: PROCESSES }, take))
  const ports = takers.flatMap(taker => taker.ports)
  expect(ports).toHaveLength(PROCESSES * PORTS_EACH)
  expect(new Set(ports).size).toBe(ports.length)
  await Promise.all(takers.map(taker => taker.end()))
})

test('a port can be bound by who was given it', async () => {
  const port = await lastingLoopbackPort()
  const server = Bun.serve({ hostname: '127.0.0.1', port, fetch: () => new Response('mine') })
  expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('mine')
  await server.stop(true)
})
