import { generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'

/** A certified OpenID provider on loopback, with a log-in form, consent and sessions of its own. */
export interface RealIssuer {
  readonly url: string
  readonly client: { readonly client_id: string; readonly client_secret: string }
  /** By the name that one types at its log-in. */
  readonly people: Map<string, Record<string, unknown>>
  close(): Promise<void>
}

export async function openRealIssuer(
  redirect_uri: string,
  post_logout_redirect_uri: string,
): Promise<RealIssuer> {
  let handle: (request: IncomingMessage, response: ServerResponse) => void = (_, response) =>
    void response.end()
  const server = createServer((request, response) => handle(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = { client_id: 'nxmesh', client_secret: 'secret of the registered client' }
  const people = new Map<string, Record<string, unknown>>()
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const provider = new Provider(url, {
    clients: [
      { ...client, redirect_uris: [redirect_uri], post_logout_redirect_uris: [post_logout_redirect_uri] },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }] },
    cookies: { keys: ['a key for the tests'] },
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
    scopes: ['openid', 'profile', 'email', 'groups'],
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    findAccount: (_: unknown, sub: string) => ({
      accountId: sub,
      claims: async () => ({ sub, ...people.get(sub) }),
    }),
  })
  const protocol = provider.callback()
  handle = (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return protocol(request, response)
    interact(provider, request, response).catch(error => response.writeHead(500).end(String(error)))
  }
  return {
    url,
    client,
    people,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** One page: a form that asks for the name, or for consent. */
async function interact(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { uid, prompt, params, session } = await provider.interactionDetails(request, response)
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'text/html' })
    return void response.end(
      `<form method="post" action="/interaction/${uid}" data-prompt="${prompt.name}"></form>`,
    )
  }
  if (prompt.name === 'login') {
    let text = ''
    for await (const part of request) text += part
    const accountId = new URLSearchParams(text).get('name') ?? ''
    return await provider.interactionFinished(request, response, { login: { accountId } })
  }
  const grant = new provider.Grant({
    accountId: session?.accountId ?? '',
    clientId: String(params.client_id),
  })
  grant.addOIDCScope(String(params.scope))
  const consent = { grantId: await grant.save() }
  await provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true })
}
