import type { Secrets } from '../../secrets/secrets.ts'
import { idTokenIdentity } from '../sessions-service.ts'
import type { ProviderRow } from './providers-store.ts'

/** The secrets of this area, opened here and nowhere else. */
export interface ProviderSecrets {
  seal(provider_id: string, client_secret: string | null): string | null
  /** Null: a public client. */
  clientSecret(row: ProviderRow): Promise<string | null>
  idToken(session: { id: string; sealed_id_token: string | null }): Promise<string | null>
  sealChecks(state_hash: string, checks: object): string
  /** What was sealed there. */
  checks(state_hash: string, sealed: string): Promise<unknown>
}

const secretIdentity = (id: string) => `identity_providers/${id}/client_secret`
const checksIdentity = (state_hash: string) => `pending_logins/${state_hash}`

export function makeProviderSecrets({ secrets }: { secrets: Secrets }): ProviderSecrets {
  const seal = (text: string, identity: string) => secrets.seal(Buffer.from(text), identity)
  const open = async (sealed: string, identity: string) =>
    Buffer.from(await secrets.open(sealed, identity, { purpose: 'provider_login' })).toString()
  return {
    seal: (id, client_secret) => (client_secret === null ? null : seal(client_secret, secretIdentity(id))),
    clientSecret: async row =>
      row.sealed_client_secret === null ? null : await open(row.sealed_client_secret, secretIdentity(row.id)),
    idToken: async ({ id, sealed_id_token }) =>
      sealed_id_token === null ? null : await open(sealed_id_token, idTokenIdentity(id)),
    sealChecks: (state_hash, checks) => seal(JSON.stringify(checks), checksIdentity(state_hash)),
    checks: async (state_hash, sealed) => JSON.parse(await open(sealed, checksIdentity(state_hash))),
  }
}
