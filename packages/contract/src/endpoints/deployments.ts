import { Deployment, DeploymentSummary } from '../entities/deployment.ts'
import { list, single } from '../envelope.ts'
import { endpoint } from './endpoint.ts'
import { IdParams, WaitQuery, WorkspaceQuery } from './shared.ts'

const denied = ['UNAUTHENTICATED', 'FORBIDDEN'] as const

export const deploymentEndpoints = {
  deployments_list: endpoint({
    method: 'GET',
    path: '/deployments',
    summary: 'List deployments, newest first',
    tag: 'Deployments',
    access: 'config:read',
    query: WorkspaceQuery,
    response: list(DeploymentSummary),
    status: 200,
    errors: denied,
  }),
  deployments_get: endpoint({
    method: 'GET',
    path: '/deployments/{id}',
    summary: 'Read a deployment with the steps of each agent',
    tag: 'Deployments',
    access: 'config:read',
    params: IdParams,
    query: WaitQuery,
    response: single(Deployment),
    status: 200,
    errors: [...denied, 'NOT_FOUND'],
  }),
}
