import { type DeletionDeps, makeDeletion } from './deletion.ts'
import { makeOrganizations, type OrganizationsDeps } from './organizations-service.ts'
import { makePurger, type Purger, type PurgerDeps } from './purger.ts'
import { type TenancyRoutes, tenancyRoutes } from './tenancy-routes.ts'
import { makeWorkspaces, type WorkspacesDeps } from './workspaces-service.ts'

export type TenancyAreaDeps = Omit<
  DeletionDeps & OrganizationsDeps & WorkspacesDeps & PurgerDeps,
  'purger' | 'deletion'
>

/** The doors of tenancy, and what follows a deletion. The service for other areas is `makeTenancy`, which needs none of them. */
export function makeTenancyArea(base: TenancyAreaDeps): { routes: TenancyRoutes; purger: Purger } {
  const purger = makePurger(base)
  const deps = { ...base, deletion: makeDeletion({ ...base, purger }) }
  const routes = tenancyRoutes({ organizations: makeOrganizations(deps), workspaces: makeWorkspaces(deps) })
  return { routes, purger }
}
