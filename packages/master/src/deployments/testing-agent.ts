import { createHash } from 'node:crypto'
import type {
  AgentMessage,
  AgentPosition,
  ConfigError,
  Labels,
  ManifestEntry,
  MasterMessage,
  MasterMessageOf,
} from '@nxmesh/contract'
import { applyDelta, manifestText, sortManifest } from '@nxmesh/contract/channel/manifest'
import { newId } from '../ids.ts'

const hashOf = (text: string) => createHash('sha256').update(text).digest('hex')
const noError = (message: string, resource: ConfigError['resource'] = null): ConfigError => ({
  message,
  file: null,
  line: null,
  resource,
})

/** What a scripted agent does with an order. `silent` answers nothing. */
export type PrepareAnswer = 'prepared' | 'silent' | { rejected: ConfigError } | { unable: string }
export type CommitAnswer = 'serving' | 'silent' | 'loaded' | { failed: ConfigError }

/** Keeps manifests and objects as the real one does, and refuses what does not add up or is out of order. */
export class ScriptedAgent {
  readonly id = newId()
  readonly name: string
  labels: Labels
  online = false
  onPrepare: (objects: unknown[], order: MasterMessageOf<'prepare'>) => PrepareAnswer = () => 'prepared'
  onCommit: (order: MasterMessageOf<'commit'>) => CommitAnswer = () => 'serving'
  readonly log: string[] = []
  readonly orders: MasterMessage[] = []
  position: AgentPosition = {
    epoch: 0,
    generation: 0,
    deployment_id: null,
    bundle_hash: null,
    tree_hash: null,
    hold: null,
  }
  readonly cache = new Map<string, string>()
  readonly manifests = new Map<string, ManifestEntry[]>()
  #order: MasterMessageOf<'prepare'> | null = null
  #manifest: ManifestEntry[] = []
  #awaited = 0
  #prepared: string | null = null
  say: (message: AgentMessage) => void = () => {}

  constructor(name: string, labels: Labels = {}) {
    this.name = name
    this.labels = labels
  }

  /** The virtual hosts that it serves now, by name. */
  get serving(): { name: string; version_number: number; server_names: string[] }[] {
    const manifest = this.manifests.get(this.position.bundle_hash ?? '') ?? []
    const sites = manifest.filter(([key]) => key.startsWith('virtual_host/'))
    return sites.map(([, hash]) => JSON.parse(this.cache.get(hash) ?? 'null'))
  }

  receive(message: MasterMessage): void {
    this.orders.push(message)
    this.log.push(message.type)
    if (message.type === 'prepare') this.#prepare(message)
    if (message.type === 'objects') this.#objects(message)
    if (message.type === 'commit') this.#commit(message)
    if (message.type === 'abort') this.#prepared = null
  }

  #prepare(order: MasterMessageOf<'prepare'>): void {
    const { epoch, generation, deployment_id } = order
    if (
      epoch < this.position.epoch ||
      (epoch === this.position.epoch && generation < this.position.generation)
    ) {
      this.log.push('too late')
      this.say({
        type: 'unable',
        epoch,
        generation,
        deployment_id,
        message: 'a newer order was answered',
      })
      return
    }
    this.position = { ...this.position, epoch, generation }
    this.#order = order
    const { base } = order.manifest
    const known = base === null ? [] : this.manifests.get(base)
    if (!known) {
      this.say({ type: 'need', deployment_id, manifest: true, hashes: [] })
      return
    }
    this.#manifest = applyDelta(known, order.manifest)
    this.#awaited = order.object_count
    if (this.#awaited === 0) this.#check()
  }

  #objects(message: MasterMessageOf<'objects'>): void {
    for (const { hash, json } of message.objects) {
      if (hashOf(json) !== hash) throw new Error(`object ${hash} is not what it says`)
      this.cache.set(hash, json)
      this.#awaited--
    }
    if (this.#awaited <= 0) this.#check()
  }

  #check(): void {
    const order = this.#order
    if (!order) return
    const hashes = this.#manifest.map(([, hash]) => hash).filter(hash => !this.cache.has(hash))
    if (hashes.length > 0) {
      this.#awaited = hashes.length
      this.say({ type: 'need', deployment_id: order.deployment_id, manifest: false, hashes })
      return
    }
    if (hashOf(manifestText(sortManifest(this.#manifest))) !== order.bundle_hash)
      throw new Error('the manifest is not what its hash says')
    this.manifests.set(order.bundle_hash, this.#manifest)
    const objects = this.#manifest.map(([, hash]) => JSON.parse(this.cache.get(hash) ?? 'null'))
    this.#answer(order, this.onPrepare(objects, order))
  }

  #answer(order: MasterMessageOf<'prepare'>, answer: PrepareAnswer): void {
    const { epoch, generation, deployment_id, bundle_hash } = order
    const head = { epoch, generation, deployment_id }
    if (answer === 'silent') return
    if (answer === 'prepared') {
      this.#prepared = bundle_hash
      this.say({
        type: 'prepared',
        ...head,
        bundle_hash,
        tree_hash: hashOf(bundle_hash),
        timings_ms: { render: 1 },
      })
    } else if ('rejected' in answer)
      this.say({ type: 'rejected', ...head, error: answer.rejected, timings_ms: {} })
    else this.say({ type: 'unable', ...head, message: answer.unable })
  }

  #commit(order: MasterMessageOf<'commit'>): void {
    const { epoch, generation, deployment_id, bundle_hash } = order
    const head = { epoch, generation, deployment_id }
    if (this.#prepared !== bundle_hash && this.position.bundle_hash !== bundle_hash) {
      this.say({ type: 'unable', ...head, message: 'this was not prepared' })
      return
    }
    const answer = this.onCommit(order)
    if (answer === 'silent') return
    const at = new Date().toISOString()
    if (typeof answer === 'object') {
      this.say({ type: 'failed', ...head, at, error: answer.failed, swapped_back: true, timings_ms: {} })
      return
    }
    this.say({ type: 'loaded', ...head, at })
    if (answer === 'loaded') return
    this.position = { ...this.position, deployment_id, bundle_hash, tree_hash: hashOf(bundle_hash) }
    this.say({ type: 'serving', ...head, at, tree_hash: hashOf(bundle_hash), timings_ms: { reload: 2 } })
  }
}

export const refuses = (message: string, kind?: string, id?: string): { rejected: ConfigError } => ({
  rejected: noError(message, kind && id ? { kind, id } : null),
})
export const fails = (message: string, kind?: string, id?: string): { failed: ConfigError } => ({
  failed: noError(message, kind && id ? { kind, id } : null),
})
