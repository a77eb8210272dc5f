import { randomBytes } from 'node:crypto'
import type { AgentFacts, AgentMessage, MasterMessage } from '@nxmesh/contract/channel/messages'
import { OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION } from '@nxmesh/contract/channel/version'
import type { Log } from '../log.ts'
import type { Orders } from '../orders.ts'
import { backoffMs, retryLaterMs } from './backoff.ts'
import {
  type Connection,
  type Ending,
  type LinkIdentity,
  openConnection,
  type Session,
} from './connection.ts'
import { LINK_LIMITS, type LinkLimits } from './link-limits.ts'
import { isKeyMessage, takeKeyMessage } from './rotation.ts'
import { type KeptKeys, makeSessionKeys, type SessionKey } from './session-keys.ts'

export type { LinkIdentity } from './connection.ts'

export interface LinkOptions {
  readonly identity: Omit<LinkIdentity, keyof SessionKey> & Omit<KeptKeys, 'other_key'> & Partial<KeptKeys>
  /** Makes changed session keys durable before it returns, or throws; without it the agent takes no new ones. */
  readonly saveKeys?: (keys: KeptKeys) => void
  readonly orders: Orders
  readonly log: Log
  readonly limits?: Partial<LinkLimits>
  /** Milliseconds since the epoch. */
  readonly now_ms?: () => number
  /** In [0, 1). */
  readonly random?: () => number
  /** Called when the master has welcomed this agent, and when that connection ended. */
  readonly changed?: (connected: boolean) => void
  /** Of the process; harnesses that run many agents in one give each its own. */
  readonly instance?: string
}

export interface Link {
  /** Welcomed by the master, and not ended since. */
  readonly connected: boolean
  /** How far the master's clock is ahead of ours, as far as it had to be corrected. */
  readonly clock_offset_ms: number
  /** Ends the connection and stops reconnecting. */
  stop(): Promise<void>
}

/** Random for each process: two that come with the same identity are told apart by it. */
const INSTANCE = randomBytes(18).toString('base64url')

/**
 * Keeps this agent connected to its master: dials, says hello with facts and position, hands orders on in the order of their
 * frames, beats, and comes back with exponential backoff. What could not be sent is dropped: the next hello's
 * position is the truth.
 */
export function startLink(options: LinkOptions): Link {
  const { orders, log } = options
  const limits = { ...LINK_LIMITS, ...options.limits }
  const now_ms = options.now_ms ?? Date.now
  const random = options.random ?? Math.random
  const keys = makeSessionKeys(keptOf(options.identity), options.saveKeys ?? cannotSave)
  const stopping = new AbortController()
  let protocol = PROTOCOL_VERSION
  let current: Connection | null = null
  let connected = false
  let clock_offset_ms = 0

  const setConnected = (value: boolean) => {
    if (connected === value) return
    connected = value
    options.changed?.(value)
  }
  orders.attach({ send: message => (connected ? current?.send(message) : undefined) })

  /** One connection from dialling to its end. */
  const connectOnce = (facts: AgentFacts): Promise<Ending> =>
    new Promise(resolve => {
      const identity = { ...options.identity, ...keys.next() }
      const { agent_id, key_id } = identity
      let session: Session | null = null
      const beat = makeHeartbeat(
        limits.silence_ms,
        orders,
        message => current?.send(message),
        () => current?.close('the master fell silent'),
      )
      const ended = (ending: Ending) => {
        beat.stop()
        current = null
        setConnected(false)
        resolve(ending)
      }
      current = openConnection({
        identity,
        limits,
        protocol,
        clock_ms: now_ms() + clock_offset_ms,
        events: {
          hello: greeted => {
            session = greeted
            beat.watch()
            const { protocol: spoken } = greeted
            const position = orders.position()
            return {
              type: 'agent_hello',
              protocol: spoken,
              instance: options.instance ?? INSTANCE,
              facts,
              position,
            }
          },
          message: message => {
            beat.heard()
            if (message.type === 'welcome') {
              setConnected(true)
              return beat.start(message.heartbeat_ms)
            }
            if (!isKeyMessage(message)) return handOver(message, orders, log)
            const send = (answer: AgentMessage) => current?.send(answer)
            const close = (reason: string) => current?.close(reason)
            if (session) takeKeyMessage(keys, message, { agent_id, key_id, session, send, close }, log)
          },
          ended,
        },
      })
    })

  const run = async () => {
    let attempt = 0
    let corrected = false
    while (!stopping.signal.aborted) {
      const began_ms = performance.now()
      const tried = keys.next().key_id
      const ending = await connectOrGiveUp(orders, connectOnce)
      if (stopping.signal.aborted) return
      if (performance.now() - began_ms >= limits.stable_ms) attempt = 0
      log('warn', 'The connection to the master ended', { ...ending, ...adviceFor(ending, tried), attempt })
      if (ending.kind === 'refused' && ending.server_time_ms !== null) {
        clock_offset_ms = ending.server_time_ms - now_ms()
        // The first correction is tried at once; a clock that is still wrong after it waits like any failure.
        if (!corrected) {
          corrected = true
          continue
        }
      } else corrected = false
      if (ending.kind === 'refused' && ending.reason === 'protocol_not_served')
        protocol = protocol > OLDEST_PROTOCOL_VERSION ? protocol - 1 : PROTOCOL_VERSION
      // With two keys the other one is tried at once.
      if (ending.kind === 'refused' && ending.reason === 'not_authenticated' && keys.refused(tried)) continue
      await pause(delayMs(ending, attempt, limits, random()), stopping.signal)
      attempt += 1
    }
  }
  const done = run()

  return {
    get connected() {
      return connected
    },
    get clock_offset_ms() {
      return clock_offset_ms
    },
    async stop() {
      stopping.abort()
      current?.close('the agent stops')
      await done
    },
  }
}

