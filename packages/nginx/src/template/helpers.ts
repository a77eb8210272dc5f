/** The helpers that templates may call; pure functions of their arguments. */
import { ValueError } from '../errors.ts'
import { NginxValue, NginxWords } from './values.ts'

export type Helper = (args: readonly unknown[]) => unknown

/** Whether `{{#if}}` takes the value for true: not for false, nothing, 0, empty text and empty lists. */
export function isTruthy(value: unknown): boolean {
  if (value instanceof NginxValue)
    return value.text !== '' && !(value.kind === 'number' && value.text === '0')
  return Array.isArray(value) ? value.length > 0 : Boolean(value)
}

/** What helpers compare: wrapped values by their text. */
function plain(value: unknown): unknown {
  if (value instanceof NginxWords) throw new ValueError('several arguments cannot be compared or joined')
  if (!(value instanceof NginxValue)) return value
  return value.kind === 'number' ? Number(value.text) : value.text
}

function text(value: unknown): string {
  const inner = plain(value)
  if (typeof inner === 'string' || typeof inner === 'number') return String(inner)
  throw new ValueError('only text and numbers can be joined')
}

const HELPERS: Readonly<Record<string, Helper>> = {
  eq: ([a, b]) => plain(a) === plain(b),
  ne: ([a, b]) => plain(a) !== plain(b),
  not: ([value]) => !isTruthy(value),
  and: values => values.every(isTruthy),
  or: values => values.some(isTruthy),
  default: ([value, otherwise]) => (isTruthy(value) ? value : otherwise),
  join: ([list, separator]) => {
    if (!Array.isArray(list)) throw new ValueError('join takes a list and a separator')
    return list.map(text).join(text(separator))
  },
}

export const HELPER_NAMES: ReadonlySet<string> = new Set(Object.keys(HELPERS))

export function callHelper(name: string, args: readonly unknown[]): unknown {
  const helper = Object.hasOwn(HELPERS, name) ? HELPERS[name] : undefined
  if (!helper) throw new ValueError(`unknown helper ${name}`)
  return helper(args)
}
