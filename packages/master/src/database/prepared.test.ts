import { expect, test } from 'bun:test'
import { prepared } from './prepared.ts'
import { forEachEngine } from './testing.ts'

const between = prepared<{ after: string; before: string; limit: number }, { key: string }>((db, value) =>
  db
    .selectFrom('instance_facts')
    .select('key')
    .where('key', '>', value('after'))
    .where('key', '<', value('before'))
    .where('value', '=', 'same')
    .orderBy('key')
    .limit(value('limit')),
)

forEachEngine((_engine, open) => {
  test('a query that is built once answers with the values of each call, in and outside a transaction', async () => {
    const db = await open()
    const rows = ['a', 'b', 'c', 'd', 'e'].map(key => ({ key, value: 'same' }))
    await db.write(async tx => {
      await tx.insertInto('instance_facts').values(rows).execute()
      expect(await between(tx, { after: 'a', before: 'z', limit: 2 })).toEqual([{ key: 'b' }, { key: 'c' }])
    })
    expect(await between(db.read, { after: 'c', before: 'z', limit: 9 })).toEqual([
      { key: 'd' },
      { key: 'e' },
    ])
    expect(await between(db.read, { after: "a' or 1=1 --", before: 'z', limit: 1 })).toEqual([{ key: 'b' }])
    expect(await between(db.read, { after: 'x', before: 'z', limit: 1 })).toEqual([])
  })
})
