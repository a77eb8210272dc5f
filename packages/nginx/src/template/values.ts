/**
 * Values that a template may put into a configuration. A plain string is a literal. Everything that nginx would read
 * as more than text (a regular expression, a variable, a keyword) has to be wrapped by the code that checked it;
 * data from outside cannot pretend, because a wrapper is recognized by its class.
 */
import { ValueError } from '../errors.ts'

export type ValueKind = 'literal' | 'regex' | 'variables' | 'url' | 'number' | 'keyword'

export class NginxValue {
  readonly kind: ValueKind
  readonly text: string

  constructor(kind: ValueKind, text: string) {
    this.kind = kind
    this.text = text
  }
}

/** Several arguments in a row; can only stand where whole arguments stand. */
export class NginxWords {
  readonly values: readonly NginxValue[]

  constructor(values: readonly NginxValue[]) {
    this.values = values
  }
}

// C0, DEL, C1 (with U+0085), soft hyphen, zero-width and bidirectional marks, line and paragraph separators, BOM, lone surrogates.
const UNSAFE = /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\p{Cs}]/u

/** @throws ValueError when the text holds a character that no configuration value may hold */
export function refuseUnsafe(text: string): string {
  if (UNSAFE.test(text)) throw new ValueError('control, invisible and line-break characters are not allowed')
  return text
}

/** Text that means itself; a `$` in it stays a dollar sign. */
export function literal(text: string): NginxValue {
  return new NginxValue('literal', refuseUnsafe(text))
}

const REGEX_MAX_CHARS = 1_000
// A named group sets the variable of its name, and could change what stands for a dollar sign.
const OWN_GROUP = /\(\?P?[<']nx_/i

/** A regular expression; whether PCRE accepts it is nginx's to say. Only rendered where nginx expects one. */
export function regex(text: string): NginxValue {
  if (text === '') throw new ValueError('the regular expression is empty')
  if (text.length > REGEX_MAX_CHARS)
    throw new ValueError(`a regular expression has at most ${REGEX_MAX_CHARS} characters`)
  if (OWN_GROUP.test(text)) throw new ValueError('groups named nx_… are reserved')
  return new NginxValue('regex', refuseUnsafe(text))
}

/** Text in which `$name` and `${name}` are nginx variables; each must be on the list, and every `$` must start one. */
export function withVariables(text: string, allowed: readonly string[]): NginxValue {
  for (const [, braced, bare] of refuseUnsafe(text).matchAll(/\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))?/g)) {
    const name = braced ?? bare
    if (name === undefined) throw new ValueError('a "$" does not start a variable')
    if (!allowed.includes(name)) throw new ValueError(`the variable $${name} is not allowed here`)
  }
  return new NginxValue('variables', text)
}

const URL_TEXT = /^https?:\/\/[A-Za-z0-9[\]][A-Za-z0-9._:[\]-]*(?:\/[A-Za-z0-9/._~%!&*+=:@,()?-]*)?$/

/** An http or https URL of harmless characters, without user, fragment or variables. */
export function url(text: string): NginxValue {
  if (!URL_TEXT.test(text) || /^https?:\/\/unix:/.test(text)) {
    throw new ValueError('must be an http or https URL without user, fragment, variables, spaces or quotes')
  }
  return new NginxValue('url', text)
}

/** A whole number from 0. */
export function number(value: number): NginxValue {
  if (!Number.isSafeInteger(value) || value < 0) throw new ValueError('must be a whole number, 0 or more')
  return new NginxValue('number', String(value))
}

/** One of a fixed set of words, rendered as it is. */
export function keyword(text: string, allowed: readonly string[]): NginxValue {
  if (!allowed.includes(text)) throw new ValueError(`must be one of ${allowed.join(', ')}`)
  return new NginxValue('keyword', text)
}

/** Arguments in a row, at least one. */
export function words(values: readonly NginxValue[]): NginxWords {
  if (values.length === 0) throw new ValueError('at least one argument is needed')
  return new NginxWords(values)
}

const HARMLESS: Readonly<Record<ValueKind, string | null>> = {
  literal: 'nx',
  regex: 'nx',
  variables: 'nx',
  url: 'http://nx',
  number: '1',
  // Keywords are not data: they come from our own lists and may decide how nginx reads the rest.
  keyword: null,
}

/** A value of the same type that cannot do harm; its text decides nothing but emptiness and a leading `/`. */
export function harmless(value: NginxValue): NginxValue {
  if (value.kind === 'number' || value.text === '') return value
  const text = HARMLESS[value.kind] ?? value.text
  return new NginxValue(value.kind, value.text.startsWith('/') ? `/${text}` : text)
}
