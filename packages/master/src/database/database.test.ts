import { expect, test } from 'bun:test'
import { sql } from 'kysely'
import { DatabaseTooNewError, migrate } from './migrate.ts'
import { forEachEngine } from './testing.ts'

const user = (id: string, email = `${id}@example.com`) => ({
  id,
  email,
  name: 'Ada',
  password_hash: 'x',
  status: 'active',
  created_at: '2026-01-01T00:00:00.000Z',
  last_login_at: null,
})

forEachEngine((_engine, open) => {
  test('what a transaction wrote is read after it, and nothing of one that failed', async () => {
    const db = await open()
    await db.write(tx => tx.insertInto('users').values(user('a')).execute())
    const failing = db.write(async tx => {
      await tx.insertInto('users').values(user('b')).execute()
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    const rows = await db.read.selectFrom('users').select('id').execute()
    expect(rows).toEqual([{ id: 'a' }])
  })

  test('changes at the same time do not lose one another', async () => {
    const db = await open()
    await db.write(tx => tx.insertInto('instance_facts').values({ key: 'n', value: '0' }).execute())
    const addOne = () =>
      db.write(async tx => {
        const row = await tx
          .selectFrom('instance_facts')
          .select('value')
          .where('key', '=', 'n')
          .executeTakeFirstOrThrow()
        await tx
          .updateTable('instance_facts')
          .set({ value: String(Number(row.value) + 1) })
          .execute()
      })
    await Promise.all(Array.from({ length: 50 }, addOne))
    expect(await db.read.selectFrom('instance_facts').selectAll().execute()).toEqual([
      { key: 'n', value: '50' },
    ])
  })

  test('a transaction that fails does not take a neighbour’s change with it', async () => {
    const db = await open()
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) =>
        db.write(async tx => {
          await tx
            .insertInto('users')
            .values(user(`u${n}`))
            .execute()
          if (n % 2) throw new Error('no')
        }),
      ),
    )
    expect(results.filter(one => one.status === 'fulfilled')).toHaveLength(10)
    const { count } = await db.read
      .selectFrom('users')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    expect(count).toBe(10)
  })

  test('a value that must be unique is refused the second time', async () => {
    const db = await open()
    const insert = (id: string) =>
      db.write(tx => tx.insertInto('users').values(user(id, 'same@x.io')).execute())
    await insert('a')
    await expect(insert('b')).rejects.toThrow(/unique/i)
  })

  test('the name of a deleted resource is free again', async () => {
    const db = await open()
    const add = (id: string) => {
      const row = { id, workspace_id: 'w', kind: 'upstream', name: 'api', version_number: 1, data_json: '{}' }
      return db.write(tx =>
        tx
          .insertInto('resources')
          .values({ ...row, created_at: 't', updated_at: 't', deleted_at: null })
          .execute(),
      )
    }
    await add('a')
    await expect(add('b')).rejects.toThrow(/unique/i)
    await db.write(tx => tx.updateTable('resources').set({ deleted_at: 't' }).where('id', '=', 'a').execute())
    await add('b')
  })

  test('a key of another table must exist there', async () => {
    const db = await open()
    const orphan = { id: 'l', user_id: 'nobody', token_hash: 'h', created_at: 't', expires_at: 't' }
    await expect(db.write(tx => tx.insertInto('reset_links').values(orphan).execute())).rejects.toThrow(
      /foreign key/i,
    )
  })

  test('text is ordered by its bytes, and numbers come back as numbers', async () => {
    const db = await open()
    await db.write(tx =>
      tx
        .insertInto('users')
        .values(['b', 'a', 'B', 'é'].map(one => user(one)))
        .execute(),
    )
    const rows = await db.read.selectFrom('users').select('id').orderBy('id').execute()
    expect(rows.map(row => row.id)).toEqual(['B', 'a', 'b', 'é'])
  })

  test('a text where a number belongs is refused', async () => {
    const db = await open()
    const wrong = sql`insert into release_items values ('w', 'k', 'r', 'many', 1, null)`
    await expect(db.write(tx => wrong.execute(tx))).rejects.toThrow()
  })

  test('a write inside a write is an error, not a standstill', async () => {
    const db = await open()
    const nested = db.write(() => db.write(async () => 1))
    await expect(nested).rejects.toThrow('inside a write()')
  })

  test('a master refuses a database that a newer master wrote', async () => {
    const db = await open()
    await db.write(tx => sql`insert into kysely_migration values ('0999-tomorrow', 't')`.execute(tx))
    await expect(migrate(db.read as never)).rejects.toThrow(DatabaseTooNewError)
    await expect(migrate(db.read as never)).rejects.toThrow('0999-tomorrow')
  })
})
