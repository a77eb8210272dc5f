import { lookup as lookUp } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Network } from '../addresses.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { type Allowed, allowedOf, judge } from './address-rules.ts'
import { type Exchanged, type ExchangeRules, exchange, UnconnectedError } from './exchange.ts'
import { type Outgoing, OutgoingError, type OutgoingInit } from './outgoing.ts'
import { firstHop, type Hop, nextHop, redirect } from './request-rules.ts'

export interface OutgoingDeps {
  /** The setting `outgoing.allow`: ranges (CIDR) and addresses that are reached though they are not public. */
  readonly allow: readonly Network[]
  /** The addresses of a host name; the default asks as every program of the machine does. */
  readonly lookup?: (name: string) => Promise<readonly string[]>
  /** PEM: the authorities to trust, in place of those of the runtime. */
  readonly ca?: string
  /** Shorter ones for tests. */
  readonly times?: Partial<Record<'connect_ms' | 'whole_ms', number>>
}

/**
 * Every address that a name has is judged, and the connection goes to a judged one: there is no second look-up in which a
 * name could mean something else. Each redirect is a new request that is judged in the same way.
 */
export function makeOutgoing(deps: OutgoingDeps): Outgoing {
  const allow = allowedOf(deps.allow)
  const lookup = deps.lookup ?? lookUpAll
  const whole_ms = deps.times?.whole_ms ?? MASTER_LIMITS.outgoing_ms
  const rules: ExchangeRules = {
    ca: deps.ca ?? null,
    connect_ms: deps.times?.connect_ms ?? MASTER_LIMITS.outgoing_connect_ms,
    max_bytes: MASTER_LIMITS.outgoing_answer_bytes,
    header_bytes: MASTER_LIMITS.outgoing_header_bytes,
  }
  let running = 0

  const ask = async (hop: Hop, signal: AbortSignal): Promise<Exchanged> => {
    const addresses = await until(signal, addressesOf(hop.url, allow, lookup))
    let failed: unknown
    for (const address of addresses.slice(0, MASTER_LIMITS.outgoing_addresses_tried)) {
      try {
        return await exchange(hop, address, rules, signal)
      } catch (error) {
        if (!(error instanceof UnconnectedError)) throw error
        failed = error
      }
    }
    throw failed
  }

  const follow = async (first: Hop, init: OutgoingInit, signal: AbortSignal): Promise<Response> => {
    let hop = first
    for (let followed = 0; ; followed++) {
      const answer = await ask(hop, signal)
      const next =
        init.redirect === 'manual' ? null : nextHop(hop, answer.status, answer.headers.get('location'))
      if (!next) return responseOf(hop, answer)
      if (init.redirect === 'error') throw redirect(hop, `to ${next.url.origin}`)
      if (followed === MASTER_LIMITS.outgoing_redirects)
        throw redirect(hop, `more than ${MASTER_LIMITS.outgoing_redirects} times`)
      hop = next
    }
  }

  return {
    async fetch(url, init = {}) {
      const first = firstHop(url, init)
      if (running >= MASTER_LIMITS.outgoing_at_once)
        throw new OutgoingError(
          'busy',
          `${MASTER_LIMITS.outgoing_at_once} requests of the master run already; try again`,
        )
      running++
      const deadline = new AbortController()
      const late = new OutgoingError('timeout', `${first.url.origin} did not answer within ${whole_ms} ms`)
      const timer = setTimeout(() => deadline.abort(late), whole_ms)
      try {
        return await follow(
          first,
          init,
          AbortSignal.any([deadline.signal, ...(init.signal ? [init.signal] : [])]),
        )
      } finally {
        clearTimeout(timer)
        running--
      }
    },
  }
}

/** That there is no such name and that no resolver answered are two things to mend. */
function unresolved(origin: string, error: NodeJS.ErrnoException): never {
  const why = error.code ?? error.message
  throw new OutgoingError('unreachable', `${origin} cannot be reached: its name cannot be resolved (${why})`)
}

async function lookUpAll(name: string): Promise<string[]> {
  return (await lookUp(name, { all: true, verbatim: true })).map(one => one.address)
}

/** All addresses of the URL's host. Throws when one of them is refused: which is connected to must not be chance. */
async function addressesOf(
  { hostname, origin }: URL,
  allow: Allowed,
  lookup: (name: string) => Promise<readonly string[]>,
): Promise<string[]> {
  const literal = hostname.replace(/^\[|\]$/g, '')
  const found = isIP(literal) ? [literal] : await lookup(hostname).catch(error => unresolved(origin, error))
  if (found.length === 0)
    throw new OutgoingError('unreachable', `${origin} cannot be reached: ${hostname} has no address`)
  const judged = found.map(one => judge(one, allow))
  const refused = judged.find(one => one.refused !== null)
  if (!refused) return [...new Set(judged.map(one => one.address))]
  const { address } = refused
  const where = address === literal ? 'it' : hostname
  throw new OutgoingError(
    'refused',
    `${origin} is refused: ${where} is ${address === literal ? '' : `${address}, `}${refused.refused}. ` +
      `If it is meant, add ${address}/${isIP(address) === 6 ? 128 : 32} to the setting outgoing.allow of the master.`,
  )
}

/** What `work` gives, or the signal's reason, whatever comes first. */
async function until<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** RFC 9110: these have no body, and a Response with one cannot be made. */
const BODYLESS = [204, 205, 304]

function responseOf(hop: Hop, { status, headers, body }: Exchanged): Response {
  if (status < 200 || status > 599)
    throw new OutgoingError('unreachable', `${hop.url.origin} answers with the status ${status}`)
  return new Response(BODYLESS.includes(status) || hop.method === 'HEAD' ? null : body, { status, headers })
}
