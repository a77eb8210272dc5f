/**
 * Loads what makes certificates. Its library looks for the polyfill while it loads; Bun orders static imports of CommonJS
 * modules differently in source and in an executable, so the polyfill is waited for.
 */
export async function loadMaker(): Promise<typeof import('./make-certificate.ts')> {
  await import('reflect-metadata')
  return await import('./make-certificate.ts')
}
