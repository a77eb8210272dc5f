import { createHash } from 'node:crypto'
import type { ManifestDelta } from '@nxmesh/contract'
import { type BundleEntry, madeHost, makeEntry, type PlannedHost } from './planned.ts'
import { type PlanAgent, selectionKeys, selectorKeysIn, selectorsOf } from './selection.ts'
import type { Snapshot } from './snapshot.ts'

/** What one agent, or several alike, shall have: content-addressed. */
export interface Bundle {
  /** SHA-256 of the manifest's text, hex. */
  readonly hash: string
  /** Sorted by key in code units. */
  readonly entries: readonly BundleEntry[]
  /** Would belong here, but cannot be made. */
  readonly left_out: readonly PlannedHost[]
}

export interface Plan {
  readonly bundle_of: ReadonlyMap<string, Bundle>
  /** Distinct ones. */
  readonly bundles: readonly Bundle[]
  /** Virtual hosts that are in no bundle because the release lacks an upstream that they point to. */
  readonly left_out: readonly PlannedHost[]
}

/** Bundles that were made of a snapshot, by selection key; they live as long as the snapshot. */
const made = new WeakMap<Snapshot, Map<string, Bundle>>()

/**
 * Snapshot and agents to bundles. Synchronous and deterministic: the same input gives the same hashes. The cost grows with
 * the number of distinct bundles, not with the number of agents.
 */
export function plan(snapshot: Snapshot, agents: readonly PlanAgent[]): Plan {
  if (agents.length === 0) return { bundle_of: new Map(), bundles: [], left_out: [] }
  const known = made.get(snapshot) ?? new Map<string, Bundle>()
  made.set(snapshot, known)
  const bundle_of = new Map<string, Bundle>()
  const bundles = new Set<Bundle>()
  for (const [agent_id, key] of selectionKeys(selectorsOf(snapshot), agents)) {
    let bundle = known.get(key)
    if (!bundle) {
      bundle = makeBundle(snapshot, selectorKeysIn(key))
      known.set(key, bundle)
    }
    bundle_of.set(agent_id, bundle)
    bundles.add(bundle)
  }
  return {
    bundle_of,
    bundles: [...bundles],
    left_out: [...new Set([...bundles].flatMap(one => one.left_out))],
  }
}

function makeBundle(snapshot: Snapshot, selected: ReadonlySet<string>): Bundle {
  const hosts: BundleEntry[] = []
  const left_out: PlannedHost[] = []
  const used = new Set<BundleEntry>()
  const ports = new Set<number>()
  let longest_server_name = 0
  let server_name_count = 0
  for (const host of snapshot.hosts) {
    if (!selected.has(host.selector_key)) continue
    const made = madeHost(host, snapshot.upstreams)
    if (!made) {
      left_out.push(host)
      continue
    }
    hosts.push(made.entry)
    ports.add(host.data.listen_port)
    longest_server_name = Math.max(longest_server_name, host.longest_server_name)
    server_name_count += host.server_names.length
    for (const entry of made.used) used.add(entry)
  }
  const http = makeEntry('http/http', { kind: 'http', longest_server_name, server_name_count })
  const listeners = [...ports].map(port => makeEntry(`listener/${port}`, { kind: 'listener', port }))
  // The kinds stand in the order of their names, so only the short lists are left to sort.
  return bundleOf([http, ...listeners.sort(byKey), ...[...used].sort(byKey), ...hosts], left_out)
}

function bundleOf(entries: readonly BundleEntry[], left_out: readonly PlannedHost[]): Bundle {
  const hash = createHash('sha256')
  for (const entry of entries) hash.update(entry.line)
  return { hash: hash.digest('hex'), entries, left_out }
}

const byKey = (a: BundleEntry, b: BundleEntry) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

/** What turns one bundle's manifest into another's, and the entries that are new in it. Null base: from nothing. */
export function deltaOf(base: Bundle | null, bundle: Bundle): { delta: ManifestDelta; put: BundleEntry[] } {
  const before = base?.entries ?? []
  const put: BundleEntry[] = []
  const remove: string[] = []
  let at = 0
  for (const entry of bundle.entries) {
    for (let old = before[at]; old !== undefined && old.key < entry.key; old = before[++at])
      remove.push(old.key)
    const old = before[at]
    if (old?.key === entry.key) at++
    if (old?.key !== entry.key || old.hash !== entry.hash) put.push(entry)
  }
  for (const old of before.slice(at)) remove.push(old.key)
  return { delta: { base: base?.hash ?? null, put: put.map(one => [one.key, one.hash]), remove }, put }
}
