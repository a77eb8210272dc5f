import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { type KeptKeys, makeSessionKeys } from './session-keys.ts'

const key = (key_id: string) => ({ key_id, session_key: Buffer.alloc(32, key_id).toString('base64url') })

/** An agent's keys, and its file of them. `start` is a start of the process: what was not saved is gone. */
function agentWith(first: string) {
  const file: { kept: KeptKeys; is_full: boolean } = {
    kept: { ...key(first), other_key: null },
    is_full: false,
  }
  const start = () =>
    makeSessionKeys(file.kept, keys => {
      if (file.is_full) throw new Error('no space left on device')
      file.kept = keys
    })
  return { file, start, keys: start(), ids: () => [file.kept.key_id, file.kept.other_key?.key_id ?? null] }
}

test('an offered key is kept beside the one in use, which goes on until the master says otherwise', () => {
  const { keys, ids, start } = agentWith('old')
  expect(keys.offered(key('new'))).toBe(true)
  expect(ids()).toEqual(['old', 'new'])
  expect(keys.next().key_id).toBe('old')
  expect(start().next().key_id).toBe('old')
  expect(keys.offered(key('new'))).toBe(true)
  expect(keys.promoted('new', 'old')).toBe(true)
  expect(ids()).toEqual(['new', 'old'])
  expect(keys.next().key_id).toBe('new')
})

test('the old key goes with the first connection that the new one opened, not before', () => {
  const { keys, ids } = agentWith('old')
  keys.offered(key('new'))
  keys.promoted('new', 'old')
  keys.promoted('new', 'old')
  expect(ids()).toEqual(['new', 'old'])
  keys.promoted('new', 'new')
  expect(ids()).toEqual(['new', null])
})

test('refused with one key it tries the other at once, and then waits like anyone', () => {
  const { keys } = agentWith('old')
  expect(keys.refused('old')).toBe(false)
  keys.offered(key('new'))
  expect(keys.refused('old')).toBe(true)
  expect(keys.next().key_id).toBe('new')
  expect(keys.refused('new')).toBe(false)
  expect(keys.next().key_id).toBe('old')
  expect(keys.refused('old')).toBe(true)
})

test('the key that failed goes when the other one worked', () => {
  const { keys, ids } = agentWith('old')
  keys.offered(key('new'))
  keys.refused('old')
  keys.promoted('new', 'new')
  expect(ids()).toEqual(['new', null])
})

test('a candidate that the master does not know any more harms nothing: the old one stays, the next offer takes its place', () => {
  const { keys, ids } = agentWith('old')
  keys.offered(key('new'))
  keys.refused('old')
  keys.refused('new')
  keys.refused('old')
  keys.refused('new')
  keys.promoted('old', 'old')
  expect(keys.next().key_id).toBe('old')
  keys.offered(key('newer'))
  expect(ids()).toEqual(['old', 'newer'])
})

test('a new key that failed for another reason is not lost when the old one worked and the master still calls it its key', () => {
  const { keys, ids } = agentWith('old')
  keys.offered(key('new'))
  keys.promoted('new', 'old')
  keys.refused('new')
  expect(keys.next().key_id).toBe('old')
  keys.promoted('new', 'old')
  expect(ids()).toEqual(['new', 'old'])
  expect(keys.next().key_id).toBe('new')
})

test('a key that cannot be kept is not taken, and what was kept stays in use', () => {
  const { keys, file, ids } = agentWith('old')
  file.is_full = true
  expect(() => keys.offered(key('new'))).toThrow('no space')
  expect(ids()).toEqual(['old', null])
  file.is_full = false
  keys.offered(key('new'))
  file.is_full = true
  expect(() => keys.promoted('new', 'old')).toThrow('no space')
  expect(keys.next().key_id).toBe('old')
  file.is_full = false
  keys.promoted('new', 'old')
  expect(keys.next().key_id).toBe('new')
})

test('what is no key is not kept, and a key that it does not have is not put in use', () => {
  const { keys, ids } = agentWith('old')
  expect(keys.offered({ key_id: 'short', session_key: 'AAAA' })).toBe(false)
  expect(keys.promoted('unknown', 'old')).toBe(false)
  expect(ids()).toEqual(['old', null])
})

/** A master that keeps to its rules: which key is primary, which still works, which is offered. */
interface Master {
  primary: string
  secondary: string | null
  candidate: string | null
}
const STEPS = [
  'offer',
  'offer_lost',
  'accept',
  'accept_lost',
  'promotion_lost',
  'reconnect',
  'restart',
  'grace',
  'drop',
] as const

test('whatever is lost and whoever is killed in whatever order, the two always have a key in common', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...STEPS), { maxLength: 40 }), steps => {
      const agent = agentWith('k0')
      const master: Master = { primary: 'k0', secondary: null, candidate: null }
      let { keys } = agent
      let used = 'k0'
      let made = 0
      const live = () => [master.primary, master.secondary, master.candidate]
      const promote = () => {
        if (master.candidate === null) return
        master.secondary = master.primary
        master.primary = master.candidate
        master.candidate = null
      }
      const connect = () => {
        for (let tries = 0; !live().includes(keys.next().key_id); tries++) {
          if (tries > 2) throw new Error(`refused with every key: ${agent.ids()} of ${live()}`)
          keys.refused(keys.next().key_id)
        }
        used = keys.next().key_id
        if (used === master.candidate) promote()
        keys.promoted(master.primary, used)
        if (master.candidate) keys.offered(key(master.candidate))
      }
      const act = {
        offer() {
          master.candidate ??= `k${++made}`
          keys.offered(key(master.candidate))
        },
        offer_lost() {
          master.candidate ??= `k${++made}`
        },
        accept() {
          if (agent.ids().includes(master.candidate)) promote()
          keys.promoted(master.primary, used)
        },
        accept_lost() {},
        promotion_lost() {
          if (agent.ids().includes(master.candidate)) promote()
          connect()
        },
        reconnect: connect,
        restart() {
          keys = agent.start()
          connect()
        },
        grace() {
          master.secondary = null
        },
        drop() {
          master.candidate = null
        },
      }
      for (const step of steps) {
        act[step]()
        expect(agent.ids()).toContain(
          agent.ids().find(id => id !== null && live().includes(id)) ?? 'none in common',
        )
      }
      connect()
      expect(agent.ids()).toContain(master.primary)
    }),
    { numRuns: 3_000 },
  )
})
