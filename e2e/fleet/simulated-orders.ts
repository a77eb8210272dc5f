import { createHash } from 'node:crypto'
import type { Orders, Reports } from '@nxmesh/agent/orders'
import { applyDelta, manifestText } from '@nxmesh/contract/channel/manifest'
import type {
  AgentFacts,
  AgentPosition,
  ManifestEntry,
  MasterMessageOf,
} from '@nxmesh/contract/channel/messages'

type Prepare = MasterMessageOf<'prepare'>
interface Order {
  readonly epoch: number
  readonly generation: number
}
interface Prepared {
  readonly message: Prepare
  readonly manifest: readonly ManifestEntry[]
}

/** An agent whose nginx is a variable: everything is real but the apply, fencing included. */
export interface SimulatedOrders extends Orders {
  /** The JSON of each object that is served, by its key. */
  served(): ReadonlyMap<string, string>
  /** Every order whose commit was carried out, in the order of carrying out. */
  readonly committed: readonly (Order & { readonly bundle_hash: string })[]
  /** Orders that were refused because a higher one had been answered. */
  readonly refused: readonly Order[]
}

const lower = (a: Order, b: Order) =>
  a.epoch < b.epoch || (a.epoch === b.epoch && a.generation < b.generation)
const same = (a: Order, b: Order) => a.epoch === b.epoch && a.generation === b.generation
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const treeHash = (bundle_hash: string) => sha256(`tree ${bundle_hash}`)

/** The state outlives links and connections, as the state folder of a real agent does. */
export function makeSimulatedOrders(hostname: string): SimulatedOrders {
  const objects = new Map<string, string>()
  const committed: (Order & { bundle_hash: string })[] = []
  const refused: Order[] = []
  let reports: Reports = { send() {} }
  let fence: Order = { epoch: 0, generation: 0 }
  let serving: Prepared | null = null
  let pending: Prepared | null = null
  let waiting: { message: Prepare; manifest: readonly ManifestEntry[]; came: number } | null = null

  const position = (): AgentPosition => ({
    ...fence,
    deployment_id: serving?.message.deployment_id ?? null,
    bundle_hash: serving?.message.bundle_hash ?? null,
    tree_hash: serving ? treeHash(serving.message.bundle_hash) : null,
    hold: null,
  })
  const orderOf = ({ deployment_id, epoch, generation }: Order & { deployment_id: string }) => ({
    deployment_id,
    epoch,
    generation,
  })
  const unable = (message: Order & { deployment_id: string }, why: string) =>
    reports.send({ type: 'unable', ...orderOf(message), message: why })
  const prepared = (message: Prepare) =>
    reports.send({
      type: 'prepared',
      ...orderOf(message),
      bundle_hash: message.bundle_hash,
      tree_hash: treeHash(message.bundle_hash),
      timings_ms: {},
    })
  const serve = ({ message }: Prepared) => {
    const at = new Date().toISOString()
    reports.send({ type: 'loaded', ...orderOf(message), at })
    const tree_hash = treeHash(message.bundle_hash)
    reports.send({ type: 'serving', ...orderOf(message), at, tree_hash, timings_ms: {} })
  }
  const manifestFor = ({ manifest, bundle_hash }: Prepare): readonly ManifestEntry[] | null => {
    const base = manifest.base === null ? [] : knownManifest(manifest.base)
    if (base === null) return null
    const made = applyDelta([...base], manifest)
    return sha256(manifestText(made)) === bundle_hash ? made : null
  }
  const knownManifest = (hash: string) =>
    [serving, pending].find(one => one?.message.bundle_hash === hash)?.manifest ?? null

  const proceed = () => {
    if (!waiting) return
    const { message, manifest, came } = waiting
    const hashes = [...new Set(manifest.map(([, hash]) => hash).filter(hash => !objects.has(hash)))]
    if (hashes.length > 0) {
      if (came >= message.object_count)
        reports.send({ type: 'need', deployment_id: message.deployment_id, manifest: false, hashes })
      return
    }
    waiting = null
    pending = { message, manifest }
    prepared(message)
  }

  return {
    committed,
    refused,
    attach(to) {
      reports = to
    },
    prepare(message) {
      if (lower(message, fence)) {
        refused.push(message)
        return unable(message, `generation ${fence.generation} was answered already`)
      }
      if (serving && same(serving.message, message)) return prepared(message)
      fence = { epoch: message.epoch, generation: message.generation }
      const manifest = manifestFor(message)
      if (!manifest)
        return reports.send({
          type: 'need',
          deployment_id: message.deployment_id,
          manifest: true,
          hashes: [],
        })
      waiting = { message, manifest, came: 0 }
      proceed()
    },
    objects({ deployment_id, objects: batch }) {
      for (const { hash, json } of batch) if (sha256(json) === hash) objects.set(hash, json)
      if (waiting?.message.deployment_id !== deployment_id) return
      waiting.came += batch.length
      proceed()
    },
    commit(message) {
      if (serving && same(serving.message, message)) return serve(serving)
      if (!pending || !same(pending.message, message) || pending.message.bundle_hash !== message.bundle_hash)
        return unable(message, 'this is not what was prepared')
      serving = pending
      pending = null
      committed.push({ ...orderOf(message), bundle_hash: message.bundle_hash })
      serve(serving)
    },
    abort(message) {
      if (pending && same(pending.message, message)) pending = null
      if (waiting && same(waiting.message, message)) waiting = null
    },
    liftHold: () => reports.send({ type: 'position_changed', position: position() }),
    position,
    facts: async () => factsOf(hostname),
    served: () => new Map(serving?.manifest.map(([key, hash]) => [key, objects.get(hash) ?? '']) ?? []),
  }
}

const factsOf = (hostname: string): AgentFacts => ({
  hostname,
  agent_version: '0.1.0',
  renderer_version: '0.1.0',
  deployment_mode: 'standalone',
  capabilities: [],
  render: {
    nginx_version: '1.26.0',
    modules: ['http_v2', 'http_ssl'],
    listen_address: null,
    carried: { default_servers: [], http_directives: [] },
  },
})
