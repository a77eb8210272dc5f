import { applyDelta } from '@nxmesh/contract/channel/manifest'
import type { ManifestEntry, MasterMessageOf } from '@nxmesh/contract/channel/messages'
import { LIMITS } from '@nxmesh/contract/limits'
import { faultPoint } from '../faults.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { bundleHash, findRecord, manifestOf, type RecordEntry } from '../state/records.ts'
import { type ApplyContext, Unable, Unanswered } from './context.ts'

/** A whole bundle: what can be taken over from the folder before, and the objects of the rest. */
export interface Received {
  readonly kept: readonly RecordEntry[]
  readonly changed: readonly { readonly key: string; readonly hash: string; readonly json: string }[]
}

export interface Waiting {
  /** Of `performance.now()`. */
  readonly deadline: number
  readonly cancel: AbortSignal
}

/**
 * Builds the bundle's manifest and gathers its objects, asking the master for what did not come.
 * @throws Unanswered when the whole manifest must be sent first, Unable when objects do not come in time
 */
export async function receive(
  ctx: ApplyContext,
  message: MasterMessageOf<'prepare'>,
  facts_key: string,
  waiting: Waiting,
): Promise<Received> {
  faultPoint('receive')
  const manifest = buildManifest(ctx, message)
  const reusable =
    ctx.base?.facts_key === facts_key ? byKey(ctx.base.entries) : new Map<string, RecordEntry>()
  const kept: RecordEntry[] = []
  const wanted: ManifestEntry[] = []
  for (const entry of manifest) {
    const known = reusable.get(entry[0])
    if (known?.hash === entry[1]) kept.push(known)
    else wanted.push(entry)
  }
  const objects = await gather(ctx, message, wanted, waiting)
  const changed = wanted.map(([key, hash]) => ({ key, hash, json: objects.get(hash) ?? '' }))
  return { kept, changed }
}

function byKey(entries: readonly RecordEntry[]): Map<string, RecordEntry> {
  return new Map(entries.map(entry => [entry.key, entry]))
}

function buildManifest(ctx: ApplyContext, message: MasterMessageOf<'prepare'>): ManifestEntry[] {
  const { base } = message.manifest
  const known = base === null ? null : ctx.base?.bundle_hash === base ? ctx.base : findRecord(ctx.paths, base)
  if (base === null || known !== null) {
    const manifest = applyDelta(known === null ? [] : manifestOf(known), message.manifest)
    if (bundleHash(manifest) === message.bundle_hash) return manifest
    if (base === null) throw new Unable('the manifest does not have the hash of its bundle')
  }
  ctx.reports.send({ type: 'need', deployment_id: message.deployment_id, manifest: true, hashes: [] })
  throw new Unanswered('waiting for the whole manifest')
}

async function gather(
  ctx: ApplyContext,
  message: MasterMessageOf<'prepare'>,
  wanted: readonly ManifestEntry[],
  { deadline, cancel }: Waiting,
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  let asked = 0
  let quiet = false
  for (;;) {
    const missing = collect(ctx, wanted, found)
    if (missing.length === 0) return found
    const all_came = asked === 0 && ctx.inbox.count(message.deployment_id) >= message.object_count
    if (asked < AGENT_LIMITS.need_rounds && (all_came || quiet)) {
      asked++
      for (let from = 0; from < missing.length; from += LIMITS.need_hashes)
        ctx.reports.send({
          type: 'need',
          deployment_id: message.deployment_id,
          manifest: false,
          hashes: missing.slice(from, from + LIMITS.need_hashes),
        })
    }
    const left_ms = deadline - performance.now()
    if (left_ms <= 0) throw new Unable(`${missing.length} objects did not come in time`)
    quiet = !(await ctx.inbox.next(Math.min(left_ms, AGENT_LIMITS.need_quiet_ms), cancel))
    if (cancel.aborted) throw new Unable(String(cancel.reason))
  }
}

/** Takes from the cache what is there. @returns the hashes that are still missing */
function collect(ctx: ApplyContext, wanted: readonly ManifestEntry[], found: Map<string, string>): string[] {
  const missing = new Set<string>()
  for (const [, hash] of wanted) {
    if (found.has(hash) || missing.has(hash)) continue
    const json = ctx.objects.get(hash)
    if (json === null) missing.add(hash)
    else found.set(hash, json)
  }
  return [...missing]
}
