import { page, sliceOf } from '../http/page.ts'
import type { RoutesOf } from '../http/routing.ts'
import type { DeploymentsService } from './deployments-service.ts'

export function deploymentsRoutes(
  deployments: DeploymentsService,
): RoutesOf<'deployments_list' | 'deployments_get'> {
  return {
    deployments_list: async ({ caller, query, url }) => {
      const found = await deployments.list(caller, query.workspace_id, sliceOf(query))
      return { body: page(query, found, url) }
    },
    deployments_get: async ({ caller, params, query }) => {
      const data =
        query.wait === undefined
          ? await deployments.get(caller, params.id)
          : await deployments.waitFor(caller, params.id, query.timeout_s * 1_000)
      return { body: { data } }
    },
  }
}
