import { makeOrganizations, type OrganizationsDeps } from './organizations-service.ts'
import { type TenancyRoutes, tenancyRoutes } from './tenancy-routes.ts'
import { makeWorkspaces, type WorkspacesDeps } from './workspaces-service.ts'

/** The doors of tenancy; the service for other areas is `makeTenancy`, which needs none of them. */
export function makeTenancyDoors(deps: WorkspacesDeps & OrganizationsDeps): TenancyRoutes {
  return tenancyRoutes({ organizations: makeOrganizations(deps), workspaces: makeWorkspaces(deps) })
}
