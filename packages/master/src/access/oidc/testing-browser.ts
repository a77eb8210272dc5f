import { ORIGIN, type TestApp } from '../../http/testing.ts'

interface Cookie {
  readonly host: string
  readonly name: string
  readonly value: string
  readonly path: string
  readonly same_site: string
}

export interface Page {
  readonly url: URL
  readonly status: number
  readonly body: string
}

/** As much of a browser as log-ins need: cookies with their paths and SameSite, redirects, forms. For tests. */
export class TestBrowser {
  readonly #app: TestApp
  readonly #cookies: Cookie[] = []
  /** Every place it was sent to. */
  readonly visited: string[] = []

  constructor(app: TestApp) {
    this.#app = app
  }

  /** Follows redirects until there is a page, or the path is none of the API any more: those are the console's. */
  async visit(url: string, init: RequestInit = {}, from?: URL): Promise<Page> {
    let [target, previous, sent] = [new URL(url, from ?? ORIGIN), from, init]
    for (let hops = 0; hops < 20; hops++) {
      this.visited.push(target.href)
      if (target.origin === ORIGIN && !target.pathname.startsWith('/api/'))
        return { url: target, status: 200, body: '' }
      const response = await this.#send(
        target,
        sent,
        previous?.host !== undefined && previous.host !== target.host,
      )
      const location = response.headers.get('location')
      if (location === null) return { url: target, status: response.status, body: await response.text() }
      ;[previous, target, sent] = [target, new URL(location, target), {}]
    }
    throw new Error(`too many redirects: ${this.visited.slice(-5).join(' → ')}`)
  }

  /** A request by a script of our own pages. */
  async call(path: string, init: RequestInit = {}): Promise<Response> {
    return await this.#send(new URL(path, ORIGIN), init, false)
  }

  cookie(name: string): Cookie | undefined {
    return this.#cookies.find(one => one.name === name)
  }

  async #send(url: URL, init: RequestInit, cross_site: boolean): Promise<Response> {
    const headers = new Headers(init.headers)
    const cookies = this.#cookies.filter(
      one =>
        one.host === url.host &&
        url.pathname.startsWith(one.path) &&
        !(cross_site && one.same_site.toLowerCase() === 'strict'),
    )
    if (cookies.length > 0) headers.set('cookie', cookies.map(one => `${one.name}=${one.value}`).join('; '))
    const request = { ...init, headers, redirect: 'manual' as const }
    const response =
      url.origin === ORIGIN ? await this.#app.fetch(url.href, request) : await fetch(url.href, request)
    for (const line of response.headers.getSetCookie()) this.#keep(url, line)
    return response
  }

  #keep(url: URL, line: string): void {
    const [pair = '', ...attributes] = line.split(';').map(part => part.trim())
    const [name = '', ...value] = pair.split('=')
    const found = new Map(
      attributes.map(one => one.toLowerCase().split('=')).map(([k = '', v = '']) => [k, v]),
    )
    const at = this.#cookies.findIndex(one => one.host === url.host && one.name === name)
    if (at >= 0) this.#cookies.splice(at, 1)
    const expires = found.get('expires')
    if (found.get('max-age') === '0' || (expires && Date.parse(expires) < Date.now())) return
    const path = attributes.find(one => /^path=/i.test(one))?.slice(5) ?? '/'
    this.#cookies.push({
      host: url.host,
      name,
      value: value.join('='),
      path,
      same_site: found.get('samesite') ?? 'lax',
    })
  }
}
