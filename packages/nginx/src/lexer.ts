/**
 * nginx's own tokenizer, character by character, as in `ngx_conf_read_token` (src/core/ngx_conf_file.c).
 * One state machine serves two readers: `tokenize` reads whole texts, and the template writer runs it along
 * its own output to know what a value would mean where it is about to be put.
 */

/** A configuration text that nginx would refuse to read. Positions: line and column from 1, offset in UTF-16 units from 0. */
export class NginxSyntaxError extends Error {
  override readonly name = 'NginxSyntaxError'
  readonly line: number
  readonly column: number
  readonly offset: number

  constructor(message: string, line: number, column: number, offset: number) {
    super(message)
    this.line = line
    this.column = column
    this.offset = offset
  }
}

export const LEXER_LIMITS = { text_max_chars: 32 * 1024 * 1024, depth_max: 100 } as const

/** Where the machine stands between two characters. */
export const Mode = { separator: 0, word: 1, double: 2, single: 3, afterQuote: 4, comment: 5 } as const
export type Mode = (typeof Mode)[keyof typeof Mode]

/** What one character did; several bits can be set (`a;` ends a word and a statement). */
export const Event = {
  wordStart: 1,
  /** The word ended before this character. */
  wordEnd: 2,
  /** The word ended with this character, its closing quote. */
  quoteEnd: 4,
  semicolon: 8,
  open: 16,
  close: 32,
  commentStart: 64,
  commentEnd: 128,
  unexpected: 256,
} as const

const TAB = 9
const LF = 10
const CR = 13
const SPACE = 32
const DOUBLE_QUOTE = 34
const HASH = 35
const DOLLAR = 36
const SINGLE_QUOTE = 39
const CLOSE_PAREN = 41
const SEMICOLON = 59
const BACKSLASH = 92
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

const isSpace = (ch: number): boolean => ch === SPACE || ch === TAB || ch === LF || ch === CR

export class LexState {
  mode: Mode = Mode.separator
  /** The next character is taken as it is. */
  escaped = false
  /** After a `$`: a `{` here belongs to the variable and opens no block. */
  variable = false
  /** Finished words of the statement so far; 0 means that the next word is a directive's name. */
  words = 0

  /** Takes one UTF-16 unit and answers with bits of `Event`; after `unexpected` the state is of no further use. */
  step(ch: number): number {
    if (this.mode === Mode.comment) {
      if (ch !== LF) return 0
      this.mode = Mode.separator
      return Event.commentEnd
    }
    if (this.escaped) {
      this.escaped = false
      return 0
    }
    if (this.mode === Mode.afterQuote) {
      if (isSpace(ch)) {
        this.mode = Mode.separator
        return 0
      }
      if (ch === SEMICOLON || ch === OPEN_BRACE) return this.endStatement(ch)
      // nginx lets `)` follow a quote, for `if ($a = "b")`; it starts a word of its own.
      if (ch !== CLOSE_PAREN) return Event.unexpected
      this.mode = Mode.separator
    }
    return this.mode === Mode.separator ? this.between(ch) : this.inWord(ch)
  }

  private between(ch: number): number {
    if (isSpace(ch)) return 0
    switch (ch) {
      case SEMICOLON:
      case OPEN_BRACE:
        return this.words === 0 ? Event.unexpected : this.endStatement(ch)
      case CLOSE_BRACE:
        return this.words === 0 ? Event.close : Event.unexpected
      case HASH:
        this.mode = Mode.comment
        return Event.commentStart
      case DOUBLE_QUOTE:
        this.mode = Mode.double
        return Event.wordStart
      case SINGLE_QUOTE:
        this.mode = Mode.single
        return Event.wordStart
      case BACKSLASH:
        this.escaped = true
        break
      case DOLLAR:
        this.variable = true
        break
    }
    this.mode = Mode.word
    return Event.wordStart
  }

  private inWord(ch: number): number {
    if (ch === OPEN_BRACE && this.variable) return 0
    this.variable = false
    if (ch === BACKSLASH) this.escaped = true
    else if (ch === DOLLAR) this.variable = true
    else if (this.mode === Mode.word) return this.endBareWord(ch)
    else if (ch === (this.mode === Mode.double ? DOUBLE_QUOTE : SINGLE_QUOTE)) {
      this.mode = Mode.afterQuote
      this.words++
      return Event.quoteEnd
    }
    return 0
  }

