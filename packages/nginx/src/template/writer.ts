/**
 * Writes a configuration from template text and values, escaping by context: nginx's lexer runs along the output, so
 * the writer knows what each value would mean where it is put. A value never ends an argument, never opens or closes a
 * block, and never stands where a directive's name stands.
 */
import { ValueError } from '../errors.ts'
import { Event, LexState, Mode, wordValue } from '../lexer.ts'
import { textAt } from './policy.ts'
import { type NginxValue, NginxWords } from './values.ts'

export const WRITER_LIMITS = { argument_max_bytes: 4_000, output_max_chars: 4 * 1024 * 1024 } as const

// What needs no quotes in a bare word, wherever in the word it stands.
const BARE = /^[A-Za-z0-9_.:/@%+,*=~^?&!|()[\]<>-]*$/
// A variable whose name would go on with the next character; the second alternative is a name that a value must not lengthen.
const OPEN_VARIABLE = /\$(?:\{[^}\s"']*)?$/
const OPEN_NAME = /\$[A-Za-z0-9_]+$/
const TAIL_CHARS = 80

/** The argument that is being written. `quoted` is null until a value makes it matter. */
interface Word {
  written: string
  quoted: string | null
  mustQuote: boolean
  /** Nothing may follow in this argument. */
  sealed: boolean
}

export class Writer {
  private readonly lex = new LexState()
  private readonly blocks: string[] = []
  private out = ''
  private words: string[] = []
  private word: Word | null = null
  private tail = ''

  /**
   * Template text, which may be anything that nginx's grammar allows.
   * @throws ValueError with nginx's complaint
   */
  raw(text: string): void {
    let from = 0
    for (let i = 0; i < text.length; i++) {
      const event = this.lex.step(text.charCodeAt(i))
      if (event === 0) continue
      if (event & Event.unexpected) throw new ValueError(`unexpected "${text[i]}"`)
      if (event & Event.wordStart) {
        this.emit(text.slice(from, i))
        this.word = { written: '', quoted: null, mustQuote: false, sealed: false }
        from = i
      } else if (event & (Event.wordEnd | Event.quoteEnd)) {
        const end = event & Event.quoteEnd ? i + 1 : i
        this.append(text.slice(from, end))
        this.finishWord()
        from = end
      }
      if (event & (Event.semicolon | Event.open | Event.close)) this.endStatement(event)
    }
    if (this.word) this.append(text.slice(from))
    else this.emit(text.slice(from))
    this.tail = text.length < TAIL_CHARS ? (this.tail + text).slice(-TAIL_CHARS) : text.slice(-TAIL_CHARS)
  }

  /**
   * A value, quoted and escaped as its place needs it.
   * @throws ValueError when it may not stand here
   */
  value(value: NginxValue | NginxWords): void {
    if (value instanceof NginxWords) this.several(value)
    else if (this.lex.mode === Mode.comment) this.emit(value.text)
    else this.one(value)
  }

  private several({ values }: NginxWords): void {
    if (this.lex.mode !== Mode.separator) throw new ValueError('several arguments cannot stand inside of one')
    values.forEach((part, index) => {
      if (index > 0) {
        if (this.word) this.word.sealed = false
        this.raw(' ')
      }
      this.one(part)
      if (this.word) this.word.sealed = true
    })
  }

  /** The whole output; the template must have closed what it opened. */
  finish(): string {
    const { mode, words } = this.lex
    if (mode !== Mode.comment && (mode !== Mode.separator || words > 0)) {
      throw new ValueError('unexpected end, expecting ";" or "}"')
    }
    if (this.blocks.length > 0)
      throw new ValueError(`unexpected end, expecting "}" for ${this.blocks.at(-1)}`)
    return this.out
  }

  private one(value: NginxValue): void {
    const { lex } = this
    if (lex.words === 0) throw new ValueError("a value cannot stand where a directive's name stands")
    if (lex.mode === Mode.afterQuote)
      throw new ValueError('a value cannot follow a quoted argument without a space')
    this.refuseContinuation(value.text)
    if (lex.mode === Mode.separator) {
      lex.mode = Mode.word
      this.word = { written: '', quoted: null, mustQuote: false, sealed: false }
    }
    const word = this.word as Word
    if (word.sealed) throw new ValueError('nothing can follow several arguments in the same place')
    const first = /^["']?(?:[a-z]+:\/\/)?$/i.test(word.written)
    const text = textAt({ block: this.blocks.at(-1) ?? '', words: this.words, first }, value)
    this.put(word, text)
    lex.variable = false
    this.tail = text.slice(-TAIL_CHARS)
  }

  private put(word: Word, text: string): void {
    if (this.lex.mode === Mode.double) word.written += text.replace(/[\\"]/g, '\\$&')
    else if (this.lex.mode === Mode.single) word.written += text.replace(/[\\']/g, '\\$&')
    else {
      word.quoted ??= requote(word.written)
      word.quoted += text.replace(/[\\"]/g, '\\$&')
      word.written += text
      if (!BARE.test(text)) word.mustQuote = true
    }
  }

  private refuseContinuation(text: string): void {
    if (this.lex.escaped) throw new ValueError('a value cannot follow a backslash')
    if (OPEN_VARIABLE.test(this.tail) || (OPEN_NAME.test(this.tail) && /^[A-Za-z0-9_]/.test(text))) {
      throw new ValueError("a value cannot continue a variable's name")
    }
  }

  private append(text: string): void {
    const word = this.word as Word
    if (word.sealed && text !== '')
      throw new ValueError('nothing can follow several arguments in the same place')
    word.written += text
    if (word.quoted !== null) word.quoted += requote(text)
  }

  private finishWord(): void {
    const word = this.word as Word
    const bare = word.quoted === null || (!word.mustQuote && word.written !== '')
    const written = bare ? word.written : `"${word.quoted}"`
    if (encodedBytes(written) > WRITER_LIMITS.argument_max_bytes) {
      throw new ValueError(`an argument has at most ${WRITER_LIMITS.argument_max_bytes} bytes`)
    }
    this.emit(written)
    this.words.push(wordValue(written))
    this.word = null
  }

  private endStatement(event: number): void {
    if (event & Event.open) this.blocks.push(this.words[0] ?? '')
    else if (event & Event.close && this.blocks.pop() === undefined) throw new ValueError('unexpected "}"')
    this.words = []
  }

  private emit(text: string): void {
    this.out += text
    if (this.out.length > WRITER_LIMITS.output_max_chars) throw new ValueError('the output is too long')
  }
}

/** Text of a bare word as it has to be written between double quotes. */
const requote = (bare: string): string => bare.replace(/\\[\s\S]|"/g, part => (part === '"' ? '\\"' : part))

const encoder = new TextEncoder()

function encodedBytes(text: string): number {
  const certain = text.length * 3 <= WRITER_LIMITS.argument_max_bytes
  return certain ? text.length : encoder.encode(text).length
}
