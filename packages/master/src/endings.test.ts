import { expect, test } from 'bun:test'
import { Endings } from './endings.ts'

test('what was taken first is given back last, also when something in between fails, and only once', async () => {
  const given_back: string[] = []
  const endings = new Endings()
  endings.add(() => given_back.push('lock'))
  endings.add(async () => {
    throw new Error('the database does not close')
  })
  endings.add(async () => given_back.push('listener'))
  const both = [endings.run(), endings.run()]
  for (const one of both) await expect(one).rejects.toThrow('the database does not close')
  expect(given_back).toEqual(['listener', 'lock'])
})
