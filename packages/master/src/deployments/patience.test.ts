import { afterEach, expect, setDefaultTimeout, test } from 'bun:test'
import { LIMITS } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { until } from '../testing-until.ts'
import { prepareDeadline_ms } from './deployment-rules.ts'
import { openWorld, site, type World } from './testing.ts'

// The first to ask for PostgreSQL waits for its start.
setDefaultTimeout(60_000)

const SITES = 150
const BASE_MS = 100

test('the time to prepare grows with what is sent, up to a bound', () => {
  expect(prepareDeadline_ms(10_000, 0)).toBe(10_000)
  expect(prepareDeadline_ms(10_000, 5_000)).toBe(20_000)
  expect(prepareDeadline_ms(10_000, 10_000_000)).toBe(LIMITS.prepare_deadline_max_ms)
})

forEachEngine((_engine, open) => {
  let world: World
  afterEach(async () => {
    await world.stop()
    expect(world.errors).toEqual([])
  })

  test('a first delivery of many sites gives a slow agent the time that it needs, an edit of one does not', async () => {
    world = await openWorld(await open(), { prepare_deadline_ms: BASE_MS })
    for (let number = 0; number < SITES; number++)
      await world.create('virtual_host', site(`s${number}`), number === SITES - 1)
    const a = await world.join('a')
    // Slower than the shortest deadline.
    const { receive } = a
    a.receive = message => void setTimeout(() => receive.call(a, message), BASE_MS * 1.5)
    await until('all is served at the first attempt', () => a.serving.length === SITES)
    const [order] = a.orders.filter(one => one.type === 'prepare')
    expect(order?.type === 'prepare' && order.deadline_ms).toBeGreaterThanOrEqual(
      BASE_MS + SITES * LIMITS.prepare_deadline_object_ms,
    )
    expect(a.log.filter(one => one === 'prepare').length).toBe(1)

    a.receive = receive
    a.onPrepare = () => 'silent'
    const { meta } = await world.create('virtual_host', site('slow'))
    // The site, and what all sites share.
    const cause = meta.deployment?.targets[0]?.error?.message
    expect([meta.deployment?.state, cause]).toEqual(['aborted', 'It did not answer within 0.104 s'])
  })
})
