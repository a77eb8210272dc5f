import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import type { z } from 'zod'
import { LIMITS } from '../limits.ts'
import * as messages from './messages.ts'
import { EVENTS_VERSION } from './version.ts'

const page = readFileSync(new URL('../../../../docs/reference/events.md', import.meta.url), 'utf8')

/** The rows of the table below a heading, each as its cells. */
function rowsBelow(heading: string): string[][] {
  const part = page.split(/^#+ /m).find(one => one.startsWith(`${heading}\n`)) ?? ''
  const rows = part.split('\n').filter(line => line.startsWith('| `'))
  return rows.map(row =>
    row
      .slice(1, -1)
      .split('|')
      .map(cell => cell.trim()),
  )
}
const code = (text: string) => `\`${text}\``
const firsts = (heading: string, count: number) => rowsBelow(heading).map(row => row.slice(0, count))

type Message = z.ZodObject<{ type: z.ZodLiteral<string> } & z.ZodRawShape>
const optional = (shape: z.ZodRawShape) =>
  Object.entries(shape)
    .filter(([name]) => name !== 'type' && name !== 'topic')
    .map(([name, field]) => code((field as z.ZodType).safeParse(undefined).success ? `${name}?` : name))
const typeOf = (message: Message) => message.shape.type.value
const fieldsOf = (message: Message) => {
  const topic = 'topic' in message.shape && typeOf(message) !== 'event' ? [code('topic')] : []
  return [...topic, ...optional(message.shape)].sort().join(', ')
}
const sorted = (cell: string) => cell.split(', ').sort().join(', ')
const documented = (heading: string) =>
  firsts(heading, 2).map(([name = '', fields = '']) => [name, fields === '—' ? '' : sorted(fields)])

describe('the page of the events socket', () => {
  test('says which version it describes', () => {
    expect(page).toContain(`protocol version ${EVENTS_VERSION}`)
  })

  test('lists what a client may say, with its fields', () => {
    const { EventsLogin, EventsSubscribe, EventsUnsubscribe } = messages
    const all = [EventsLogin, EventsSubscribe, EventsUnsubscribe] as unknown as Message[]
    expect(all.length).toBe(messages.EventsClientMessage.options.length)
    expect(documented('From the client')).toEqual(all.map(one => [code(typeOf(one)), fieldsOf(one)]))
  })

  test('lists what the master says, with its fields', () => {
    const all = messages.EventsServerMessage.options.filter(
      one => one !== messages.EventsEvent,
    ) as unknown as Message[]
    expect(all.length).toBeGreaterThan(5)
    expect(documented('From the master')).toEqual(all.map(one => [code(typeOf(one)), fieldsOf(one)]))
  })

  test('lists the topics with their permission and what an event carries', () => {
    const events = messages.EventsEvent.options as unknown as (Message & {
      shape: { topic: z.ZodLiteral<messages.EventTopic> }
    })[]
    const coded = events.map(one => {
      const topic = one.shape.topic.value
      return [code(topic), code(messages.EVENT_TOPICS[topic]), fieldsOf(one)]
    })
    expect(coded.map(([topic]) => topic)).toEqual(Object.keys(messages.EVENT_TOPICS).map(code))
    expect(
      firsts('Topics', 3).map(([topic, permission, fields = '']) => [topic, permission, sorted(fields)]),
    ).toEqual(coded)
  })

  test('lists every close code', () => {
    expect(firsts('Close codes', 2)).toEqual(
      Object.entries(messages.EVENTS_CLOSE_CODES).map(([reason, number]) => [
        code(String(number)),
        code(reason),
      ]),
    )
  })

  test('lists every limit with its number', () => {
    const coded = Object.entries(LIMITS).filter(([name]) => name.startsWith('events_'))
    expect(coded.length).toBeGreaterThan(10)
    expect(firsts('Limits', 2)).toEqual(
      coded.map(([name, limit]) => [code(name), limit.toLocaleString('en-US')]),
    )
  })
})

describe('a message of a client', () => {
  const read = (message: unknown) => messages.EventsClientMessage.safeParse(message).success
  test('has its fields and no others', () => {
    expect(read({ type: 'subscribe', id: 'a', topic: 'agents' })).toBe(true)
    expect(read({ type: 'subscribe', id: 'a', topic: 'agents', more: 1 })).toBe(false)
    expect(read({ type: 'subscribe', id: 'a\n', topic: 'agents' })).toBe(false)
    expect(read({ type: 'login', token: 'short' })).toBe(false)
  })
  test('names a workspace or an organization, not both', () => {
    const place = '00000000-0000-7000-8000-000000000001'
    const one = { type: 'subscribe', id: 'a', topic: 'agents', workspace_id: place }
    expect([read(one), read({ ...one, organization_id: place })]).toEqual([true, false])
  })
})
