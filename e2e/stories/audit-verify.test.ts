import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dropAuditTriggers, runStatement } from '@nxmesh/master/audit/testing'
import { openExisting } from '@nxmesh/master/database/open-existing'
import { makeTestUrl } from '@nxmesh/master/database/testing'
import { masterCommand, setUpLoneMaster, startLoneMaster } from '../support/master-command.ts'

setDefaultTimeout(240_000)
const root = mkdtempSync(join(tmpdir(), 'nxmesh-verify-'))
afterAll(() => rmSync(root, { recursive: true }))

const SWAPPED = [
  'update audit_log set sequence = -sequence where sequence in (2, 3)',
  'update audit_log set sequence = 5 + sequence where sequence < 0',
]

for (const engine of ['sqlite', 'postgresql'] as const) {
  describe(`on ${engine}`, () => {
    test('the log is verified beside a running master, and every way to falsify it is found', async () => {
      const database = await makeTestUrl(engine)
      const settings = ['--data-dir', join(root, engine), '--database-url', database.url]
      const master = await startLoneMaster(settings)
      const verify = (...args: string[]) => masterCommand(['audit', 'verify', ...args, ...settings])
      try {
        const { client } = await setUpLoneMaster(master)
        const make = (slug: string) => client.call('organizations_create', { body: { name: slug, slug } })
        for (const slug of ['one', 'two']) await make(slug)
        const first = await verify()
        expect(first.output).toMatch(/^\d+:[0-9a-f]{64}\n$/)
        expect(first.status).toBe(0)
        const head = first.output.trim()
        await make('three')
        expect((await verify('--expect', head)).status).toBe(0)
        expect((await verify('--expect', 'nonsense')).status).toBe(2)
        // It did not keep the master from anything.
        await make('four')
        const last = (await verify()).output.trim()
        await master.running.stop()

        const count = Number(last.split(':')[0])
        const falsified: [string[], string][] = [
          [["update audit_log set action = 'nothing' where sequence = 2"], 'row 2 was changed'],
          [['delete from audit_log where sequence = 2'], 'row 2 is missing'],
          [SWAPPED, 'row 2 is out of order'],
          [
            [`delete from audit_log where sequence > ${count - 2}`],
            `cut off at the end, from row ${count - 1} on`,
          ],
        ]
        for (const [statements, words] of falsified) {
          await changed(database.url, statements, async () => {
            const done = await verify('--expect', last)
            expect(done.output).toContain(words)
            expect(done.status).toBe(1)
          })
        }
        expect((await verify('--expect', last)).output.trim()).toBe(last)
        const [sequence, hash = ''] = head.split(':')
        const other = `${sequence}:${hash.replace(/^./, one => (one === '0' ? '1' : '0'))}`
        expect((await verify('--expect', other)).output).toContain('was written anew')
      } finally {
        await master.running.stop()
      }
      await database.drop()
    })
  })
}

test('a database that is not there is not made', async () => {
  const missing = join(root, 'nowhere')
  const verified = await masterCommand(['audit', 'verify', '--data-dir', missing])
  expect(verified.output).toContain('does not exist')
  expect(verified.status).toBe(1)
  expect(await Bun.file(join(missing, 'master.db')).exists()).toBe(false)
})

/** With the log as the statements leave it; put back afterwards. */
async function changed(url: string, statements: readonly string[], then: () => Promise<void>): Promise<void> {
  const db = await openExisting(url, { to_read: false })
  try {
    const rows = await db.read.selectFrom('audit_log').selectAll().execute()
    await db.write(async tx => {
      await dropAuditTriggers(tx, db.engine)
      for (const statement of statements) await runStatement(tx, statement)
    })
    await then()
    await db.write(async tx => {
      await tx.deleteFrom('audit_log').execute()
      await tx.insertInto('audit_log').values(rows).execute()
    })
  } finally {
    await db.close()
  }
}
