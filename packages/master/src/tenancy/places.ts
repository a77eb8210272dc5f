import type { Place } from '../access/access-rules.ts'
import type { Places } from '../access/access-service.ts'
import type { Database } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import { settingsOf } from './tenancy-rules.ts'
import { organizationById, organizationOfWorkspace, workspaceIds } from './tenancy-store.ts'

/** Where workspaces lie, from memory; the writers of this area say what they committed. */
export interface PlaceIndex extends Places {
  /** After a workspace was deleted. */
  forgetWorkspace(workspace_id: string): void
  /** After an organization's settings changed, or it was deleted. */
  forgetOrganization(organization_id: string): void
}

/** By workspace that may be read: from where. */
type Reads = ReadonlyMap<string, readonly string[]>
const NONE: readonly string[] = []

export function makePlaces(db: Database): PlaceIndex {
  const homes = new Map<string, string>()
  const reads = new Map<string, Reads>()
  // Raised by every forget: what was read before it is not remembered after it.
  let forgets = 0

  const homeOf = async (workspace_id: string): Promise<string | null> => {
    const known = homes.get(workspace_id)
    if (known !== undefined) return known
    const before = forgets
    const found = await organizationOfWorkspace(db.read, workspace_id)
    if (found !== undefined && before === forgets) keep(homes, workspace_id, found)
    return found ?? null
  }
  const readsOf = async (organization_id: string): Promise<Reads> => {
    const known = reads.get(organization_id)
    if (known) return known
    const before = forgets
    const row = await organizationById(db.read, organization_id)
    const rules = row ? settingsOf(row).cross_workspace_reads : []
    const found = new Map(rules.map(one => [one.workspace_id, one.readable_from]))
    if (row && before === forgets) keep(reads, organization_id, found)
    return found
  }

  return {
    async placeOf(workspace_id): Promise<Place | null> {
      const organization_id = await homeOf(workspace_id)
      if (organization_id === null) return null
      const shared = await readsOf(organization_id)
      return { organization_id, readable_from: shared.get(workspace_id) ?? NONE }
    },
    async readableFrom(organization_id, workspace_ids) {
      const shared = await readsOf(organization_id)
      return [...shared].flatMap(([id, from]) => (from.some(one => workspace_ids.includes(one)) ? [id] : []))
    },
    hasOrganization: async id => (await organizationById(db.read, id)) !== undefined,
    workspacesIn: async (organization_ids, limit) =>
      organization_ids.length === 0 ? [] : await workspaceIds(db.read, organization_ids, limit),
    allWorkspaces: limit => workspaceIds(db.read, null, limit),
    forgetWorkspace(workspace_id) {
      forgets += 1
      homes.delete(workspace_id)
    },
    forgetOrganization(organization_id) {
      forgets += 1
      reads.delete(organization_id)
      for (const [workspace_id, home] of homes) if (home === organization_id) homes.delete(workspace_id)
    },
  }
}

/** Of too many the one that was kept first goes. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value)
  const oldest = map.size > MASTER_LIMITS.workspace_places_cached ? map.keys().next() : null
  if (oldest && !oldest.done) map.delete(oldest.value)
}
