import { ApiError, LIMITS } from '@nxmesh/contract'

const refuse = (message: string) => new ApiError('MALFORMED_REQUEST', message)

/** Without the parser's error as its cause: that quotes the body, which may hold a password, and causes go to the log. */
const notJson = () => refuse('The body is not valid JSON')

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d

/**
 * Parses JSON (RFC 8259) and refuses what JSON.parse lets pass: a key that is there twice in one object (two readers would
 * see two values), `__proto__` as a key, and nesting deeper than `LIMITS.json_depth`. Throws MALFORMED_REQUEST.
 */
export function parseStrictJson(text: string): unknown {
  refuseTricks(text)
  try {
    return JSON.parse(text)
  } catch {
    throw notJson()
  }
}

/** Looks at structure only: keys and depth. Whether the text is JSON at all is for JSON.parse to say. */
function refuseTricks(text: string): void {
  // The keys of each open object; null for an open array.
  const open: (Set<string> | null)[] = []
  let key_follows = false
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at)
        if (key_follows) addKey(open.at(-1), text.slice(at, end + 1))
        key_follows = false
        at = end
        break
      }
      case OPEN_OBJECT:
        open.push(new Set())
        key_follows = true
        break
      case OPEN_ARRAY:
        open.push(null)
        key_follows = false
        break
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        open.pop()
        key_follows = false
        break
      case COMMA:
        key_follows = open.at(-1) instanceof Set
        break
    }
    if (open.length > LIMITS.json_depth) throw refuse(`The JSON is nested deeper than ${LIMITS.json_depth}`)
  }
}

/** Index of the closing quote; the last index where there is none. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) return at
    if (code === BACKSLASH) at++
  }
  return text.length - 1
}

function addKey(keys: Set<string> | null | undefined, quoted: string): void {
  if (!keys) return
  const key = quoted.includes('\\') ? unescapeKey(quoted) : quoted.slice(1, -1)
  if (key === '__proto__') throw refuse('The key "__proto__" is refused')
  if (keys.has(key)) throw refuse(`The key ${JSON.stringify(key.slice(0, 80))} is there twice in one object`)
  keys.add(key)
}

function unescapeKey(quoted: string): string {
  try {
    return String(JSON.parse(quoted))
  } catch {
    throw notJson()
  }
}
