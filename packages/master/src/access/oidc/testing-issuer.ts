import { createHash, createHmac, generateKeyPairSync, hash, randomBytes, sign } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

type Claims = Record<string, unknown>
export type Forgery = 'none' | 'other_key' | 'hs256'

/** An OpenID provider on loopback that may lie in every way; it checks code, PKCE, client and redirect URI as a good one does. */
export interface TestIssuer {
  readonly url: string
  readonly client: { readonly client_id: string; readonly client_secret: string }
  /** Who is logged in there, with claims for the userinfo. */
  person: { sub: string; claims: Claims }
  /** What the next ID tokens say, after everything else. Undefined takes a claim away. */
  lies: Claims
  forgery: Forgery | null
  /** Over what the discovery document says. */
  metadata: Claims
  /** Over what the browser brings back; undefined takes it away. */
  response: Record<string, string | undefined>
  /** What came, by path. */
  readonly asked: string[]
  close(): Promise<void>
}

const ours = generateKeyPairSync('rsa', { modulusLength: 2_048 })
const others = generateKeyPairSync('rsa', { modulusLength: 2_048 })
const KID = 'the-key'
const b64 = (value: string | Buffer) => Buffer.from(value).toString('base64url')

export async function openTestIssuer(now: () => Date, client_id = 'nxmesh'): Promise<TestIssuer> {
  const codes = new Map<
    string,
    { nonce: string; challenge: string; redirect_uri: string; sub: string; claims: Claims }
  >()
  const tokens = new Map<string, { sub: string; claims: Claims }>()
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer: TestIssuer = {
    url,
    client: { client_id, client_secret: 'a secret of the client' },
    person: { sub: 'ada', claims: {} },
    lies: {},
    forgery: null,
    metadata: {},
    response: {},
    asked: [],
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }

  const pages: Record<string, (at: URL, body: URLSearchParams, request: IncomingMessage) => unknown> = {
    '/.well-known/openid-configuration': () => ({
      issuer: url,
      authorization_endpoint: `${url}/authorize`,
      token_endpoint: `${url}/token`,
      userinfo_endpoint: `${url}/userinfo`,
      jwks_uri: `${url}/keys`,
      end_session_endpoint: `${url}/end`,
      authorization_response_iss_parameter_supported: true,
      id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'],
      ...issuer.metadata,
    }),
    '/keys': () => ({
      keys: [{ ...ours.publicKey.export({ format: 'jwk' }), kid: KID, use: 'sig', alg: 'RS256' }],
    }),
    '/authorize': ({ searchParams: asked }) => {
      const code = randomBytes(16).toString('hex')
      const [nonce, challenge] = [asked.get('nonce') ?? '', asked.get('code_challenge') ?? '']
      codes.set(code, { nonce, challenge, redirect_uri: asked.get('redirect_uri') ?? '', ...issuer.person })
      const to = new URL(asked.get('redirect_uri') ?? '')
      const told = { code, state: asked.get('state') ?? '', iss: url, ...issuer.response }
      for (const [name, value] of Object.entries(told))
        if (value !== undefined) to.searchParams.set(name, value)
      return to
    },
    '/token': (_, body, request) => {
      const basic = `${issuer.client.client_id}:${encodeURIComponent(issuer.client.client_secret).replaceAll('%20', '+')}`
      if (request.headers.authorization !== `Basic ${Buffer.from(basic).toString('base64')}`)
        return { error: 'invalid_client' }
      const found = codes.get(body.get('code') ?? '')
      codes.delete(body.get('code') ?? '')
      const challenge = createHash('sha256')
        .update(body.get('code_verifier') ?? '')
        .digest('base64url')
      if (found?.challenge !== challenge || found.redirect_uri !== body.get('redirect_uri'))
        return { error: 'invalid_grant' }
      const access_token = randomBytes(16).toString('hex')
      tokens.set(access_token, found)
      const digest = hash('sha256', access_token, 'buffer')
      const now_s = Math.floor(now().getTime() / 1_000)
      const claims = {
        iss: url,
        sub: found.sub,
        aud: issuer.client.client_id,
        exp: now_s + 300,
        iat: now_s,
        nonce: found.nonce,
        at_hash: digest.subarray(0, 16).toString('base64url'),
        ...issuer.lies,
      }
      return { access_token, token_type: 'Bearer', expires_in: 300, id_token: signed(claims, issuer.forgery) }
    },
    '/userinfo': (_, __, request) => {
      const found = tokens.get((request.headers.authorization ?? '').slice(7))
      return found ? { sub: found.sub, ...found.claims } : { error: 'invalid_token' }
    },
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = new URL(request.url ?? '/', url)
    issuer.asked.push(at.pathname)
    let text = ''
    for await (const part of request) text += part
    const said = pages[at.pathname]?.(at, new URLSearchParams(text), request)
    if (said instanceof URL) return void response.writeHead(302, { location: said.href }).end()
    const bad = said === undefined || (typeof said === 'object' && said !== null && 'error' in said)
    response.writeHead(said === undefined ? 404 : bad ? 400 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(said ?? {}))
  }
  return issuer
}

function signed(claims: Claims, forgery: Forgery | null): string {
  const alg = forgery === 'none' ? 'none' : forgery === 'hs256' ? 'HS256' : 'RS256'
  const body = `${b64(JSON.stringify({ alg, kid: KID, typ: 'JWT' }))}.${b64(JSON.stringify(claims))}`
  if (forgery === 'none') return `${body}.`
  if (forgery === 'hs256') {
    // As a verifier would that takes the public key for the key of whatever algorithm the token names.
    const key = ours.publicKey.export({ format: 'pem', type: 'spki' })
    return `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`
  }
  const key = forgery === 'other_key' ? others.privateKey : ours.privateKey
  return `${body}.${sign('sha256', Buffer.from(body), key).toString('base64url')}`
}
