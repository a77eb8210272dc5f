import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canonicalJson } from '@nxmesh/contract/canonical'
import { sortManifest } from '@nxmesh/contract/channel/manifest'
import type {
  AgentMessage,
  AgentMessageOf,
  ManifestEntry,
  MasterMessageOf,
} from '@nxmesh/contract/channel/messages'
import type { BundleObject, VirtualHostObject } from '@nxmesh/nginx/objects'
import { type Agent, openAgent } from '../agent.ts'
import { sha256Hex } from '../host/files.ts'
import type { Log } from '../log.ts'
import { pollUntil } from '../poll.ts'
import { bundleHash } from '../state/records.ts'
import type { PrivateNginx } from './private-nginx.ts'

/** A bundle as a master would send it. */
export interface TestBundle {
  readonly manifest: readonly ManifestEntry[]
  readonly hash: string
  readonly objects: ReadonlyMap<string, string>
}

const WAIT_MAX_MS = 30_000

export function makeBundle(objects: readonly BundleObject[]): TestBundle {
  const texts = new Map<string, string>()
  const entries = objects.map((object): ManifestEntry => {
    const json = canonicalJson(object)
    const hash = sha256Hex(json)
    texts.set(hash, json)
    return [keyOf(object), hash]
  })
  const manifest = sortManifest(entries)
  return { manifest, hash: bundleHash(manifest), objects: texts }
}

function keyOf(object: BundleObject): string {
  if (object.kind === 'http') return 'http/http'
  return object.kind === 'listener' ? `listener/${object.port}` : `${object.kind}/${object.id}`
}

export function site(
  n: number,
  port: number,
  header: string,
  more: Partial<VirtualHostObject> = {},
): VirtualHostObject {
  return {
    kind: 'virtual_host',
    id: testId(n),
    version_number: 1,
    name: `site ${n}`,
    server_names: [`s${n}.example.com`],
    listen_port: port,
    template_id: 'default',
    gzip_enabled: false,
    locations: [
      {
        path: '/',
        target: { type: 'root', root: '/srv', index: null },
        custom_headers: [{ name: 'X-Site', value: header }],
      },
    ],
    ...more,
  }
}

/** What every bundle has besides its sites. */
export function frame(port: number, names = 1): BundleObject[] {
  return [
    { kind: 'listener', port },
    { kind: 'http', longest_server_name: 30, server_name_count: names },
  ]
}

export function testId(n: number): string {
  return `01920000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
}

/** An agent without a link: a test speaks the master's part. */
export interface TestAgent {
  readonly agent: Agent
  readonly state_dir: string
  readonly messages: AgentMessage[]
  prepareMessage(generation: number, bundle: TestBundle, base?: TestBundle): MasterMessageOf<'prepare'>
  prepare(generation: number, bundle: TestBundle, base?: TestBundle): Promise<AgentMessage>
  commit(generation: number, bundle: TestBundle): Promise<AgentMessage>
  /** The next message of one of these types about this generation. */
  next<T extends AgentMessage['type']>(generation: number, ...types: T[]): Promise<AgentMessageOf<T>>
  close(): Promise<void>
}

export interface TestAgentOptions {
  readonly state_dir?: string
  readonly log?: Log
}

export async function makeTestAgent(nginx: PrivateNginx, options: TestAgentOptions = {}): Promise<TestAgent> {
  const state_dir = options.state_dir ?? join(mkdtempSync(join(tmpdir(), 'nxmesh-agent-')), 'state')
  const agent = await openAgent({ state_dir, nginx: nginx.settings, log: options.log ?? (() => undefined) })
  const messages: AgentMessage[] = []
  agent.orders.attach({ send: message => messages.push(message) })
  let seen = 0
  const next = async <T extends AgentMessage['type']>(generation: number, ...types: T[]) => {
    const found = await pollUntil(() => {
      for (; seen < messages.length; ) {
        const message = messages[seen++]
        if (message === undefined || !types.includes(message.type as T)) continue
        if ('generation' in message && message.generation !== generation) continue
        return message as AgentMessageOf<T>
      }
      return null
    }, WAIT_MAX_MS)
    if (found === null)
      throw new Error(`no ${types.join(' or ')} came: ${JSON.stringify(messages).slice(-2_000)}`)
    return found
  }
  const order = (generation: number) => ({ deployment_id: testId(0xd000 + generation), epoch: 1, generation })
  const prepareMessage = (
    generation: number,
    bundle: TestBundle,
    base?: TestBundle,
  ): MasterMessageOf<'prepare'> => {
    const had = new Map(base?.manifest ?? [])
    const keys = new Set(bundle.manifest.map(([key]) => key))
    const put = bundle.manifest.filter(([key, hash]) => had.get(key) !== hash)
    return {
      type: 'prepare',
      ...order(generation),
      release_id: testId(0xe000 + generation),
      release_number: generation,
      bundle_hash: bundle.hash,
      manifest: { base: base?.hash ?? null, put, remove: [...had.keys()].filter(key => !keys.has(key)) },
      object_count: put.length,
      deadline_ms: 10_000,
    }
  }
  return {
    agent,
    state_dir,
    messages,
    prepareMessage,
    next,
    prepare(generation, bundle, base) {
      const message = prepareMessage(generation, bundle, base)
      const objects = message.manifest.put.map(([, hash]) => ({ hash, json: bundle.objects.get(hash) ?? '' }))
      agent.orders.prepare(message)
      agent.orders.objects({ type: 'objects', deployment_id: message.deployment_id, objects })
      return next(generation, 'prepared', 'rejected', 'unable')
    },
    commit(generation, bundle) {
      agent.orders.commit({ type: 'commit', ...order(generation), bundle_hash: bundle.hash })
      return next(generation, 'serving', 'failed', 'unable')
    },
    async close() {
      await agent.close()
      if (options.state_dir === undefined) rmSync(join(state_dir, '..'), { recursive: true, force: true })
    },
  }
}
