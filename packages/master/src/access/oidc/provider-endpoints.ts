/** Places of the providers that need no discovery to be found. Other ones only in tests. */
export interface ProviderEndpoints {
  readonly google_issuer: string
  readonly github: {
    /** What identities are bound to. */
    readonly issuer: string
    readonly authorization_endpoint: string
    readonly token_endpoint: string
    readonly api: string
  }
}

/**
 * https://developers.google.com/identity/openid-connect/openid-connect and
 * https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
 */
export const PROVIDER_ENDPOINTS: ProviderEndpoints = {
  google_issuer: 'https://accounts.google.com',
  github: {
    issuer: 'https://github.com',
    authorization_endpoint: 'https://github.com/login/oauth/authorize',
    token_endpoint: 'https://github.com/login/oauth/access_token',
    api: 'https://api.github.com',
  },
}