/** The master tells a stranger nothing; whoever may read its audit log finds the reason there. */
const adviceFor = (ending: Ending, key_id: string) =>
  ending.kind === 'refused' && ending.reason === 'not_authenticated'
    ? { key_id, advice: 'the master’s audit log says why; where keys were revoked: nxmesh-agent rejoin' }
    : {}

async function connectOrGiveUp(
  orders: Orders,
  connect: (facts: AgentFacts) => Promise<Ending>,
): Promise<Ending> {
  try {
    return await connect(await orders.facts())
  } catch (error) {
    return { kind: 'lost', reason: error instanceof Error ? error.message : String(error) }
  }
}

function delayMs(ending: Ending, attempt: number, limits: LinkLimits, random: number): number {
  if (ending.kind === 'retry_later') return retryLaterMs(ending.delay_ms, limits.retry_later_max_ms, random)
  // A second machine with this identity does not go away by itself.
  if (ending.kind === 'identity_conflict') return limits.reconnect_max_ms
  return backoffMs(attempt, limits.reconnect_min_ms, limits.reconnect_max_ms, random)
}

const keptOf = ({ key_id, session_key, other_key }: LinkOptions['identity']): KeptKeys => ({
  key_id,
  session_key,
  other_key: other_key ?? null,
})

function cannotSave(): never {
  throw new Error('this agent has no place to keep it')
}

/** An order that throws is a fault of the agent; the connection and the next orders are not harmed by it. */
function handOver(message: MasterMessage, orders: Orders, log: Log): void {
  try {
    if (message.type === 'prepare') orders.prepare(message)
    else if (message.type === 'objects') orders.objects(message)
    else if (message.type === 'commit') orders.commit(message)
    else if (message.type === 'abort') orders.abort(message)
    else if (message.type === 'lift_hold') orders.liftHold()
  } catch (error) {
    log('error', 'An order could not be taken', { type: message.type, error: String(error) })
  }
}

/** Beats at the master's rate, and notices when nothing has come from it for too long, by a clock that nobody sets. */
function makeHeartbeat(
  silence_ms: number,
  orders: Orders,
  send: (message: AgentMessage) => void,
  silent: () => void,
) {
  let heard_ms = performance.now()
  let beating: ReturnType<typeof setInterval> | undefined
  let watching: ReturnType<typeof setInterval> | undefined
  return {
    heard: () => {
      heard_ms = performance.now()
    },
    /** From the hello on: a master that never answers it is silent too. */
    watch: () => {
      heard_ms = performance.now()
      watching = setInterval(() => performance.now() - heard_ms >= silence_ms && silent(), silence_ms / 4)
    },
    start: (heartbeat_ms: number) => {
      clearInterval(beating)
      beating = setInterval(() => send({ type: 'heartbeat', position: orders.position() }), heartbeat_ms)
    },
    stop: () => {
      clearInterval(beating)
      clearInterval(watching)
    },
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
