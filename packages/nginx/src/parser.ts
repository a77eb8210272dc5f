/** The directive tree of a configuration text, with positions that point back into it. */
import { LEXER_LIMITS, NginxSyntaxError, type Token, tokenize, wordValue } from './lexer.ts'

/** Offsets are UTF-16 units, `end` exclusive; line and column count from 1. */
export interface Span {
  readonly start: number
  readonly end: number
  readonly line: number
  readonly column: number
}

export interface Argument {
  /** As nginx understands it. */
  readonly value: string
  /** As it is written, with quotes and backslashes. */
  readonly raw: string
  readonly span: Span
}

export interface Block {
  readonly directives: readonly Directive[]
  /** Of the text between the braces, without them. */
  readonly span: Span
}

export interface Directive {
  readonly name: string
  readonly args: readonly Argument[]
  readonly block: Block | null
  /** From the name to the closing `;` or `}`, inclusive. */
  readonly span: Span
}

export interface ConfigTree {
  readonly text: string
  readonly directives: readonly Directive[]
}

interface OpenBlock {
  readonly words: readonly Token[]
  readonly brace: Token
  readonly directives: Directive[]
}

/**
 * Parses a configuration file. Knows no directives: whatever nginx's tokenizer and block structure accept is a tree.
 * @throws NginxSyntaxError with the position, also for nesting deeper than `LEXER_LIMITS.depth_max`
 */
export function parseConfig(text: string): ConfigTree {
  const top: Directive[] = []
  const stack: OpenBlock[] = []
  let directives = top
  let words: Token[] = []
  for (const token of tokenize(text)) {
    if (token.type === 'word') words.push(token)
    else if (token.type === 'semicolon') {
      directives.push(directive(words, null, token))
      words = []
    } else if (token.type === 'open') {
      if (stack.length >= LEXER_LIMITS.depth_max) throw errorAt(token, 'blocks are nested too deeply')
      directives = []
      stack.push({ words, brace: token, directives })
      words = []
    } else if (token.type === 'close') {
      const open = stack.pop()
      if (open === undefined) throw errorAt(token, 'unexpected "}"')
      const parent = stack.at(-1)?.directives ?? top
      parent.push(directive(open.words, blockOf(open, token), token))
      directives = parent
    }
  }
  const unclosed = stack.at(-1)
  if (unclosed) throw errorAt(unclosed.brace, 'unexpected end of file, expecting "}" for this block')
  return { text, directives: top }
}

function blockOf(open: OpenBlock, close: Token): Block {
  const { brace, directives } = open
  const span = { start: brace.offset + 1, end: close.offset, line: brace.line, column: brace.column + 1 }
  return { directives, span }
}

function directive(words: readonly Token[], block: Block | null, last: Token): Directive {
  const [name, ...args] = words
  if (name === undefined) throw errorAt(last, `unexpected "${last.raw}"`)
  const span = { start: name.offset, end: last.offset + 1, line: name.line, column: name.column }
  return { name: wordValue(name.raw), args: args.map(argument), block, span }
}

function argument(token: Token): Argument {
  const { raw, offset, line, column } = token
  return { value: wordValue(raw), raw, span: { start: offset, end: offset + raw.length, line, column } }
}

function errorAt(token: Token, message: string): NginxSyntaxError {
  return new NginxSyntaxError(message, token.line, token.column, token.offset)
}

/** Visits every directive, outer ones first, with the names of the blocks around it. */
export function walk(
  directives: readonly Directive[],
  visit: (directive: Directive, blocks: readonly Directive[]) => void,
  blocks: readonly Directive[] = [],
): void {
  for (const directive of directives) {
    visit(directive, blocks)
    if (directive.block) walk(directive.block.directives, visit, [...blocks, directive])
  }
}
