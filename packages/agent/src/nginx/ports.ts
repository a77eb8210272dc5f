import type { ProcessId } from '../host/processes.ts'
import { socketInodes } from '../host/processes.ts'
import { canBind, type ListeningSocket, listeningSockets, ownerOf, UNKNOWN_OWNER } from '../host/sockets.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { workersOf } from './master-process.ts'

/** An address that a configuration listens on: `*`, `[::]` or one address, and a port. */
export interface WantedAddress {
  readonly address: string
  readonly port: number
  /** Where it is asked for. */
  readonly file: string
  readonly line: number
}

export interface PortConflict {
  readonly wanted: WantedAddress
  readonly message: string
}

/**
 * What would keep nginx from opening an address: `nginx -t` ignores addresses in use, and
 * a reload that meets one fails after 2.5 s. An address that this nginx holds already is no conflict.
 */
export async function findPortConflict(
  wanted: readonly WantedAddress[],
  master: ProcessId,
): Promise<PortConflict | null> {
  // Reading every socket of a busy host takes longer than the rest of an edit.
  if (wanted.length === 0) return null
  for (let look = 1; ; look++) {
    const conflict = await conflictNow(wanted, master)
    // Nobody has it any more: a program that only tried the port, and let it go while we looked who it is.
    if (!conflict?.by_nobody || look === AGENT_LIMITS.port_looks) return conflict
    await new Promise(resolve => setTimeout(resolve, AGENT_LIMITS.port_look_ms))
  }
}

async function conflictNow(
  wanted: readonly WantedAddress[],
  master: ProcessId,
): Promise<(PortConflict & { readonly by_nobody?: boolean }) | null> {
  const listening = listeningSockets()
  const own = socketInodes(master.pid)
  const held = new Set(listening.filter(one => own.has(one.inode)).map(keyOf))
  // An old worker calls itself shutting down a moment before it closes what only it still holds.
  const workers = workersOf(master).map(({ pid }) => socketInodes(pid))
  const others = listening.filter(
    one => !own.has(one.inode) && !workers.some(inodes => inodes.has(one.inode)),
  )
  for (const one of wanted) {
    if (held.has(keyOf(one))) continue
    const other = others.find(socket => overlaps(one, socket)) ?? (await bothFamilies(one, others))
    if (other !== null) {
      const owner = ownerOf(other)
      return { wanted: one, message: inUse(one, owner), by_nobody: owner === UNKNOWN_OWNER }
    }
    const mine = listening.find(socket => own.has(socket.inode) && overlaps(one, socket))
    // Wildcard and specific cannot be bound at once, and nginx opens the new one before it closes the old one.
    if (mine !== undefined && isWildcard(one.address))
      return { wanted: one, message: needsRestart(one, mine) }
  }
  return null
}

async function bothFamilies(
  wanted: WantedAddress,
  others: readonly ListeningSocket[],
): Promise<ListeningSocket | null> {
  const other = others.find(socket => mayTakeBoth(wanted, socket))
  if (other === undefined) return null
  const host = wanted.address === '*' ? '0.0.0.0' : wanted.address
  return (await canBind(host, wanted.port)) ? null : other
}

const keyOf = ({ address, port }: { address: string; port: number }) => `${address}:${port}`
const isWildcard = (address: string) => address === '*' || address === '[::]'
const isV6 = (address: string) => address.startsWith('[')

/** Within one family; whether a `[::]` socket takes IPv4 as well is not in /proc, so that is tried. */
function overlaps(wanted: WantedAddress, socket: ListeningSocket): boolean {
  if (wanted.port !== socket.port || isV6(wanted.address) !== isV6(socket.address)) return false
  return wanted.address === socket.address || isWildcard(wanted.address) || isWildcard(socket.address)
}

/** Another program's `[::]` socket often takes IPv4 too. */
function mayTakeBoth(wanted: WantedAddress, socket: ListeningSocket): boolean {
  return wanted.port === socket.port && !isV6(wanted.address) && socket.address === '[::]'
}

function inUse(wanted: WantedAddress, owner: string): string {
  return `cannot listen on ${keyOf(wanted)}: address already in use by ${owner}`
}

function needsRestart(wanted: WantedAddress, other: ListeningSocket): string {
  return `changing the listener from ${keyOf(other)} to ${keyOf(wanted)} needs a restart of nginx, a reload cannot do it`
}
