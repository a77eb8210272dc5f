import { ApiError, type ErrorDetail } from '@nxmesh/contract'
import type { Content } from './tenancy.ts'

/** A tenant, as a person knows it. */
interface Named {
  readonly name: string
  readonly slug: string
}

/** How many workspaces an answer names; the last line says how many more there are. */
const NAMED = 20

const called = ({ name, slug }: Named) => `${JSON.stringify(name)} (${slug})`

/** What would go, for whoever is asked to confirm it. */
function detailsOf(
  noun: string,
  tenant: Named,
  workspaces: readonly Named[],
  contents: readonly Content[],
): ErrorDetail[] {
  const lines = workspaces.slice(0, NAMED).map(one => ({ field: 'workspaces', message: called(one) }))
  const more = workspaces.length - lines.length
  if (more > 0) lines.push({ field: 'workspaces', message: `and ${more} more` })
  const counted = contents.map(({ field, count, note }) => ({
    field,
    message: note === undefined ? String(count) : `${count}, ${note}`,
  }))
  return [{ field: noun, message: called(tenant) }, ...lines, ...counted]
}

/**
 * Throws CONFIRMATION_REQUIRED without a slug, with all that would go; VALIDATION_ERROR with another slug than the tenant's.
 */
export function requireConfirmed(
  noun: 'organization' | 'workspace',
  tenant: Named,
  confirm: string | undefined,
  inside: { readonly workspaces: readonly Named[]; readonly contents: readonly Content[] },
): void {
  if (confirm === tenant.slug) return
  if (confirm !== undefined)
    throw new ApiError('VALIDATION_ERROR', `The ${noun} was not deleted: \`confirm\` is not its slug`, {
      details: [{ field: 'confirm', message: `must be the slug of the ${noun}, "${tenant.slug}"` }],
    })
  throw new ApiError(
    'CONFIRMATION_REQUIRED',
    `This deletes the ${noun} ${JSON.stringify(tenant.name)} with everything in it, for good: repeat it with confirm=${tenant.slug}`,
    { details: detailsOf(noun, tenant, inside.workspaces, inside.contents) },
  )
}
