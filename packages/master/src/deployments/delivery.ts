import { LIMITS, type MasterMessage, type MasterMessageOf } from '@nxmesh/contract'
import { keepNewest } from '../keep-newest.ts'
import { prepareDeadline_ms } from './deployment-rules.ts'
import type { BundleEntry } from './planned.ts'
import { type Bundle, deltaOf } from './planner.ts'
import type { Run, RunTarget } from './run.ts'

/** Bundles that were sent or are served, by hash: what deltas start from. The least used ones are dropped. */
export interface BundleCache {
  get(hash: string | null): Bundle | null
  put(bundle: Bundle): void
}

const BUNDLES_KEPT = 64

export function makeBundleCache(): BundleCache {
  const kept = new Map<string, Bundle>()
  const touch = (bundle: Bundle) => keepNewest(kept, bundle.hash, bundle, BUNDLES_KEPT)
  return {
    get(hash) {
      const bundle = hash === null ? undefined : kept.get(hash)
      if (bundle) touch(bundle)
      return bundle ?? null
    },
    put: touch,
  }
}

/** The prepare message and the objects that follow it: the same for all agents with the same base and bundle. */
export interface Parcel {
  readonly prepare: MasterMessageOf<'prepare'>
  readonly objects: readonly MasterMessageOf<'objects'>[]
}

/** Makes the parcels of one deployment, each once. `base_ms`: the time to prepare next to nothing. */
export function makePacker(
  run: Run,
  base_ms: number,
): (base: Bundle | null, fresh: boolean, bundle: Bundle) => Parcel {
  const packed = new Map<string, Parcel>()
  return (base, fresh, bundle) => {
    const key = `${base?.hash ?? fresh} ${bundle.hash}`
    const known = packed.get(key)
    if (known) return known
    const { delta, put } = deltaOf(base, bundle)
    // Without the base it is not known what the agent lacks; it asks for that, from its cache it takes the rest.
    const following = base || fresh ? put : []
    const parcel: Parcel = {
      // Also what it may have to ask for counts.
      prepare: prepareMessage(run, bundle, delta, following.length, prepareDeadline_ms(base_ms, put.length)),
      objects: objectMessages(run.id, following),
    }
    packed.set(key, parcel)
    return parcel
  }
}

function prepareMessage(
  run: Run,
  bundle: Bundle,
  manifest: MasterMessageOf<'prepare'>['manifest'],
  object_count: number,
  deadline_ms: number,
): MasterMessageOf<'prepare'> {
  return {
    type: 'prepare',
    ...orderOf(run),
    release_id: run.release_id,
    release_number: run.release_number,
    bundle_hash: bundle.hash,
    manifest,
    object_count,
    deadline_ms,
  }
}

export const orderOf = (run: Run) => ({
  deployment_id: run.id,
  epoch: run.epoch,
  generation: run.generation,
})

const OBJECTS_A_MESSAGE = 10_000

/** Split so that no frame holds more than `LIMITS.frame_object_bytes` of objects, but at least one. */
function objectMessages(
  deployment_id: string,
  entries: readonly BundleEntry[],
): MasterMessageOf<'objects'>[] {
  const messages: MasterMessageOf<'objects'>[] = []
  let objects: { hash: string; json: string }[] = []
  let bytes = 0
  const close = () => {
    if (objects.length > 0) messages.push({ type: 'objects', deployment_id, objects })
    objects = []
    bytes = 0
  }
  for (const { hash, json } of entries) {
    const size_bytes = Buffer.byteLength(json)
    if (bytes + size_bytes > LIMITS.frame_object_bytes || objects.length >= OBJECTS_A_MESSAGE) close()
    objects.push({ hash, json })
    bytes += size_bytes
  }
  close()
  return messages
}

/** The answer to `need`: only what the agent's own manifest names. */
export function answerNeed(
  run: Run,
  target: RunTarget,
  need: { manifest: boolean; hashes: readonly string[] },
  base_ms: number,
): MasterMessage[] {
  if (!target.bundle) return []
  const wanted = new Set(need.hashes)
  const found = target.bundle.entries.filter(entry => wanted.has(entry.hash))
  const objects = objectMessages(run.id, found)
  if (!need.manifest) return objects
  const { delta } = deltaOf(null, target.bundle)
  const deadline_ms = prepareDeadline_ms(base_ms, target.bundle.entries.length)
  return [prepareMessage(run, target.bundle, delta, found.length, deadline_ms), ...objects]
}