  private endBareWord(ch: number): number {
    if (isSpace(ch)) {
      this.mode = Mode.separator
      this.words++
      return Event.wordEnd
    }
    if (ch === SEMICOLON || ch === OPEN_BRACE) return Event.wordEnd | this.endStatement(ch)
    return 0
  }

  private endStatement(ch: number): number {
    this.mode = Mode.separator
    this.words = 0
    return ch === SEMICOLON ? Event.semicolon : Event.open
  }
}

export type TokenType = 'word' | 'semicolon' | 'open' | 'close' | 'comment' | 'space'

/** A piece of the text; the `raw` of all tokens, concatenated, is the text. */
export interface Token {
  readonly type: TokenType
  readonly raw: string
  readonly offset: number
  readonly line: number
  readonly column: number
}

/** What a raw word means to nginx: outer quotes removed, `\"`, `\'`, `\\`, `\t`, `\r`, `\n` resolved, other backslashes kept. */
export function wordValue(raw: string): string {
  const first = raw.charCodeAt(0)
  const inner = first === DOUBLE_QUOTE || first === SINGLE_QUOTE ? raw.slice(1, -1) : raw
  if (!inner.includes('\\')) return inner
  return inner.replace(/\\(["'\\trn])/g, (_, ch: string) => UNESCAPED[ch] ?? ch)
}

const UNESCAPED: Readonly<Record<string, string>> = { t: '\t', r: '\r', n: '\n' }

/**
 * Splits a text into tokens as nginx does, keeping white space and comments.
 * @throws NginxSyntaxError for anything nginx would not read, and beyond `LEXER_LIMITS`
 */
export function tokenize(text: string): Token[] {
  if (text.length > LEXER_LIMITS.text_max_chars) throw new NginxSyntaxError('the text is too long', 1, 1, 0)
  return new Tokenizer(text).run()
}

class Tokenizer {
  private readonly text: string
  private readonly state = new LexState()
  private readonly tokens: Token[] = []
  private from = 0
  private fromLine = 1
  private fromLineStart = 0
  private line = 1
  private lineStart = 0

  constructor(text: string) {
    this.text = text
  }

  run(): Token[] {
    const { text, state } = this
    for (let i = 0; i < text.length; i++) {
      const ch = text.charCodeAt(i)
      const event = state.step(ch)
      if (event !== 0) this.take(event, i)
      if (ch === LF) {
        this.line++
        this.lineStart = i + 1
      }
    }
    this.finish()
    return this.tokens
  }

  private take(event: number, i: number): void {
    if (event & Event.unexpected) throw this.error(`unexpected "${this.text[i]}"`, i)
    if (event & Event.quoteEnd) {
      this.cut('word', i + 1)
      return
    }
    if (event & Event.wordEnd) this.cut('word', i)
    else if (event & Event.commentEnd) this.cut('comment', i)
    else this.cut('space', i)
    if (event & Event.semicolon) this.cut('semicolon', i + 1)
    else if (event & Event.open) this.cut('open', i + 1)
    else if (event & Event.close) this.cut('close', i + 1)
  }

  /** Ends the current token before `end` and starts the next one there. */
  private cut(type: TokenType, end: number): void {
    if (end > this.from) {
      const column = this.from - this.fromLineStart + 1
      const raw = this.text.slice(this.from, end)
      this.tokens.push({ type, raw, offset: this.from, line: this.fromLine, column })
    }
    this.from = end
    this.fromLine = this.line
    this.fromLineStart = this.lineStart
  }

  private finish(): void {
    const { mode, words } = this.state
    const end = this.text.length
    const complete = mode === Mode.comment || (mode === Mode.separator && words === 0)
    if (!complete) throw this.error('unexpected end of file, expecting ";" or "}"', end)
    this.cut(mode === Mode.comment ? 'comment' : 'space', end)
  }

  private error(message: string, offset: number): NginxSyntaxError {
    return new NginxSyntaxError(message, this.line, offset - this.lineStart + 1, offset)
  }
}
