import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockDataFolder } from './data-lock.ts'

let dir: string
const others: Bun.Subprocess[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nxmesh-lock-'))
})
afterEach(() => {
  for (const other of others.splice(0)) other.kill('SIGKILL')
  rmSync(dir, { recursive: true })
})

/** Another process that takes the lock, says so, and waits. */
async function otherHolder() {
  const script = `
    const { lockDataFolder } = await import(${JSON.stringify(join(import.meta.dir, 'data-lock.ts'))})
    try {
      lockDataFolder(${JSON.stringify(dir)})
      console.log('locked')
    } catch (error) {
      console.log(error.message)
    }
    setInterval(() => {}, 60_000)`
  const other = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe' })
  others.push(other)
  const { value } = await other.stdout.getReader().read()
  return { other, said: new TextDecoder().decode(value) }
}

test('a second master on the same data folder is refused, and told the pid of the first', async () => {
  const { other, said } = await otherHolder()
  expect(said).toBe('locked\n')
  expect(() => lockDataFolder(dir)).toThrow(`process ${other.pid}`)
  other.kill()
  await other.exited
})

test('after kill -9 of the first, the folder is free at once', async () => {
  const { other, said } = await otherHolder()
  expect(said).toBe('locked\n')
  other.kill('SIGKILL')
  await other.exited
  lockDataFolder(dir)()
})

test('within one process the folder is also taken once, and free when given back', async () => {
  const unlock = lockDataFolder(dir)
  expect(() => lockDataFolder(dir)).toThrow(`process ${process.pid}`)
  // The attempt must not have cost the first its lock against other processes.
  expect((await otherHolder()).said).toContain(`process ${process.pid}`)
  unlock()
  lockDataFolder(dir)()
})
